/* test_pairs.c - pair tables read and refused, windows of tracks, and who is held out. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "prepare/pairs.h"
#include "prepare/split.h"

static char path[512];

static atm_status read_bytes(const char *extension, const char *text, size_t bytes, atm_pair_list *out)
{
    snprintf(path, sizeof path, "%s/pairs_test.%s", ATM_BINARY_DIR, extension);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, bytes, f), bytes);
    fclose(f);
    const atm_status status = atm_pairs_read(path, out);
    unlink(path);
    return status;
}

static atm_status read_text(const char *extension, const char *text, atm_pair_list *out)
{
    return read_bytes(extension, text, strlen(text), out);
}

static atm_pair_list good(const char *extension, const char *text)
{
    atm_pair_list list = { 0 };
    if (read_text(extension, text, &list) != ATM_OK) fail_msg("%s", atm_error());
    return list;
}

/* ------------------------------------------------------------------ what is read */

static void test_csv(void **state)
{
    (void)state;
    atm_pair_list l = good("csv",
        "\xEF\xBB\xBF" "split,track,artwork,start,caption_music\r\n"
        "train,\"a, b.ogg\",x.jpg,1.5,\"he said \"\"so\"\"\nand went\"\r\n"
        "\r\n"
        ",c.ogg,,,\n"
        "test,d.ogg,\"\", 2 ,caf\xC3\xA9");
    assert_int_equal(l.n, 3);
    assert_true(l.has_start);
    assert_string_equal(l.row[0].track, "a, b.ogg");
    assert_string_equal(l.row[0].artwork, "x.jpg");
    assert_string_equal(l.row[0].caption_music, "he said \"so\"\nand went");
    assert_true(l.row[0].start == 1.5);
    assert_int_equal(l.row[0].split, ATM_SPLIT_TRAIN);
    assert_null(l.row[1].artwork);
    assert_int_equal(l.row[1].split, ATM_SPLIT_DRAWN);
    assert_int_equal(l.row[1].line, 5);
    assert_string_equal(l.row[1].licence, "");
    assert_null(l.row[2].artwork);
    assert_true(l.row[2].start == 2);
    assert_string_equal(l.row[2].caption_music, "caf\xC3\xA9");
    atm_pairs_free(&l);
}

static void test_tsv(void **state)
{
    (void)state;
    atm_pair_list l = good("TSV", "artwork\ttrack\tlicence\n\"a\".png\tb.ogg\tCC0, \"free\"\r\n");
    assert_int_equal(l.n, 1);
    assert_false(l.has_start);
    assert_string_equal(l.row[0].artwork, "\"a\".png");
    assert_string_equal(l.row[0].licence, "CC0, \"free\"");
    atm_pairs_free(&l);
}

static void test_jsonl(void **state)
{
    (void)state;
    atm_pair_list l = good("jsonl",
        "{\"track\": \"b.ogg\", \"start\": 10.25, \"artwork\": null}\n\n"
        "{\"artwork\": \"\\u00e9.png\", \"track\": \"c\", \"split\": \"validation\", \"start\": \"3\"}");
    assert_int_equal(l.n, 2);
    assert_true(l.row[0].start == 10.25);
    assert_null(l.row[0].artwork);
    assert_string_equal(l.row[1].artwork, "\xC3\xA9.png");
    assert_true(l.row[1].start == 3);
    assert_int_equal(l.row[1].split, ATM_SPLIT_VALIDATION);
    assert_int_equal(l.row[1].line, 3);
    atm_pairs_free(&l);
}

/* ------------------------------------------------------------------ what is refused */

