/* test_dataset_hdf5.c - what HDF5 can do and datasets may not: every way to store rows elsewhere or
 * otherwise, links, foreign types, shapes that disagree.  Each file is a good one with one edit. */
#define _GNU_SOURCE
#include "support/support.h"

#include <hdf5.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/bytes.h"
#include "support/dataset_file.h"
#include "support/hdf5_repair.h"

static const hsize_t rows[5] = { 5, 2, 2, 2, 2 };

static hid_t layout(H5D_layout_t kind)
{
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_layout(plist, kind);
    if (kind == H5D_CHUNKED) H5Pset_chunk(plist, 1, rows);
    return plist;
}

/* clips/extra with its rows written, so that storage exists. */
static void create(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dim, hid_t plist)
{
    static const char zeros[1 << 16];
    const hid_t space = H5Screate_simple(rank, dim, NULL);
    const hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    assert_true(set >= 0);
    if (plist == H5P_DEFAULT) H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros);
    H5Dclose(set);
    H5Sclose(space);
}

static void extra(hid_t file, hid_t type, int rank, hid_t plist) { create(file, "clips/extra", type, rank,
                                                                          rows, plist); }

static void chunked(hid_t f) { extra(f, H5T_IEEE_F32LE, 1, layout(H5D_CHUNKED)); }
static void compact(hid_t f) { extra(f, H5T_IEEE_F32LE, 1, layout(H5D_COMPACT)); }

static void filtered(hid_t f)
{
    const hid_t plist = layout(H5D_CHUNKED);
    H5Pset_shuffle(plist);
    extra(f, H5T_IEEE_F32LE, 1, plist);
}

static void external(hid_t f)
{
    const hid_t plist = layout(H5D_CONTIGUOUS);
    H5Pset_external(plist, "/etc/passwd", 0, 20);
    extra(f, H5T_IEEE_F32LE, 1, plist);
}

static void virtual_rows(hid_t f)
{
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, rows, NULL);
    H5Pset_virtual(plist, space, "/etc/other.h5", "x", space);
    extra(f, H5T_IEEE_F32LE, 1, plist);
    H5Sclose(space);
}

static void never_written(hid_t f) { extra(f, H5T_IEEE_F32LE, 1, layout(H5D_CONTIGUOUS)); }

static void soft_link(hid_t f) { H5Lcreate_soft("/clips/mel", f, "clips/extra", H5P_DEFAULT, H5P_DEFAULT); }
static void soft_group(hid_t f) { H5Lcreate_soft("/clips", f, "music", H5P_DEFAULT, H5P_DEFAULT); }

static void external_link(hid_t f)
{
    H5Lcreate_external("/etc/other.h5", "/x", f, "clips/extra", H5P_DEFAULT, H5P_DEFAULT);
}

static void big_endian(hid_t f) { extra(f, H5T_IEEE_F32BE, 1, H5P_DEFAULT); }
static void unsigned_words(hid_t f) { extra(f, H5T_STD_U32LE, 1, H5P_DEFAULT); }
static void spaces(hid_t f) { extra(f, H5T_FORTRAN_S1, 1, H5P_DEFAULT); }

static void sized_text(hid_t f, size_t size, int rank)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, size);
    extra(f, type, rank, layout(H5D_CONTIGUOUS));
}

static void variable_text(hid_t f) { sized_text(f, H5T_VARIABLE, 1); }
static void text_matrix(hid_t f) { sized_text(f, 8, 2); }

static void compound(hid_t f)
{
    const hid_t type = H5Tcreate(H5T_COMPOUND, 8);
    H5Tinsert(type, "a", 0, H5T_IEEE_F64LE);
    extra(f, type, 1, H5P_DEFAULT);
}

static void named_type(hid_t f)
{
    const hid_t type = H5Tcopy(H5T_STD_U8LE);
    H5Tcommit2(f, "clips/zz_type", type, 0, 0, 0);
    extra(f, type, 1, H5P_DEFAULT);
    H5Tclose(type);
}

static void reference(hid_t f) { extra(f, H5T_STD_REF_OBJ, 1, H5P_DEFAULT); }

static void six_dimensions(hid_t f)
{
    const hsize_t dim[6] = { 5, 1, 1, 1, 1, 1 };
    create(f, "clips/extra", H5T_STD_U8LE, 6, dim, H5P_DEFAULT);
}

