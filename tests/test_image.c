/* test_image.c - pictures: Pillow's pixels, and what must be refused. */
#define _GNU_SOURCE     /* memmem */
#include "support/support.h"
#include "support/media.h"
#include "data/exif.h"
#include "data/image.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_against_pillow(const char *line)
{
    char name[64];
    int width, height;
    uint64_t hash;
    assert_int_equal(sscanf(line, "%63s %d %d %" SCNx64, name, &width, &height, &hash), 4);
    atm_bytes file = media(name);
    atm_image image;
    if (atm_image_decode(file.data, file.size, &image) != ATM_OK) fail_msg("%s: %s", name, atm_error());
    if (image.width != width || image.height != height)
        fail_msg("%s: %d x %d, Pillow says %d x %d", name, image.width, image.height, width, height);
    if (fnv1a(image.rgb, 3 * (size_t)width * (size_t)height) != hash)
        fail_msg("%s: pixels differ from Pillow's", name);
    atm_image_free(&image);
    atm_bytes_free(&file);
}

static void pixels_are_pillows(void **state)
{
    (void)state;
    each_line("images.txt", check_against_pillow);
}

static void check_refused(const char *name)
{
    atm_bytes file = media(name);
    atm_image image = { 1, 2, NULL };
    if (atm_image_decode(file.data, file.size, &image) != ATM_E_DATA) fail_msg("%s was not refused", name);
    assert_true(strlen(atm_error()) > 0 && !strchr(atm_error(), '\n'));
    assert_true(image.width == 1 && image.height == 2 && !image.rgb);        /* left as it was */
    atm_bytes_free(&file);
}

static void bombs_and_rubbish_are_refused(void **state)
{
    (void)state;
    each_line("refused.txt", check_refused);
}

static const char *refusal(const char *name)
{
    atm_bytes file = media(name);
    atm_image image;
    assert_int_equal(atm_image_decode(file.data, file.size, &image), ATM_E_DATA);
    atm_bytes_free(&file);
    return atm_error();
}

static void refusals_say_why(void **state)
{
    (void)state;
    assert_non_null(strstr(refusal("bomb.png"), "50000 x 50000"));
    assert_non_null(strstr(refusal("bomb.jpg"), "65500 x 65500"));
    assert_non_null(strstr(refusal("bomb_scans.jpg"), "64 scans"));
    assert_non_null(strstr(refusal("truncated.jpg"), "truncated"));
    assert_non_null(strstr(refusal("truncated.png"), "truncated"));
    assert_non_null(strstr(refusal("truncated.webp"), "truncated"));
    assert_non_null(strstr(refusal("animated.webp"), "animated"));
    assert_non_null(strstr(refusal("text.jpg"), "not a JPEG, PNG or WebP"));
}

/* The largest picture in 200 scans would take a minute. */
static void many_scans_of_many_pixels_are_refused(void **state)
{
    (void)state;
    static const uint8_t size[] = { 0x1B, 0x9E, 0x1B, 0x9E };            /* 7070 x 7070 */
    atm_bytes file = media("bomb_scans.jpg");
    uint8_t *frame = memmem(file.data, file.size, "\xFF\xC2", 2);
    assert_non_null(frame);
    memcpy(frame + 5, size, sizeof size);
    atm_image image;
    assert_int_equal(atm_image_decode(file.data, file.size, &image), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "more than 12 scans"));
    atm_bytes_free(&file);
}

/* A JPEG must not decode from any part of it: libjpeg by itself paints the rest grey. */
static void every_truncation_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = { "plain.jpg", "progressive.jpg", "rgb.png", "lossless.webp" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        atm_bytes file = media(names[i]);
        for (size_t size = 0; size + 16 < file.size; size += 7) {
            atm_image image;
            if (atm_image_decode(file.data, size, &image) != ATM_E_DATA)
                fail_msg("%s: %zu of %zu bytes were taken for a picture", names[i], size, file.size);
        }
        atm_bytes_free(&file);
    }
}

static void files_load_by_content_not_name(void **state)
{
    (void)state;
    atm_image image;
    assert_int_equal(atm_image_load(fixture_path("great_wave.jpg"), &image), ATM_OK);
    assert_int_equal(image.width, 665);
    assert_int_equal(image.height, 450);
    atm_image_free(&image);
    assert_null(image.rgb);
    assert_int_equal(atm_image_load(fixture_path("no_such.jpg"), &image), ATM_E_NOINPUT);
    assert_non_null(strstr(atm_error(), "no_such.jpg: No such file"));
    assert_int_equal(atm_image_load(fixture_path("data"), &image), ATM_E_NOINPUT);      /* a directory */
    assert_int_equal(atm_image_load(fixture_path("data/text.jpg"), &image), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "text.jpg: not a JPEG"));
}

static void limits_hold_on_alloc(void **state)
{
    (void)state;
    atm_image image;
    static const int bad[][2] = {
        { 0, 1 }, { 1, 0 }, { -1, 5 }, { 65536, 1 }, { 1, 65536 }, { 10000, 5001 }
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(atm_image_alloc(bad[i][0], bad[i][1], &image), ATM_E_DATA);
    assert_int_equal(atm_image_alloc(10000, 5000, &image), ATM_OK);      /* the limit itself is allowed */
    atm_image_free(&image);
}

static void broken_exif_means_upright(void **state)
{
    (void)state;
    static const uint8_t good[] = "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    assert_int_equal(atm_exif_orientation(good, sizeof good - 1), 6);
    for (size_t size = 0; size < 20; size++) {
        uint8_t *part = malloc(size + 1);           /* exact size: the sanitizer sees the end */
        assert_non_null(part);
        memcpy(part, good, size);
        assert_int_equal(atm_exif_orientation(part, size), 1);
        free(part);
    }
    static const uint8_t far[] = "II*\0\xFF\xFF\xFF\xFF";      /* a directory beyond the end */
    assert_int_equal(atm_exif_orientation(far, sizeof far - 1), 1);
    static const uint8_t endless[] = "II*\0\x08\0\0\0\xFF\xFF";
    assert_int_equal(atm_exif_orientation(endless, sizeof endless - 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_are_pillows),
        cmocka_unit_test(bombs_and_rubbish_are_refused),
        cmocka_unit_test(refusals_say_why),
        cmocka_unit_test(many_scans_of_many_pixels_are_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(files_load_by_content_not_name),
        cmocka_unit_test(limits_hold_on_alloc),
        cmocka_unit_test(broken_exif_means_upright),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