static const struct { const char *extension, *text; atm_status status; const char *message; } refusals[] = {
    { "csv",   "",                                      ATM_E_DATA,  "is empty" },
    { "csv",   "artwork,track\n",                       ATM_E_DATA,  "holds no pairs" },
    { "csv",   "artwork,trak\na,b\n",                   ATM_E_DATA,  ":1: unknown column 'trak': did you" },
    { "csv",   "artwork,track,xyzzy\na,b,c\n",          ATM_E_DATA,  "known are artwork, track" },
    { "csv",   "artwork\na\n",                          ATM_E_DATA,  "no column is called track" },
    { "csv",   "track,track\na,b\n",                    ATM_E_DATA,  "two columns are called track" },
    { "csv",   "track,start\na,1\nb\n",                 ATM_E_DATA,  ":3: 1 fields where the header has 2" },
    { "csv",   "track,start\na,1,2\n",                  ATM_E_DATA,  ":2: more fields than the 2" },
    { "csv",   "track,start\na,ten\n",                  ATM_E_DATA,  ":2: start 'ten' must be" },
    { "csv",   "track,start\na,-1\n",                   ATM_E_DATA,  "start '-1'" },
    { "csv",   "track,start\na,nan\n",                  ATM_E_DATA,  "start 'nan'" },
    { "csv",   "track,start\na,1e9\n",                  ATM_E_DATA,  "start '1e9'" },
    { "csv",   "track,split\na,training\n",             ATM_E_DATA,  "did you mean train?" },
    { "csv",   "track,split\na,x\n",                    ATM_E_DATA,  "must be train, validation or test" },
    { "csv",   "artwork,track\na,\n",                   ATM_E_DATA,  ":2: names no track" },
    { "csv",   "track,source\na,\"b\nc\nd\n",           ATM_E_DATA,  ":2: a quote is opened" },
    { "csv",   "track\n\"a\"b\n",                       ATM_E_DATA,  ":2: text behind a closing quote" },
    { "csv",   "track\na\nb\xFF\n",                     ATM_E_DATA,  ":3: is not UTF-8" },
    { "tsv",   "track\n\xC3\x28\n",                     ATM_E_DATA,  ":2: is not UTF-8" },
    { "jsonl", "{\"track\": \"a\"}\n{\"track\": \n",    ATM_E_DATA,  ":2: " },
    { "jsonl", "[1]\n",                                 ATM_E_DATA,  "must be a JSON object" },
    { "jsonl", "{\"track\": \"a\", \"trak\": 1}\n",     ATM_E_DATA,  "did you mean track?" },
    { "jsonl", "{\"track\": [1]}\n",                    ATM_E_DATA,  "must be a text or a number" },
    { "jsonl", "{\"track\": \"a\", \"track\": \"b\"}",  ATM_E_DATA,  ":1: " },
    { "jsonl", "{\"artwork\": \"a\"}\n",                ATM_E_DATA,  "names no track" },
    { "jsonl", "\n",                                    ATM_E_DATA,  "holds no pairs" },
    { "xlsx",  "PK",                                    ATM_E_USAGE, "are read from .csv, .tsv and .jsonl" },
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        atm_pair_list list = { 0 };
        const atm_status status = read_text(refusals[i].extension, refusals[i].text, &list);
        if (status != refusals[i].status || !strstr(atm_error(), refusals[i].message))
            fail_msg("%zu: %d, %s; wanted %s", i, status, atm_error(), refusals[i].message);
        assert_int_equal(list.n, 0);
    }
    atm_pair_list list = { 0 };
    assert_int_equal(read_bytes("csv", "track\na\0b\n", 10, &list), ATM_E_DATA);
    assert_int_equal(atm_pairs_read("no-such-file.csv", &list), ATM_E_NOINPUT);
}

static void test_long_cell(void **state)
{
    (void)state;
    char *text = malloc(6000);
    assert_non_null(text);
    memset(text, 'x', 6000);
    memcpy(text, "track\n", 6);
    atm_pair_list list = { 0 };
    assert_int_equal(read_bytes("csv", text, 6000, &list), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "at most 4096"));
    free(text);
}