static void a_scalar(hid_t f)
{
    const hid_t space = H5Screate(H5S_SCALAR);
    H5Dclose(H5Dcreate2(f, "clips/extra", H5T_STD_U8LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
}

static void too_wide(hid_t f)
{
    const hsize_t dim[2] = { 5, (hsize_t)1 << 32 };
    create(f, "clips/extra", H5T_STD_U8LE, 2, dim, layout(H5D_CONTIGUOUS));
}

static void without_hashes(hid_t f) { extra(f, H5T_IEEE_F32LE, 1, H5P_DEFAULT); }
static void lone_hashes(hid_t f) { create(f, "clips/none.xxh3", H5T_STD_U64LE, 1, rows, H5P_DEFAULT); }

static void signed_hashes(hid_t f)
{
    extra(f, H5T_IEEE_F32LE, 1, H5P_DEFAULT);
    create(f, "clips/extra.xxh3", H5T_STD_I64LE, 1, rows, H5P_DEFAULT);
}

static void few_hashes(hid_t f)
{
    const hsize_t four = 4;
    extra(f, H5T_IEEE_F32LE, 1, H5P_DEFAULT);
    create(f, "clips/extra.xxh3", H5T_STD_U64LE, 1, &four, H5P_DEFAULT);
}

static void more_rows(hid_t f)
{
    const hsize_t six = 6;
    create(f, "clips/extra", H5T_IEEE_F32LE, 1, &six, H5P_DEFAULT);
    create(f, "clips/extra.xxh3", H5T_STD_U64LE, 1, &six, H5P_DEFAULT);
}

static void bad_name(hid_t f) { create(f, "clips/an extra", H5T_IEEE_F32LE, 1, rows, H5P_DEFAULT); }

static void long_name(hid_t f)
{
    char name[300] = "clips/";
    memset(name + 6, 'x', 290);
    create(f, name, H5T_IEEE_F32LE, 1, rows, H5P_DEFAULT);
}

static void close_object(hid_t id) { assert_true(id >= 0 && H5Oclose(id) >= 0); }
static void group_in_group(hid_t f) { close_object(H5Gcreate2(f, "clips/g", 0, 0, 0)); }
static void other_group(hid_t f) { close_object(H5Gcreate2(f, "videos", 0, 0, 0)); }

static void type_in_group(hid_t f)
{
    const hid_t type = H5Tcopy(H5T_STD_U8LE);
    H5Tcommit2(f, "clips/t", type, 0, 0, 0);
    close_object(type);
}

static void dataset_as_group(hid_t f)
{
    H5Ldelete(f, "artworks", 0);
    create(f, "artworks", H5T_STD_U8LE, 1, rows, H5P_DEFAULT);
}

static void a_heap(hid_t f)
{
    char name[32];
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "clips/x%d", i);
        create(f, name, H5T_STD_U8LE, 1, rows, H5P_DEFAULT);
    }
}

static void no_pairs(hid_t f) { H5Ldelete(f, "pairs", 0); }

/* ------------------------------------------------------------------ attributes */

static void attribute(hid_t f, const char *name, hid_t type, const void *value)
{
    const hid_t space = H5Screate(H5S_SCALAR);
    if (H5Aexists(f, name) > 0) H5Adelete(f, name);
    const hid_t id = H5Acreate2(f, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(id >= 0 && H5Awrite(id, type, value) >= 0);
    H5Aclose(id);
    H5Sclose(space);
}

static void variable_attribute(hid_t f)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    const char *value = "text";
    H5Tset_size(type, H5T_VARIABLE);
    attribute(f, "model", type, &value);
}

static void text_attribute(hid_t f, const char *name, const char *text)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, strlen(text));
    attribute(f, name, type, text);
}

static void many_attributes(hid_t f)
{
    char name[16];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "x%d", i);
        text_attribute(f, name, "text");
    }
}

static void number_attribute(hid_t f) { attribute(f, "year", H5T_STD_I32LE, &(int){ 1905 }); }
static void not_utf8(hid_t f) { text_attribute(f, "model", "caf\xe9"); }
static void next_schema(hid_t f) { text_attribute(f, "schema", "arttomus-dataset-2"); }
static void no_schema(hid_t f) { H5Adelete(f, "schema"); }
static void edited(hid_t f) { text_attribute(f, "model", "b model"); }

/* ------------------------------------------------------------------ pairs */

/* Replaces a column of pairs, hashes included; hashes of 4-byte rows are given. */
static void set_pairs(hid_t f, const char *name, int32_t value)
{
    int32_t all[7];
    for (int i = 0; i < 7; i++) all[i] = value;
    const hid_t set = H5Dopen2(f, name, H5P_DEFAULT);
    assert_true(H5Dwrite(set, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, all) >= 0);
    H5Dclose(set);
    H5Adelete(f, "fingerprint");
}

