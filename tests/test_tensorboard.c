/* test_tensorboard.c - event files read back by a parser that knows nothing of the
 * writer: TFRecord framing, checksums bit by bit, and a walk over protocol buffers. */
#define _GNU_SOURCE
#include "support/support.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "support/bytes.h"
#include "train/tensorboard.h"

/* ------------------------------------------------------------------ an independent reader */

static uint64_t little(const unsigned char *p, int width)
{
    uint64_t v = 0;
    for (int i = width - 1; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

static uint32_t masked_crc(const unsigned char *p, size_t n)
{
    uint32_t c = 0xffffffff;
    for (size_t i = 0; i < n; i++)
        for (int bit = 0; bit < 8; bit++) {
            const bool odd = (c ^ (uint32_t)(p[i] >> bit)) & 1;
            c = c >> 1 ^ (odd ? 0x82f63b78 : 0);
        }
    c = ~c;
    return (c >> 15 | c << 17) + 0xa282ead8;
}

typedef struct { const unsigned char *p; size_t n; } span;

/* The record at *at, which moves behind it. */
static span next_record(const bytes *file, size_t *at)
{
    const unsigned char *p = file->p + *at;
    assert_true(file->n - *at >= 16);
    const size_t n = (size_t)little(p, 8);
    assert_int_equal(little(p + 8, 4), masked_crc(p, 8));
    assert_true(n <= file->n - *at - 16);
    assert_int_equal(little(p + 12 + n, 4), masked_crc(p + 12, n));
    *at += n + 16;
    return (span){ p + 12, n };
}

static uint64_t varint(span *s)
{
    uint64_t v = 0;
    for (int shift = 0; ; shift += 7) {
        assert_true(s->n > 0 && shift < 64);
        const unsigned char byte = *s->p;
        s->p++;
        s->n--;
        v |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return v;
    }
}

typedef struct { int field, wire; uint64_t number; span data; } entry;

static bool next_entry(span *s, entry *e)
{
    if (s->n == 0) return false;
    const uint64_t key = varint(s);
    *e = (entry){ .field = (int)(key >> 3), .wire = (int)(key & 7) };
    const size_t width = e->wire == 1 ? 8 : e->wire == 5 ? 4 : 0;
    assert_true(e->wire == 0 || e->wire == 1 || e->wire == 2 || e->wire == 5);
    if (e->wire == 0) e->number = varint(s);
    else {
        const size_t n = width ? width : (size_t)varint(s);
        assert_true(n <= s->n);
        e->data = (span){ s->p, n };
        if (width) e->number = little(s->p, (int)width);
        s->p += n;
        s->n -= n;
    }
    return true;
}

/* Field `field`, the i-th of that number; fails when there is none. */
static entry get(span s, int field, int i)
{
    entry e;
    while (next_entry(&s, &e))
        if (e.field == field && i-- == 0) return e;
    fail_msg("no field %d", field);
    return (entry){ 0 };
}

static bool has(span s, int field)
{
    entry e;
    while (next_entry(&s, &e))
        if (e.field == field) return true;
    return false;
}

static double as_double(entry e)
{
    double v;
    assert_int_equal(e.wire, 1);
    memcpy(&v, &e.number, sizeof v);
    return v;
}

static float as_float(entry e)
{
    const uint32_t bits = (uint32_t)e.number;
    float v;
    assert_int_equal(e.wire, 5);
    memcpy(&v, &bits, sizeof v);
    return v;
}

static void assert_text(entry e, const char *text)
{
    assert_int_equal(e.wire, 2);
    assert_int_equal(e.data.n, strlen(text));
    assert_memory_equal(e.data.p, text, e.data.n);
}

/* ------------------------------------------------------------------ the file of a test */

static int make_scratch(void **state) { (void)state; scratch_make(); return 0; }
static int remove_scratch(void **state) { (void)state; scratch_remove(); return 0; }

static const char *event_file(void)
{
    static char name[300];
    DIR *dir = opendir(scratch_path("."));
    assert_non_null(dir);
    *name = '\0';
    for (const struct dirent *d; (d = readdir(dir)); )
        if (!strncmp(d->d_name, "events.out.tfevents.", 20)) snprintf(name, sizeof name, "%s", d->d_name);
    closedir(dir);
    assert_true(*name);
    return scratch_path(name);
}

static atm_tensorboard *open_board(uint64_t first_step)
{
    atm_tensorboard *board;
    assert_int_equal(atm_tensorboard_open(scratch_path("."), first_step, &board), ATM_OK);
    return board;
}

/* Closes the board, reads its file, and passes over the two first events. */
static bytes read_board(atm_tensorboard *board, size_t *at)
{
    assert_int_equal(atm_tensorboard_sync(board), ATM_OK);
    atm_tensorboard_close(board);
    const bytes file = read_bytes(event_file());
    *at = 0;
    next_record(&file, at);
    next_record(&file, at);
    return file;
}

/* ------------------------------------------------------------------ tests */

static void begins_with_version_and_start(void **state)
{
    (void)state;
    atm_tensorboard_close(open_board(301));
    bytes file = read_bytes(event_file());
    size_t at = 0;
    const span version = next_record(&file, &at), start = next_record(&file, &at);
    assert_text(get(version, 3, 0), "brain.Event:2");
    assert_true(as_double(get(version, 1, 0)) > 1.6e9);
    assert_int_equal(get(start, 2, 0).number, 301);
    assert_int_equal(get(get(start, 7, 0).data, 1, 0).number, 1);
    assert_int_equal(at, file.n);
    bytes_free(&file);
}

static void scalars(void **state)
{
    static const char *const name[] = { "loss", "lr" };
    static const double value[] = { 0.1, -3e-5 };
    size_t at;
    (void)state;
    atm_tensorboard *board = open_board(0);
    assert_int_equal(atm_tensorboard_scalars(board, 12345678901, "train", 2, name, value), ATM_OK);
    bytes file = read_board(board, &at);
    const span event = next_record(&file, &at), summary = get(event, 5, 0).data;
    assert_int_equal(get(event, 2, 0).number, 12345678901);
    assert_text(get(get(summary, 1, 0).data, 1, 0), "train/loss");
    assert_true(as_float(get(get(summary, 1, 0).data, 2, 0)) == 0.1f);
    assert_text(get(get(summary, 1, 1).data, 1, 0), "train/lr");
    assert_true(as_float(get(get(summary, 1, 1).data, 2, 0)) == -3e-5f);
    assert_int_equal(at, file.n);
    bytes_free(&file);
}

static void images(void **state)
{
    size_t at;
    (void)state;
    bytes png = read_bytes(fixture_path("data/animated.png"));
    atm_tensorboard *board = open_board(0);
    assert_int_equal(atm_tensorboard_image(board, 7, "samples/a", png.p, png.n), ATM_OK);
    assert_int_equal(atm_tensorboard_image(board, 7, "samples/a", png.p + 1, png.n - 1), ATM_E_DATA);
    assert_int_equal(atm_tensorboard_image(board, 7, "samples/a", png.p, 20), ATM_E_DATA);
    bytes file = read_board(board, &at);
    const span value = get(get(next_record(&file, &at), 5, 0).data, 1, 0).data, image = get(value, 4, 0).data;
    assert_text(get(value, 1, 0), "samples/a");
    assert_int_equal(get(image, 1, 0).number, png.p[22] << 8 | png.p[23]);
    assert_int_equal(get(image, 2, 0).number, png.p[18] << 8 | png.p[19]);
    assert_in_range(get(image, 3, 0).number, 1, 4);
    assert_int_equal(get(image, 4, 0).data.n, png.n);
    assert_memory_equal(get(image, 4, 0).data.p, png.p, png.n);
    assert_int_equal(at, file.n);           /* the refused ones left nothing */
    bytes_free(&file);
    bytes_free(&png);
}

static void sounds_and_texts(void **state)
{
    size_t at;
    (void)state;
    atm_tensorboard *board = open_board(0);
    assert_int_equal(atm_tensorboard_audio(board, 1, "s", "RIFF....", 8, 160000, 16000), ATM_OK);
    assert_int_equal(atm_tensorboard_text(board, 2, "config", "seed: 1\n"), ATM_OK);
    bytes file = read_board(board, &at);
    const span audio = get(get(get(next_record(&file, &at), 5, 0).data, 1, 0).data, 6, 0).data;
    assert_true(as_float(get(audio, 1, 0)) == 16000);
    assert_int_equal(get(audio, 2, 0).number, 1);
    assert_int_equal(get(audio, 3, 0).number, 160000);
    assert_text(get(audio, 4, 0), "RIFF....");
    assert_text(get(audio, 5, 0), "audio/wav");
    const span text = get(get(next_record(&file, &at), 5, 0).data, 1, 0).data, tensor = get(text, 8, 0).data;
    assert_int_equal(get(tensor, 1, 0).number, 7);
    assert_int_equal(get(get(get(tensor, 2, 0).data, 2, 0).data, 1, 0).number, 1);
    assert_text(get(tensor, 8, 0), "seed: 1\n");
    assert_text(get(get(get(text, 9, 0).data, 1, 0).data, 1, 0), "text");
    assert_false(has(text, 2));
    bytes_free(&file);
}

static void two_boards_are_two_files(void **state)
{
    (void)state;
    atm_tensorboard *a = open_board(0), *b = open_board(0);
    assert_int_equal(scratch_count(), 2);
    atm_tensorboard_close(a);
    atm_tensorboard_close(b);
}

static void nowhere_to_write(void **state)
{
    atm_tensorboard *board = NULL;
    (void)state;
    assert_int_equal(atm_tensorboard_open(scratch_path("nowhere"), 0, &board), ATM_E_IO);
    assert_non_null(strstr(atm_error(), "nowhere"));
    assert_null(board);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(begins_with_version_and_start), TEST(scalars), TEST(images), TEST(sounds_and_texts),
        TEST(two_boards_are_two_files), TEST(nowhere_to_write)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
