/* dataset_scan.c - the structure of an HDF5 file, as far as datasets may use HDF5.
 *
 * libhdf5 1.10 fed with broken chunked or filtered files crashed 11 times in 2000, and hung twice;
 * external and virtual storage would read other files of the machine.  So: hard links only,
 * contiguous storage only, the types of dataset_hdf5.c only, and every place checked against the
 * file's size.  libhdf5 reads structure and attributes; no row ever passes through it. */
#include "data/dataset_hdf5.h"
#include "data/dataset_private.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"

static const char companion[] = ATM_DATASET_COMPANION;

enum { MAX_LINKS = 2 * ATM_DATASET_COLUMNS };

typedef struct {
    atm_dataset_table *table;
    uint64_t file_bytes;
    const char *group;                  /* that is being walked */
    int links;
    atm_status status;                  /* what a callback of libhdf5 failed with */
} scan;

/* ------------------------------------------------------------------ one dataset */

typedef struct {
    char name[sizeof "artworks/" + ATM_DATASET_NAME + sizeof companion];
    hid_t id, type, space;
} object;

static atm_status refuse_layout(const char *name, hid_t plist)
{
    static const char remedy[] = "datasets are stored in one piece; h5repack -l CONTI -f NONE OLD NEW makes it so";
    const H5D_layout_t layout = H5Pget_layout(plist);
    if (H5Pget_nfilters(plist) != 0) return atm_fail(ATM_E_DATA, "%s: is filtered (compressed); %s", name, remedy);
    if (layout == H5D_CHUNKED) return atm_fail(ATM_E_DATA, "%s: is stored in chunks; %s", name, remedy);
    if (layout == H5D_COMPACT) return atm_fail(ATM_E_DATA, "%s: is stored in its header; %s", name, remedy);
    if (layout == H5D_VIRTUAL) return atm_fail(ATM_E_DATA, "%s: is virtual, its rows lie in other files; copy "
                                               "them into one", name);
    if (layout != H5D_CONTIGUOUS) return atm_fail(ATM_E_DATA, "%s: has no readable layout", name);
    if (H5Pget_external_count(plist) != 0)
        return atm_fail(ATM_E_DATA, "%s: lies in external files; copy it into this one", name);
    return ATM_OK;
}

static atm_status check_layout(const object *o)
{
    const hid_t plist = H5Dget_create_plist(o->id);
    if (plist < 0) return atm_fail(ATM_E_DATA, "%s: has no readable layout (%s)", o->name, atm_hdf5_reason());
    const atm_status status = refuse_layout(o->name, plist);
    H5Pclose(plist);
    return status;
}

/* The extent as rows and dims of a row. */
static atm_status read_shape(const object *o, atm_column *c)
{
    hsize_t dim[ATM_COLUMN_MAX_RANK + 1];
    const int rank = H5Sget_simple_extent_type(o->space) == H5S_SIMPLE ? H5Sget_simple_extent_ndims(o->space) : -1;
    if (rank < 1 || rank > ATM_COLUMN_MAX_RANK + 1)
        return atm_fail(ATM_E_DATA, "%s: has %d dimensions; 1 (rows) to %d are possible", o->name, rank,
                        ATM_COLUMN_MAX_RANK + 1);
    if (H5Sget_simple_extent_dims(o->space, dim, NULL) != rank)
        return atm_fail(ATM_E_DATA, "%s: has no readable shape", o->name);
    for (int i = 0; i < rank; i++)
        if (dim[i] > INT_MAX)
            return atm_fail(ATM_E_DATA, "%s: dimension %d is %llu", o->name, i, (unsigned long long)dim[i]);
    c->rows = (size_t)dim[0];
    c->rank = rank - 1;
    for (int i = 1; i < rank; i++) c->dim[i - 1] = (int)dim[i];
    return ATM_OK;
}

static atm_status read_type(const object *o, atm_column *c)
{
    size_t bytes;
    if (atm_hdf5_is_dtype(o->type, &c->dtype)) return ATM_OK;
    if (!atm_hdf5_is_text(o->type, &bytes) || bytes > INT_MAX || c->rank != 0)
        return atm_fail(ATM_E_DATA, "%s: its type is not one of ours: little-endian float16, float32, float64, "
                        "bfloat16, int32, int64, uint8, bool, or text of fixed length", o->name);
    c->dtype = ATM_U8;
    c->text = true;
    c->rank = 1;
    c->dim[0] = (int)bytes;
    return ATM_OK;
}