static void changed_pairs(hid_t f) { set_pairs(f, "pairs/clip", 4); }

static void float_pairs(hid_t f)
{
    const hsize_t seven = 7;
    H5Ldelete(f, "pairs/split", 0);
    create(f, "pairs/split", H5T_IEEE_F32LE, 1, &seven, H5P_DEFAULT);
}

/* ------------------------------------------------------------------ all of them */

typedef struct { const char *name; void (*edit)(hid_t file); const char *says; } edit;

static const edit edits[] = {
    { "chunked", chunked, "clips/extra: is stored in chunks; datasets are stored in one piece: h5repack -l "
     "CONTI" },
    { "compact", compact, "clips/extra: is stored in its header" },
    { "filtered", filtered, "clips/extra: is filtered (compressed)" },
    { "external", external, "clips/extra: lies in external files" },
    { "virtual_rows", virtual_rows, "clips/extra: is virtual" },
    { "never_written", never_written, "has no storage" },
    { "soft_link", soft_link, "extra: is a soft or external link" },
    { "soft_group", soft_group, "music: is a soft or external link" },
    { "external_link", external_link, "extra: is a soft or external link" },
    { "big_endian", big_endian, "not one of ours: little-endian" },
    { "unsigned_words", unsigned_words, "not one of ours" },
    { "spaces", spaces, "not one of ours" },
    { "variable_text", variable_text, "text of fixed length" },
    { "text_matrix", text_matrix, "not one of ours" },
    { "compound", compound, "not one of ours" },
    { "named_type", named_type, "clips/extra: shares types between objects" },
    { "reference", reference, "not one of ours" },
    { "six_dimensions", six_dimensions, "has 6 dimensions" },
    { "a_scalar", a_scalar, "has 0 dimensions" },
    { "too_wide", too_wide, "dimension 1 is 4294967296" },
    { "without_hashes", without_hashes, "there is no clips/extra.xxh3" },
    { "lone_hashes", lone_hashes, "there is no column clips/none" },
    { "signed_hashes", signed_hashes, "must be one little-endian uint64 for each of the 5 rows" },
    { "few_hashes", few_hashes, "must be one little-endian uint64 for each of the 5 rows" },
    { "more_rows", more_rows, "must have the same number" },
    { "bad_name", bad_name, "not a column's name" },
    { "long_name", long_name, "longer than 63" },
    { "group_in_group", group_in_group, "clips/g: is not a column" },
    { "other_group", other_group, "videos: a dataset has the groups" },
    { "type_in_group", type_in_group, "clips/t: is not a column" },
    { "dataset_as_group", dataset_as_group, "artworks: is not a group" },
    { "a_heap", a_heap, "keeps the links of a group in a heap; h5repack" },
    { "no_pairs", no_pairs, "there is no column pairs/artwork" },
    { "variable_attribute", variable_attribute, "numpy.bytes_" },
    { "many_attributes", many_attributes, "keeps its attributes in a heap; h5repack" },
    { "number_attribute", number_attribute, "attribute year: must be one text" },
    { "not_utf8", not_utf8, "UTF-8" },
    { "next_schema", next_schema, "is arttomus-dataset-2, not arttomus-dataset-1" },
    { "no_schema", no_schema, "schema is missing" },
    { "edited", edited, "is damaged or was edited" },
    { "changed_pairs", changed_pairs, "pairs/clip: row 0 has hash" },
    { "float_pairs", float_pairs, "pairs/split: must be one whole number a row" },
};

static int make_scratch(void **state) { (void)state; scratch_make(); return 0; }
static int remove_scratch(void **state) { (void)state; scratch_remove(); return 0; }

static void assert_refused(const char *path, const char *what, const char *says)
{
    atm_dataset *d = NULL;
    const atm_status status = atm_dataset_open(path, &d);
    if (status != ATM_E_DATA || !strstr(atm_error(), says) || strchr(atm_error(), '\n'))
        fail_msg("%s: expected \"%s\", got %d: %s", what, says, status, status ? atm_error() : "");
}

static void every_edit_is_refused(void **state)
{
    (void)state;
    const char *path = scratch_path("a.h5");
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        dataset_write(path, (dataset_size){ .artworks = 3, .clips = 5, .pairs = 7, .validation = 3 });
        const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
        assert_true(file >= 0);
        edits[i].edit(file);
        assert_true(H5Fclose(file) >= 0);
        assert_refused(path, edits[i].name, edits[i].says);
    }
}