/* Whatever the bytes: rows or a message, and no byte outside the buffer touched (under ASan). */
static void test_mutants(void **state)
{
    static const char *const extensions[] = { "csv", "tsv", "jsonl" };
    static const char seed_text[] = "track,start\n\"a,\"\"b\",1\r\n{\"track\":\"a\",\"start\":2}\nx\ty,3\n";
    uint64_t seed = 1;
    (void)state;
    for (int i = 0; i < 3000; i++) {
        char text[sizeof seed_text];
        memcpy(text, seed_text, sizeof text);
        for (int k = 0; k < 4; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            text[(seed >> 33) % (sizeof text - 1)] = ",\t\"\n\r{}:ax1\0\xFF"[(seed >> 50) % 14];
        }
        atm_pair_list list = { 0 };
        const atm_status status = read_bytes(extensions[i % 3], text, (seed >> 20) % sizeof text, &list);
        assert_true(status == ATM_OK ? list.n > 0 : status == ATM_E_DATA && list.n == 0);
        atm_pairs_free(&list);
    }
}

/* ------------------------------------------------------------------ windows */

static void test_windows(void **state)
{
    const atm_window_rule all = { .step = 100, .all = true }, one = { .step = 100 };
    const atm_window_rule three = { .step = 100, .all = true, .most = 3 };
    (void)state;
    assert_int_equal(atm_window_count(&all, 0, 0), 0);
    assert_int_equal(atm_window_count(&all, 49, 0), 0);
    assert_int_equal(atm_window_count(&all, 50, 0), 1);
    assert_int_equal(atm_window_count(&all, 149, 0), 1);
    assert_int_equal(atm_window_count(&all, 150, 0), 2);
    assert_int_equal(atm_window_count(&all, 1000, 0), 10);
    assert_int_equal(atm_window_count(&all, 1000, 960), 0);
    assert_int_equal(atm_window_count(&all, 1000, 2000), 0);
    assert_int_equal(atm_window_count(&one, 1000, 0), 1);
    assert_int_equal(atm_window_count(&one, 49, 0), 0);
    assert_int_equal(atm_window_start(&all, 1000, 30, 2), 230);
    assert_int_equal(atm_window_count(&three, 1000, 0), 3);
    assert_int_equal(atm_window_start(&three, 1000, 0, 0), 0);
    assert_int_equal(atm_window_start(&three, 1000, 0, 1), 300);
    assert_int_equal(atm_window_start(&three, 1000, 0, 2), 600);
}

/* ------------------------------------------------------------------ splits */

static void collect(const atm_pair_list *list, atm_collection *out)
{
    if (atm_collection_make(list, "art", "music", out) != ATM_OK) fail_msg("%s", atm_error());
}

static void test_collection(void **state)
{
    atm_collection c;
    (void)state;
    atm_pair_list l = good("csv", "artwork,track,start,caption_music\n"
                                  "a,x,0,\nb,/y,0,later\na,x,0,first\na,x,1,\n,x,,\na,x,0,\n");
    collect(&l, &c);
    assert_int_equal(c.n_artworks, 2);
    assert_int_equal(c.n_tracks, 2);
    assert_int_equal(c.n_matches, 4);
    assert_int_equal(c.repeated, 2);
    assert_string_equal(c.track[0].file, "music/x");
    assert_string_equal(c.track[1].file, "/y");
    assert_string_equal(c.artwork[1].file, "art/b");
    assert_string_equal(c.track[0].caption, "first");
    assert_int_equal(c.first_of_track[1] - c.first_of_track[0], 3);
    assert_int_equal(c.by_track[2]->start, 16000);
    atm_collection_free(&c);
    atm_pairs_free(&l);
}

/* n tracks and m artworks, each with three tracks. */
static atm_pair_list random_pairs(int n, int m)
{
    char *text = malloc(1 << 20), *at = text;
    assert_non_null(text);
    at += sprintf(at, "artwork,track\n");
    for (int a = 0; a < m; a++)
        for (int k = 0; k < 3; k++) at += sprintf(at, "a%d,t%d\n", a, (a * 7 + k * k * 13 + a / 5) % n);
    atm_pair_list l = good("csv", text);
    free(text);
    return l;
}