/* Where its `bytes` bytes begin; a dataset without rows has no place. */
static atm_status read_place(const scan *s, const object *o, size_t bytes, uint64_t *offset)
{
    size_t end;
    const haddr_t place = bytes ? H5Dget_offset(o->id) : 0;
    if (place == HADDR_UNDEF)
        return atm_fail(ATM_E_DATA, "%s: its storage was never allocated; no row was written", o->name);
    if (bytes && H5Dget_storage_size(o->id) != bytes)
        return atm_fail(ATM_E_DATA, "%s: has %llu bytes of storage, its shape needs %zu", o->name,
                        (unsigned long long)H5Dget_storage_size(o->id), bytes);
    if (!atm_add_size(place, bytes, &end) || end > s->file_bytes)
        return atm_fail(ATM_E_DATA, "%s: its %zu bytes at %llu reach beyond the file's end at %llu; the file was "
                        "cut, or not written to its end", o->name, bytes, (unsigned long long)place,
                        (unsigned long long)s->file_bytes);
    *offset = place;
    return ATM_OK;
}

static atm_status take_column(const scan *s, const object *o)
{
    atm_column column = { .name = o->name };
    atm_dataset_entry *entry;
    TRY_RETURN(read_shape(o, &column));
    TRY_RETURN(read_type(o, &column));
    TRY_RETURN(atm_dataset_add(s->table, &column, &entry));
    return read_place(s, o, atm_column_bytes(&entry->column), &entry->column.offset);
}

/* Links come sorted by name, so the column of a companion is known already. */
static atm_status take_hashes(const scan *s, const object *o)
{
    char name[sizeof o->name];
    atm_column shape = { 0 };
    snprintf(name, sizeof name, "%.*s", (int)(strlen(o->name) - strlen(companion)), o->name);
    atm_dataset_entry *entry = atm_dataset_entry_of(s->table, name);
    if (!entry) return atm_fail(ATM_E_DATA, "%s: there is no column %s", o->name, name);
    TRY_RETURN(read_shape(o, &shape));
    if (!atm_hdf5_is_hash(o->type) || shape.rank != 0 || shape.rows != entry->column.rows)
        return atm_fail(ATM_E_DATA, "%s: must be one little-endian uint64 for each of the %zu rows of %s", o->name,
                        entry->column.rows, name);
    TRY_RETURN(read_place(s, o, shape.rows * sizeof(uint64_t), &entry->hash_offset));
    entry->hash = atm_arena_alloc(&s->table->arena, shape.rows, sizeof(uint64_t));
    return entry->hash ? ATM_OK : atm_fail(ATM_E_MEMORY, "%s: out of memory for %zu hashes", o->name, shape.rows);
}

static bool is_companion(const char *name)
{
    const size_t n = strlen(name), tail = strlen(companion);
    return n > tail && strcmp(name + n - tail, companion) == 0;
}

static atm_status scan_object(const scan *s, object *o)
{
    atm_status status = ATM_OK;
    TRY(check_layout(o));               /* before anything that could touch other files */
    o->type = H5Dget_type(o->id);
    o->space = H5Dget_space(o->id);
    if (o->type < 0 || o->space < 0)
        status = atm_fail(ATM_E_DATA, "%s: has no readable type or shape (%s)", o->name, atm_hdf5_reason());
    else
        status = is_companion(o->name) ? take_hashes(s, o) : take_column(s, o);
done:
    if (o->space >= 0) H5Sclose(o->space);
    if (o->type >= 0) H5Tclose(o->type);
    return status;
}

/* ------------------------------------------------------------------ groups */

static atm_status check_link(scan *s, const char *name, const H5L_info_t *link)
{
    if (++s->links > MAX_LINKS) return atm_fail(ATM_E_DATA, "more than %d objects", MAX_LINKS);
    if (link->type != H5L_TYPE_HARD)
        return atm_fail(ATM_E_DATA, "%s: is a soft or external link; datasets follow none", name);
    return ATM_OK;
}

static atm_status scan_dataset(scan *s, hid_t group, const char *name, const H5L_info_t *link)
{
    object o = { .type = H5I_INVALID_HID, .space = H5I_INVALID_HID };
    TRY_RETURN(check_link(s, name, link));
    if ((size_t)snprintf(o.name, sizeof o.name, "%s/%s", s->group, name) >= sizeof o.name)
        return atm_fail(ATM_E_DATA, "%s: its name is longer than %d bytes", o.name, ATM_DATASET_NAME);
    o.id = H5Dopen2(group, name, H5P_DEFAULT);
    if (o.id < 0) return atm_fail(ATM_E_DATA, "%s: is not a readable column (%s)", o.name, atm_hdf5_reason());
    const atm_status status = scan_object(s, &o);
    H5Dclose(o.id);
    return status;
}

static herr_t each_dataset(hid_t group, const char *name, const H5L_info_t *link, void *arg)
{
    scan *s = arg;
    s->status = scan_dataset(s, group, name, link);
    return s->status == ATM_OK ? 0 : -1;
}

/* A walk that fails without one of our errors is libhdf5's own. */
static atm_status walk(scan *s, hid_t group, const char *name, H5L_iterate_t each)
{
    if (H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, NULL, each, s) >= 0 || s->status != ATM_OK) return s->status;
    return atm_fail(ATM_E_DATA, "%s: is damaged (%s)", name, atm_hdf5_reason());
}

