/* spectrogram_png.c - see spectrogram_png.h.  The mel becomes a small grey picture, one
 * pixel a frame and band, is resized like any other, and is coloured last. */
#include "data/spectrogram_png.h"
#include "data/canvas.h"
#include "data/mel.h"
#include "data/png_write.h"
#include "data/resize.h"

#include <math.h>
#include <stdio.h>

enum { WIDTH = 1000, HEIGHT = 400 };
static const atm_rect plot = { 78, 24, 810, 316 }, bar = { 912, 24, 14, 316 };
static const double RANGE_DB = 80.0, DB_PER_NAT = 8.685889638065035;      /* 20 / ln 10 */

static const atm_colour paper = { 0x10, 0x10, 0x16 }, ink = { 0xD8, 0xD8, 0xE0 }, dim = { 0x8A, 0x8A, 0x96 };

/* Sixteen steps of matplotlib's "magma" (Smith and van der Walt, CC0): evenly
 * brighter, readable without colour. */
static const atm_colour magma[16] = {
    { 0x00, 0x00, 0x04 }, { 0x0B, 0x09, 0x24 }, { 0x20, 0x11, 0x4B }, { 0x3B, 0x0F, 0x70 },
    { 0x57, 0x15, 0x7E }, { 0x72, 0x1F, 0x81 }, { 0x8C, 0x29, 0x81 }, { 0xA8, 0x32, 0x7D },
    { 0xC4, 0x3C, 0x75 }, { 0xDE, 0x49, 0x68 }, { 0xF1, 0x60, 0x5D }, { 0xFA, 0x7F, 0x5E },
    { 0xFE, 0x9F, 0x6D }, { 0xFE, 0xBF, 0x84 }, { 0xFD, 0xDE, 0xA0 }, { 0xFC, 0xFD, 0xBF },
};

static uint8_t blend(uint8_t a, uint8_t b, int part)
{
    return (uint8_t)((a * (17 - part) + b * part + 8) / 17);
}

static atm_colour colour_of(uint8_t level)          /* 255 = 15 steps of 17 */
{
    const int step = level / 17, part = level % 17;
    const atm_colour a = magma[step], b = magma[step < 15 ? step + 1 : 15];
    return (atm_colour){ blend(a.r, b.r, part), blend(a.g, b.g, part), blend(a.b, b.b, part) };
}

/* ------------------------------------------------ the picture itself */

/* What is drawn as 0 dB: the loudest point, but never so low that the noise of silence glows. */
static double reference(const float *mel, size_t n)
{
    double loudest = ATM_MEL_SILENCE + RANGE_DB / DB_PER_NAT;
    for (size_t i = 0; i < n; i++)
        if ((double)mel[i] > loudest && isfinite(mel[i])) loudest = (double)mel[i];
    return loudest;
}

static uint8_t level_of(double nats_below)
{
    const double level = 255.0 * (1.0 + nats_below * DB_PER_NAT / RANGE_DB);
    return (uint8_t)fmin(255.0, fmax(0.0, level + 0.5));      /* fmax makes NaN dark */
}

/* One column a frame; of a long clip, the loudest of `group` frames a column. */
static atm_status draw_levels(const float *mel, size_t frames, size_t group, atm_image *out)
{
    const size_t columns = (frames + group - 1) / group;
    const double zero = reference(mel, frames * ATM_MEL_BANDS);
    TRY_RETURN(atm_image_alloc((int)columns, ATM_MEL_BANDS, out));
    for (size_t t = 0; t < frames; t++)
        for (size_t band = 0; band < ATM_MEL_BANDS; band++) {
            const uint8_t level = level_of((double)mel[t * ATM_MEL_BANDS + band] - zero);
            uint8_t *p = out->rgb + 3 * ((ATM_MEL_BANDS - 1 - band) * columns + t / group);
            if (level > p[0]) p[0] = p[1] = p[2] = level;
        }
    return ATM_OK;
}

static void paste_coloured(const atm_image *levels, const atm_image *out)
{
    for (int y = 0; y < plot.height; y++)
        for (int x = 0; x < plot.width; x++) {
            const uint8_t level = levels->rgb[3 * (y * plot.width + x)];
            atm_draw_box(out, (atm_rect){ plot.x + x, plot.y + y, 1, 1 }, colour_of(level));
        }
}

static atm_status draw_mel(const float *mel, size_t frames, const atm_image *out)
{
    const size_t most = 4 * (size_t)plot.width, group = (frames + most - 1) / most;
    const atm_rect whole = { 0, 0, plot.width, plot.height };
    atm_image small = { 0 }, levels = { 0 };
    atm_status status;
    TRY(draw_levels(mel, frames, group, &small));
    TRY(atm_resize_bicubic(&small, plot.width, plot.height, whole, &levels));
    paste_coloured(&levels, out);
done:
    atm_image_free(&small);
    atm_image_free(&levels);
    return status;
}