/* Bytes of the superblock, with a right checksum. */
static void superblocks_are_checked(void **state)
{
    (void)state;
    static const struct { size_t at; unsigned char value; const char *says; } bad[] = {
        { 8, 9, "is of HDF5's format 9, newer than 3" }, { 8, 1, "" }, { 9, 4, "has addresses of 4 bytes" },
        { 10, 4, "lengths of 4" }, { 12, 1, "user block" }, { 31, 1, "was cut: it should have" },
        { 36, 1, "" }, { 41, 1, "bytes of structure at" }, { 43, 0xff, "" },
    };
    const char *path = scratch_path("a.h5");
    dataset_write(path, (dataset_size){ .artworks = 1, .clips = 1, .pairs = 1 });
    bytes file = read_bytes(path);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const unsigned char old = file.p[bad[i].at];
        file.p[bad[i].at] = bad[i].value;
        hdf5_repair(file.p, file.n);
        write_bytes(path, file.p, file.n);
        assert_refused(path, bad[i].says, bad[i].says);
        file.p[bad[i].at] = old;
    }
    file.p[44] ^= 1;
    write_bytes(path, file.p, file.n);
    assert_refused(path, "checksum", "the checksum of its structure at byte 0 is wrong");
    bytes_free(&file);
}

/* A file being written by HDF5 1.10 says so in its superblock of version 3. */
static void open_files_are_refused(void **state)
{
    (void)state;
    bytes file = read_bytes(fixture_path("dataset/v110.h5"));
    file.p[11] = 1;
    hdf5_repair(file.p, file.n);
    write_bytes(scratch_path("a.h5"), file.p, file.n);
    assert_refused(scratch_path("a.h5"), "open", "is being written, or its writer was killed");
    bytes_free(&file);
}

/* The place of clips/mel in its header, as the file has it once. */
static void places_are_checked(void **state)
{
    (void)state;
    const char *path = scratch_path("a.h5");
    dataset_write(path, (dataset_size){ .artworks = 1, .clips = 2, .pairs = 1 });
    atm_dataset *d = dataset_open(path);
    const atm_column *c = atm_dataset_find(d, "clips/mel");
    const uint64_t place[2] = { c->offset, c->rows * c->row_bytes };
    atm_dataset_close(d);
    bytes file = read_bytes(path);
    unsigned char *at = memmem(file.p, file.n, place, sizeof place);
    assert_non_null(at);
    at[8]++;
    hdf5_repair(file.p, file.n);
    write_bytes(path, file.p, file.n);
    assert_refused(path, "storage", "clips/mel: has 961 bytes of storage, its shape needs 960");
    at[8]--;
    at[5] = 1;
    hdf5_repair(file.p, file.n);
    write_bytes(path, file.p, file.n);
    assert_refused(path, "place", "clips/mel: 960 bytes at 10995116");
    at[5] = 0;
    memset(at, 0xff, 8);
    hdf5_repair(file.p, file.n);
    write_bytes(path, file.p, file.n);
    assert_refused(path, "nowhere", "clips/mel: has no storage");
    bytes_free(&file);
}

/* A file as old versions of HDF5 write it: tables of symbols, in trees. */
static void write_old(const char *path, int columns)
{
    char name[32];
    const hsize_t none = 0;
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    text_attribute(file, "schema", "arttomus-dataset-1");
    close_object(H5Gcreate2(file, "clips", 0, 0, 0));
    close_object(H5Gcreate2(file, "pairs", 0, 0, 0));
    for (int i = 0; i < columns + 3; i++) {
        static const char *const pairs[3] = { "pairs/artwork", "pairs/clip", "pairs/split" };
        snprintf(name, sizeof name, i < 3 ? pairs[i] : "clips/column_%d", i);
        create(file, name, H5T_STD_I32LE, 1, i < 3 ? &none : rows, H5P_DEFAULT);
        strcat(name, ".xxh3");
        create(file, name, H5T_STD_U64LE, 1, i < 3 ? &none : rows, H5P_DEFAULT);
    }
    assert_true(H5Fclose(file) >= 0);
}

static void trees_are_walked(void **state)
{
    (void)state;
    char name[32];
    write_old(scratch_path("a.h5"), 120);
    atm_dataset *d = dataset_open(scratch_path("a.h5"));
    for (int i = 3; i < 123; i++) {
        snprintf(name, sizeof name, "clips/column_%d", i);
        assert_int_equal(atm_dataset_find(d, name)->rows, 5);
    }
    atm_dataset_close(d);
    write_old(scratch_path("a.h5"), 130);
    assert_refused(scratch_path("a.h5"), "130 columns", "more than 256 objects in a group");
}