static const char *our_group(const char *name)
{
    for (const char *const *group = atm_dataset_groups; *group; group++)
        if (strcmp(name, *group) == 0) return *group;
    return NULL;
}

static atm_status scan_group(scan *s, hid_t root, const char *name, const H5L_info_t *link)
{
    TRY_RETURN(check_link(s, name, link));
    s->group = our_group(name);
    if (!s->group)
        return atm_fail(ATM_E_DATA, "%s: a dataset has the groups artworks, clips and pairs, and nothing else", name);
    const hid_t group = H5Gopen2(root, name, H5P_DEFAULT);
    if (group < 0) return atm_fail(ATM_E_DATA, "%s: is not a readable group (%s)", name, atm_hdf5_reason());
    const atm_status status = walk(s, group, name, each_dataset);
    H5Gclose(group);
    return status;
}

static herr_t each_group(hid_t root, const char *name, const H5L_info_t *link, void *arg)
{
    scan *s = arg;
    s->status = scan_group(s, root, name, link);
    return s->status == ATM_OK ? 0 : -1;
}

/* ------------------------------------------------------------------ attributes */

static atm_status read_attribute(const scan *s, hid_t id, hid_t type, const char *name)
{
    char text[ATM_DATASET_TEXT + 1] = { 0 };
    size_t bytes;
    const hid_t space = H5Aget_space(id);
    const bool one = H5Sget_simple_extent_npoints(space) == 1;
    H5Sclose(space);
    if (!one || !atm_hdf5_is_text(type, &bytes) || bytes > ATM_DATASET_TEXT)
        return atm_fail(ATM_E_DATA, "attribute %s: must be one text of fixed length, of at most %d bytes "
                        "(h5py: attrs[\"%s\"] = numpy.bytes_(\"...\"))", name, ATM_DATASET_TEXT, name);
    if (H5Aread(id, type, text) < 0)
        return atm_fail(ATM_E_DATA, "attribute %s: cannot be read (%s)", name, atm_hdf5_reason());
    return atm_dataset_table_set(s->table, name, text);
}

static atm_status scan_attribute(const scan *s, hid_t root, const char *name)
{
    const hid_t id = H5Aopen(root, name, H5P_DEFAULT), type = H5Aget_type(id);
    const atm_status status = type >= 0 ? read_attribute(s, id, type, name) :
        atm_fail(ATM_E_DATA, "attribute %s: is damaged (%s)", name, atm_hdf5_reason());
    if (type >= 0) H5Tclose(type);
    if (id >= 0) H5Aclose(id);
    return status;
}

static herr_t each_attribute(hid_t root, const char *name, const H5A_info_t *info, void *arg)
{
    scan *s = arg;
    (void)info;
    s->status = scan_attribute(s, root, name);
    return s->status == ATM_OK ? 0 : -1;
}

static atm_status scan_attributes(scan *s, hid_t root)
{
    if (H5Aiterate2(root, H5_INDEX_NAME, H5_ITER_INC, NULL, each_attribute, s) < 0 && s->status == ATM_OK)
        return atm_fail(ATM_E_DATA, "its attributes are damaged (%s)", atm_hdf5_reason());
    return s->status;
}

/* ------------------------------------------------------------------ the file */

/* The file may have been replaced between our open() and libhdf5's. */
static bool is_same_file(hid_t file, const struct stat *ours)
{
    void *fd;
    struct stat theirs;
    return H5Fget_vfd_handle(file, H5P_DEFAULT, &fd) >= 0 && fstat(*(int *)fd, &theirs) == 0 &&
           theirs.st_dev == ours->st_dev && theirs.st_ino == ours->st_ino;
}

static atm_status scan_file(scan *s, hid_t file, const struct stat *at_open)
{
    if (!is_same_file(file, at_open)) return atm_fail(ATM_E_DATA, "was replaced while it was opened; try again");
    TRY_RETURN(scan_attributes(s, file));
    return walk(s, file, "the file", each_group);
}

static atm_status visit_file(atm_dataset *d)
{
    scan s = { .table = &d->table, .file_bytes = (uint64_t)d->at_open.st_size };
    const hid_t access = atm_hdf5_access(), file = H5Fopen(d->path, H5F_ACC_RDONLY, access);
    const atm_status status = file >= 0 ? scan_file(&s, file, &d->at_open) :
        atm_fail(ATM_E_DATA, "is cut or damaged: libhdf5 cannot open it (%s)", atm_hdf5_reason());
    if (file >= 0) H5Fclose(file);
    H5Pclose(access);
    return status;
}

atm_status atm_dataset_scan(atm_dataset *d)
{
    const atm_hdf5_visit visit = atm_hdf5_enter();
    const atm_status status = visit_file(d);
    atm_hdf5_leave(visit);
    return status;
}