/* ------------------------------------------------ axes */

enum { TICK = 5 };
static const double TEXT_SIZE = 9.5, TEXT_WEIGHT = 1.25;

static void label(const atm_image *out, double x, double y, double align, const char *text)
{
    const atm_text_style style = { TEXT_SIZE, TEXT_WEIGHT, align, 0, ink };
    atm_draw_text(out, x, y, &style, text);
}

static void title(const atm_image *out, double x, double y, int upward, const char *text)
{
    const atm_text_style style = { TEXT_SIZE, TEXT_WEIGHT, 0.5, upward, dim };
    atm_draw_text(out, x, y, &style, text);
}

/* The smallest of 1, 2, 5 x 10^k seconds that gives at most 10 steps. */
static double time_step(double seconds)
{
    static const double factor[] = { 2.0, 2.5, 2.0 };
    double step = 0.001;
    for (int i = 0; seconds / step > 10.5; i++) step *= factor[i % 3];
    return step;
}

static void draw_time_axis(const atm_image *out, size_t frames)
{
    const double seconds = (double)frames * ATM_STFT_HOP / ATM_STFT_RATE, step = time_step(seconds);
    const int bottom = plot.y + plot.height;
    for (int i = 0; i * step <= seconds * (1 + 1e-9); i++) {
        const double x = plot.x + i * step / seconds * plot.width;
        char text[32];
        snprintf(text, sizeof text, "%.6g", i * step);
        atm_draw_box(out, (atm_rect){ (int)(x + 0.5) - (i > 0), bottom, 1, TICK }, dim);
        label(out, x, bottom + 15, 0.5, text);
    }
    title(out, plot.x + plot.width / 2.0, HEIGHT - 16, 0, "Time (s)");
}

/* Height of a frequency, 0 to 1: the centre of band b is at (b + 1) steps of the
 * mel scale; 8 kHz lies half a band above the top row. */
static double height_of(double hz)
{
    const double step = atm_hz_to_mel(8000.0) / (ATM_MEL_BANDS + 1);
    return fmin(1.0, (atm_hz_to_mel(hz) / step - 0.5) / ATM_MEL_BANDS);
}

static void draw_frequency_axis(const atm_image *out)
{
    static const struct { double hz; const char *text; } ticks[] = {
        { 250, "250" }, { 500, "500" }, { 1000, "1k" }, { 2000, "2k" }, { 4000, "4k" }, { 8000, "8k" },
    };
    for (size_t i = 0; i < sizeof ticks / sizeof *ticks; i++) {
        const double y = plot.y + (1.0 - height_of(ticks[i].hz)) * plot.height;
        atm_draw_box(out, (atm_rect){ plot.x - TICK, (int)(y + 0.5), TICK, 1 }, dim);
        label(out, plot.x - TICK - 6, y + 0.5, 1.0, ticks[i].text);
    }
    title(out, 18, plot.y + plot.height / 2.0, 1, "Frequency (Hz)");
}

static void draw_colour_bar(const atm_image *out)
{
    for (int y = 0; y < bar.height; y++) {
        const uint8_t level = (uint8_t)(255 - 255 * y / (bar.height - 1));
        atm_draw_box(out, (atm_rect){ bar.x, bar.y + y, bar.width, 1 }, colour_of(level));
    }
    for (int i = 0; i <= 4; i++) {
        const double y = bar.y + i * (bar.height - 1) / 4.0;
        char text[8];
        snprintf(text, sizeof text, "%d", -20 * i);
        atm_draw_box(out, (atm_rect){ bar.x + bar.width, (int)(y + 0.5), TICK, 1 }, dim);
        label(out, bar.x + bar.width + TICK + 6, y + 0.5, 0.0, text);
    }
    title(out, bar.x + bar.width / 2.0, HEIGHT - 16, 0, "dB");
}

atm_status atm_spectrogram_draw(const float *mel, size_t frames, atm_image *out)
{
    if (frames == 0) return atm_fail(ATM_E_DATA, "spectrogram of nothing");
    atm_image image;
    TRY_RETURN(atm_image_alloc(WIDTH, HEIGHT, &image));
    atm_draw_box(&image, (atm_rect){ 0, 0, WIDTH, HEIGHT }, paper);
    const atm_status status = draw_mel(mel, frames, &image);
    if (status != ATM_OK) {
        atm_image_free(&image);
        return status;
    }
    draw_time_axis(&image, frames);
    draw_frequency_axis(&image);
    draw_colour_bar(&image);
    *out = image;
    return ATM_OK;
}

atm_status atm_spectrogram_save(const char *path, const float *mel, size_t frames)
{
    atm_image image;
    TRY_RETURN(atm_spectrogram_draw(mel, frames, &image));
    const atm_status status = atm_png_save(path, &image);
    atm_image_free(&image);
    return status;
}
