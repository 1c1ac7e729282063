/* dataset_hdf5.c - see dataset_hdf5.h. */
#include "data/dataset_hdf5.h"

#include <pthread.h>
#include <stdio.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

atm_hdf5_visit atm_hdf5_enter(void)
{
    atm_hdf5_visit visit = { 0 };
    pthread_mutex_lock(&lock);
    H5Eget_auto2(H5E_DEFAULT, &visit.print, &visit.to);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return visit;
}

void atm_hdf5_leave(atm_hdf5_visit visit)
{
    H5Eset_auto2(H5E_DEFAULT, visit.print, visit.to);
    pthread_mutex_unlock(&lock);
}

hid_t atm_hdf5_access(void)
{
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
#if H5_VERSION_GE(1, 10, 7)
    H5Pset_file_locking(access, false, true);
#endif
    return access;
}

/* A two-byte float: sign, exponent, mantissa.  The fields must fit before the size shrinks. */
static hid_t small_float(size_t exponent_bits, size_t mantissa_bits)
{
    const hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, 15, mantissa_bits, exponent_bits, 0, mantissa_bits);
    H5Tset_size(type, 2);
    H5Tset_ebias(type, ((size_t)1 << (exponent_bits - 1)) - 1);
    return type;
}

static hid_t boolean(void)
{
    const hid_t type = H5Tenum_create(H5T_STD_I8LE);
    H5Tenum_insert(type, "FALSE", &(signed char){ 0 });
    H5Tenum_insert(type, "TRUE", &(signed char){ 1 });
    return type;
}

/* A new id, for the caller to close. */
static hid_t type_of(atm_dtype dtype)
{
    const hid_t plain[ATM_DTYPE_COUNT] = {
        [ATM_F32] = H5T_IEEE_F32LE, [ATM_F64] = H5T_IEEE_F64LE, [ATM_I64] = H5T_STD_I64LE,
        [ATM_I32] = H5T_STD_I32LE, [ATM_U8] = H5T_STD_U8LE,
    };
    if (dtype == ATM_F16) return small_float(5, 10);
    if (dtype == ATM_BF16) return small_float(8, 7);
    return dtype == ATM_BOOL ? boolean() : H5Tcopy(plain[dtype]);
}

static bool same_type(hid_t type, hid_t ours)
{
    const bool same = H5Tequal(type, ours) > 0;
    H5Tclose(ours);
    return same;
}

bool atm_hdf5_is_dtype(hid_t type, atm_dtype *out)
{
    for (int dtype = 0; dtype < ATM_DTYPE_COUNT; dtype++)
        if (same_type(type, type_of((atm_dtype)dtype))) {
            *out = (atm_dtype)dtype;
            return true;
        }
    return false;
}

bool atm_hdf5_is_hash(hid_t type) { return H5Tequal(type, H5T_STD_U64LE) > 0; }

bool atm_hdf5_is_text(hid_t type, size_t *bytes)
{
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0) return false;
    const H5T_str_t pad = H5Tget_strpad(type);
    *bytes = H5Tget_size(type);
    return (pad == H5T_STR_NULLPAD || pad == H5T_STR_NULLTERM) && *bytes > 0;
}

static herr_t keep_last(unsigned n, const H5E_error2_t *error, void *text)
{
    (void)n;
    snprintf(text, 256, "%s", error->desc ? error->desc : "");
    return 0;
}

/* Downward the walk ends at the innermost call, which knows most. */
const char *atm_hdf5_reason(void)
{
    static _Thread_local char text[256];
    text[0] = '\0';
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_last, text);
    return text;
}
