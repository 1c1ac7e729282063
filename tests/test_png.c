/* test_png.c - pictures out: PNG, the small drawing, the spectrogram. */
#include "support/support.h"
#include "support/media.h"
#include "data/canvas.h"
#include "data/mel.h"
#include "data/png_write.h"
#include "data/spectrogram_png.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void png_comes_back(void **state)
{
    (void)state;
    static const int sizes[][2] = { { 1, 1 }, { 37, 5 }, { 300, 201 } };
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        atm_image image, back;
        atm_bytes file = { 0 };
        assert_int_equal(atm_image_alloc(sizes[s][0], sizes[s][1], &image), ATM_OK);
        const size_t bytes = 3 * (size_t)image.width * (size_t)image.height;
        for (uint32_t i = 0; i < bytes; i++) image.rgb[i] = (uint8_t)(noise_at(i) >> 24);
        assert_int_equal(atm_png_encode(&image, &file), ATM_OK);
        assert_int_equal(atm_image_decode(file.data, file.size, &back), ATM_OK);
        assert_true(back.width == image.width && back.height == image.height);
        assert_memory_equal(image.rgb, back.rgb, bytes);
        atm_image_free(&image);
        atm_image_free(&back);
        atm_bytes_free(&file);
    }
}

static int brightness(const atm_image *image, int x, int y)
{
    const uint8_t *p = image->rgb + 3 * (y * image->width + x);
    return p[0] + p[1] + p[2];
}

/* The plot's inside, as spectrogram_png.c lays it out. */
enum { LEFT = 78, TOP = 24, RIGHT = 888, BOTTOM = 340, MIDDLE = (LEFT + RIGHT) / 2 };

static int brightest_row(const atm_image *image, int x)
{
    int best = TOP;
    for (int y = TOP; y < BOTTOM; y++)
        if (brightness(image, x, y) > brightness(image, x, best)) best = y;
    return best;
}

static atm_image picture_of_tone(double hz, size_t seconds)
{
    const size_t n = seconds * ATM_STFT_RATE, frames = n / ATM_STFT_HOP;
    float *x = malloc(n * sizeof *x), *mel = malloc(frames * ATM_MEL_BANDS * sizeof *mel);
    assert_true(x && mel);
    for (size_t i = 0; i < n; i++) x[i] = (float)sin(2 * M_PI * hz * (double)i / ATM_STFT_RATE);
    assert_int_equal(atm_mel(x, n, ATM_FRAMING_ART2MUS, mel), ATM_OK);
    atm_image image;
    assert_int_equal(atm_spectrogram_draw(mel, frames, &image), ATM_OK);
    free(x);
    free(mel);
    return image;
}

/* A band is 5 pixels high; the brightest row is within one band of where the axis says. */
static void tones_are_drawn_at_their_height(void **state)
{
    (void)state;
    static const double tones[] = { 250, 1000, 4000 };
    for (size_t i = 0; i < 3; i++) {
        atm_image image = picture_of_tone(tones[i], 2);
        const double band = atm_hz_to_mel(tones[i]) / (atm_hz_to_mel(8000) / 65) - 0.5;
        const double row = BOTTOM - band / ATM_MEL_BANDS * (BOTTOM - TOP);
        assert_true(fabs(brightest_row(&image, MIDDLE) - row) < 5);
        atm_image_free(&image);
    }
}

static void silence_is_dark(void **state)
{
    (void)state;
    float mel[100 * ATM_MEL_BANDS];
    for (size_t i = 0; i < 100 * ATM_MEL_BANDS; i++) mel[i] = i % 7 ? ATM_MEL_SILENCE : NAN;
    atm_image image;
    assert_int_equal(atm_spectrogram_draw(mel, 100, &image), ATM_OK);
    for (int y = TOP; y < BOTTOM; y++)
        for (int x = LEFT; x < RIGHT; x++) assert_true(brightness(&image, x, y) <= 4);
    atm_image_free(&image);
}

static void any_length_is_drawn(void **state)
{
    (void)state;
    static const size_t lengths[] = { 1, 2, 5, 100000 };
    float *mel = calloc(100000, ATM_MEL_BANDS * sizeof *mel);
    assert_non_null(mel);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        atm_image image;
        assert_int_equal(atm_spectrogram_draw(mel, lengths[i], &image), ATM_OK);
        assert_true(brightness(&image, LEFT, TOP) == brightness(&image, RIGHT - 1, BOTTOM - 1));
        atm_image_free(&image);
    }
    atm_image none;
    assert_int_equal(atm_spectrogram_draw(mel, 0, &none), ATM_E_DATA);
    free(mel);
}

static long ink_of(const char *text, int upward)
{
    const atm_text_style style = { 10, 1.2, 0.5, upward, { 255, 255, 255 } };
    atm_image image;
    long ink = 0;
    assert_int_equal(atm_image_alloc(200, 200, &image), ATM_OK);
    atm_draw_text(&image, 100, 100, &style, text);
    for (int i = 0; i < 200 * 200; i++) ink += image.rgb[3 * i];
    atm_image_free(&image);
    return ink;
}

/* A glyph missing from the table would draw as a gap. */
static void every_character_used_has_a_glyph(void **state)
{
    (void)state;
    for (const char *c = "0123456789.-k()TimesFrequencyHzdB"; *c; c++) {
        const char text[] = { *c, '\0' };
        if (ink_of(text, 0) < 255) fail_msg("no glyph for '%c'", *c);
        assert_in_range(ink_of(text, 1), ink_of(text, 0) / 2, ink_of(text, 0) * 2);
    }
    assert_int_equal(ink_of("@", 0), 0);
}

static void drawing_outside_is_harmless(void **state)
{
    (void)state;
    atm_image image;
    const atm_text_style style = { .size = 10, .weight = 1.2, .colour = { 1, 2, 3 } };
    assert_int_equal(atm_image_alloc(5, 5, &image), ATM_OK);
    atm_draw_box(&image, (atm_rect){ -10, -10, 12, 12 }, (atm_colour){ 9, 9, 9 });
    atm_draw_text(&image, -3, 4, &style, "800");
    atm_draw_text(&image, 4, -3, &style, "800");
    assert_int_equal(image.rgb[0], 9);
    atm_image_free(&image);
}

static void a_file_appears_or_does_not(void **state)
{
    (void)state;
    const char *path = ATM_BINARY_DIR "/test_png_out.png";
    float mel[10 * ATM_MEL_BANDS] = { 0 };
    struct stat info;
    atm_image back;
    unlink(path);
    assert_int_equal(atm_spectrogram_save(path, mel, 10), ATM_OK);
    assert_int_equal(atm_image_load(path, &back), ATM_OK);
    assert_true(back.width == 1000 && back.height == 400);
    atm_image_free(&back);
    unlink(path);
    assert_int_equal(atm_spectrogram_save(path, mel, 0), ATM_E_DATA);
    assert_int_equal(stat(path, &info), -1);
    assert_int_equal(atm_spectrogram_save("/nowhere/at/all.png", mel, 10), ATM_E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(png_comes_back),
        cmocka_unit_test(tones_are_drawn_at_their_height),
        cmocka_unit_test(silence_is_dark),
        cmocka_unit_test(any_length_is_drawn),
        cmocka_unit_test(every_character_used_has_a_glyph),
        cmocka_unit_test(drawing_outside_is_harmless),
        cmocka_unit_test(a_file_appears_or_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