/* The writer reads back what it wrote: pairs that point nowhere never get a name. */
static void pairs_stay_in_range(void **state)
{
    (void)state;
    static const struct { int32_t artwork, clip; uint8_t split; const char *says; } bad[] = {
        { -2, 0, 0, "pairs/artwork: is -2 in row 0, outside -1..0" }, { 1, 0, 0, "pairs/artwork: is 1" },
        { 0, -1, 0, "pairs/clip: is -1 in row 0, outside 0..1" }, { 0, 2, 0, "pairs/clip: is 2" },
        { 0, 0, 3, "pairs/split: is 3 in row 0, outside 0..2" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        atm_dataset_writer *w = NULL;
        assert_int_equal(atm_dataset_begin(scratch_path("a.h5"), &w), ATM_OK);
        declare(w, "artworks/x", ATM_U8, 1, 0, NULL);
        declare(w, "clips/x", ATM_U8, 2, 0, NULL);
        declare(w, "pairs/artwork", ATM_I32, 1, 0, NULL);
        declare(w, "pairs/clip", ATM_I32, 1, 0, NULL);
        declare(w, "pairs/split", ATM_U8, 1, 0, NULL);
        put(w, "artworks/x", 0, "");
        put(w, "clips/x", 0, "");
        put(w, "clips/x", 1, "");
        put_i32(w, "pairs/artwork", 0, bad[i].artwork);
        put_i32(w, "pairs/clip", 0, bad[i].clip);
        put(w, "pairs/split", 0, &bad[i].split);
        assert_int_equal(atm_dataset_commit(w), ATM_E_DATA);
        if (!strstr(atm_error(), bad[i].says)) fail_msg("expected \"%s\", got %s", bad[i].says, atm_error());
        assert_int_equal(scratch_count(), 0);
    }
}

/* What we write, libhdf5 reads. */
static void libhdf5_agrees(void **state)
{
    (void)state;
    float mel[5][FRAMES][BANDS];
    char model[8] = "";
    dataset_write(scratch_path("a.h5"), (dataset_size){ .artworks = 3, .clips = 5, .pairs = 7,
                                                        .validation = 3 });
    const hid_t file = H5Fopen(scratch_path("a.h5"), H5F_ACC_RDONLY, H5P_DEFAULT);
    const hid_t set = H5Dopen2(file, "clips/mel", H5P_DEFAULT), attr = H5Aopen(file, "model", H5P_DEFAULT);
    assert_true(H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, mel) >= 0);
    assert_true(mel[4][39][2] == mel_at(4, 39, 2));
    const hid_t type = H5Aget_type(attr);
    assert_true(H5Aread(attr, type, model) >= 0);
    assert_string_equal(model, "a model");
    H5Tclose(type);
    H5Aclose(attr);
    H5Dclose(set);
    assert_true(H5Fclose(file) >= 0);
}

/* Every type, rank and text, as libhdf5's own type. */
static void libhdf5_knows_the_types(void **state)
{
    (void)state;
    const struct { atm_dtype dtype; hid_t type; } known[] = {
        { ATM_F32, H5T_IEEE_F32LE }, { ATM_F64, H5T_IEEE_F64LE }, { ATM_I64, H5T_STD_I64LE },
        { ATM_I32, H5T_STD_I32LE }, { ATM_U8, H5T_STD_U8LE },
    };
    for (int i = 0; i < 5; i++) {
        atm_dataset_writer *w = dataset_writer(scratch_path("a.h5"), (dataset_size){ 0 });
        declare(w, "clips/x", known[i].dtype, 0, 2, (int[]){ 3, 4 });
        assert_int_equal(atm_dataset_commit(w), ATM_OK);
        const hid_t file = H5Fopen(scratch_path("a.h5"), H5F_ACC_RDONLY, H5P_DEFAULT);
        const hid_t set = H5Dopen2(file, "clips/x", H5P_DEFAULT), type = H5Dget_type(set);
        assert_true(H5Tequal(type, known[i].type) > 0);
        H5Tclose(type);
        H5Dclose(set);
        assert_true(H5Fclose(file) >= 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_edit_is_refused, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(superblocks_are_checked, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(open_files_are_refused, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(places_are_checked, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(trees_are_walked, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(pairs_stay_in_range, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(libhdf5_agrees, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(libhdf5_knows_the_types, make_scratch, remove_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
