/* test_resize.c - byte for byte Pillow's bicubic, and the crops of the references. */
#include "support/support.h"
#include "support/media.h"
#include "data/resize.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atm_image noise_image(int width, int height)
{
    atm_image image;
    assert_int_equal(atm_image_alloc(width, height, &image), ATM_OK);
    const uint32_t bytes = 3u * (uint32_t)(width * height);
    for (uint32_t i = 0; i < bytes; i++) image.rgb[i] = (uint8_t)(noise_at(i) >> 24);
    return image;
}

static uint64_t hash_of(const atm_image *image)
{
    return fnv1a(image->rgb, 3 * (size_t)image->width * (size_t)image->height);
}

static uint64_t hash_of_great_wave(int size)
{
    atm_image image;
    assert_int_equal(atm_image_load(fixture_path("great_wave.jpg"), &image), ATM_OK);
    const size_t n = 3 * (size_t)size * (size_t)size;
    float *chw = malloc(n * sizeof *chw);
    assert_non_null(chw);
    assert_int_equal(atm_image_to_chw_normalised(&image, size, ATM_CROP_TORCHVISION, atm_clip_mean,
                                                 atm_clip_std, chw), ATM_OK);
    const uint64_t hash = fnv1a(chw, n * sizeof *chw);
    atm_image_free(&image);
    free(chw);
    return hash;
}

static uint64_t resize_as_said(const char *how, int width, int height, int to_width, int to_height)
{
    atm_image in = noise_image(width, height), out;
    const atm_rect whole = { 0, 0, to_width, to_height };
    const atm_crop crop = strcmp(how, "hf") == 0 ? ATM_CROP_HF : ATM_CROP_TORCHVISION;
    const atm_status status = strcmp(how, "whole") == 0
        ? atm_resize_bicubic(&in, to_width, to_height, whole, &out)
        : atm_image_resize_crop(&in, to_width, crop, &out);
    assert_int_equal(status, ATM_OK);
    assert_true(out.width == to_width && out.height == to_height);
    const uint64_t hash = hash_of(&out);
    atm_image_free(&in);
    atm_image_free(&out);
    return hash;
}

static void check_line(const char *line)
{
    char how[32];
    int width, height, to_width, to_height;
    uint64_t hash;
    assert_int_equal(sscanf(line, "%31s %d %d %d %d %" SCNx64, how, &width, &height, &to_width, &to_height,
                            &hash), 6);
    const uint64_t got = strcmp(how, "great_wave") == 0
        ? hash_of_great_wave(to_width) : resize_as_said(how, width, height, to_width, to_height);
    if (got != hash) fail_msg("%s: differs from the reference", line);
}

static void bytes_are_pillows(void **state)
{
    (void)state;
    each_line("resize.txt", check_line);
}

static void a_window_is_a_cut_of_the_whole(void **state)
{
    (void)state;
    atm_image in = noise_image(50, 40), whole, part;
    const atm_rect window = { 13, 20, 17, 9 };
    assert_int_equal(atm_resize_bicubic(&in, 31, 77, (atm_rect){ 0, 0, 31, 77 }, &whole), ATM_OK);
    assert_int_equal(atm_resize_bicubic(&in, 31, 77, window, &part), ATM_OK);
    for (int y = 0; y < window.height; y++)
        assert_memory_equal(part.rgb + 3 * y * window.width, whole.rgb + 3 * ((y + window.y) * 31 + window.x),
                            3 * (size_t)window.width);
    atm_image_free(&in);
    atm_image_free(&whole);
    atm_image_free(&part);
}

/* Resized whole, this would be 224 x 4480000 pixels: 3 GB. */
static void a_needle_costs_only_its_crop(void **state)
{
    (void)state;
    atm_image in = noise_image(1, 20000), out;
    assert_int_equal(atm_image_resize_crop(&in, 224, ATM_CROP_TORCHVISION, &out), ATM_OK);
    assert_int_equal(out.width, 224);
    assert_int_equal(out.height, 224);
    atm_image_free(&in);
    atm_image_free(&out);
}

static void windows_outside_are_refused(void **state)
{
    (void)state;
    atm_image in = noise_image(4, 4), out = { 0 };
    static const atm_rect bad[] = { { -1, 0, 2, 2 }, { 0, 7, 2, 2 }, { 0, 0, 0, 2 }, { 0, 0, 9, 8 } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(atm_resize_bicubic(&in, 8, 8, bad[i], &out), ATM_E_BUG);
    assert_null(out.rgb);
    atm_image_free(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_pillows),
        cmocka_unit_test(a_window_is_a_cut_of_the_whole),
        cmocka_unit_test(a_needle_costs_only_its_crop),
        cmocka_unit_test(windows_outside_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