/* No artwork and no track on two sides, and shares near those asked for. */
static void test_drawn_splits(void **state)
{
    atm_collection c;
    int leaks, in[ATM_SPLITS + 1] = { 0 }, dropped = 0;
    (void)state;
    atm_pair_list l = random_pairs(1000, 3000);
    collect(&l, &c);
    dropped = atm_split_draw(&c, (atm_shares){ 0.1, 0.05 });
    for (int i = 0; i < c.n_matches; i++) {
        const atm_match *m = &c.match[i];
        in[m->split]++;
        if (m->split == ATM_SPLITS) continue;
        assert_int_equal(c.track[m->track].split, m->split);
        assert_int_equal(c.artwork[m->artwork].split, m->split);
    }
    assert_int_equal(in[ATM_SPLITS], dropped);
    assert_int_equal(atm_split_leaks(&c, &leaks), ATM_OK);
    assert_int_equal(leaks, 0);
    int tracks[ATM_SPLITS] = { 0 };
    for (int t = 0; t < c.n_tracks; t++) tracks[c.track[t].split]++;
    assert_in_range(tracks[ATM_SPLIT_VALIDATION], 70, 130);     /* 100, and 3 standard deviations */
    assert_in_range(tracks[ATM_SPLIT_TEST], 30, 70);
    for (int a = 0; a < c.n_artworks; a++) assert_true(c.artwork[a].splits != 0);    /* each keeps a pair */
    atm_collection_free(&c);
    atm_pairs_free(&l);
}

/* Another track in the list moves none. */
static void test_splits_stay(void **state)
{
    atm_collection few, many;
    (void)state;
    atm_pair_list l = random_pairs(300, 300), more = random_pairs(400, 600);
    collect(&l, &few);
    collect(&more, &many);
    atm_split_draw(&few, (atm_shares){ 0.2, 0.2 });
    atm_split_draw(&many, (atm_shares){ 0.2, 0.2 });
    for (int t = 0; t < few.n_tracks; t++)
        for (int k = 0; k < many.n_tracks; k++)
            if (!strcmp(few.track[t].name, many.track[k].name))
                assert_int_equal(few.track[t].split, many.track[k].split);
    atm_collection_free(&few);
    atm_collection_free(&many);
    atm_pairs_free(&l);
    atm_pairs_free(&more);
}

static void test_named_splits(void **state)
{
    atm_collection c;
    int leaks;
    (void)state;
    atm_pair_list l = good("csv", "artwork,track,split\na,x,test\nb,x,\nc,y,train\nc,x,\na,z,validation\n");
    collect(&l, &c);
    assert_int_equal(atm_split_draw(&c, (atm_shares){ 0, 0 }), 1);          /* c-x */
    assert_int_equal(c.match[1].split, ATM_SPLIT_TEST);                     /* b goes with x */
    assert_int_equal(c.match[2].split, ATM_SPLIT_TRAIN);
    assert_int_equal(c.match[3].split, ATM_SPLITS);
    assert_int_equal(c.match[4].split, ATM_SPLIT_VALIDATION);
    assert_int_equal(atm_split_leaks(&c, &leaks), ATM_OK);
    assert_int_equal(leaks, 1);                                             /* a, as the rows say */
    atm_collection_free(&c);
    atm_pairs_free(&l);
}

/* Small collections have a validation track too. */
static void test_small_collections(void **state)
{
    atm_collection c;
    int in[ATM_SPLITS] = { 0 };
    (void)state;
    atm_pair_list l = good("csv", "track\none\ntwo\nthree\n");
    collect(&l, &c);
    assert_int_equal(atm_split_draw(&c, (atm_shares){ 0.001, 0.001 }), 0);
    for (int t = 0; t < c.n_tracks; t++) in[c.track[t].split]++;
    for (int s = 0; s < ATM_SPLITS; s++) assert_int_equal(in[s], 1);
    atm_collection_free(&c);
    atm_pairs_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv), cmocka_unit_test(test_tsv), cmocka_unit_test(test_jsonl),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_long_cell), cmocka_unit_test(test_mutants),
        cmocka_unit_test(test_windows), cmocka_unit_test(test_collection),
        cmocka_unit_test(test_drawn_splits), cmocka_unit_test(test_splits_stay),
        cmocka_unit_test(test_named_splits), cmocka_unit_test(test_small_collections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
