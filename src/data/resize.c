/* resize.c - see resize.h. */
#include "data/resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BITS = 22 };                         /* of the weights' fraction: 32 - 8 - 2 for overshoot */
static const double SUPPORT = 2.0;          /* the cubic is zero from there on */

const float atm_clip_mean[3] = { 0.48145466f, 0.4578275f, 0.40821073f };
const float atm_clip_std[3]  = { 0.26862954f, 0.26130258f, 0.27577711f };

/* The weights of one direction: output i of `count` sums taps[i] inputs from first[i] on. */
typedef struct {
    int count, most;                        /* most: room per output */
    int *first, *taps;                      /* [count] */
    int32_t *weight;                        /* [count, most] */
} weights;

static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

static int32_t to_fixed(double w) { return (int32_t)(w * (1 << BITS) + (w < 0 ? -0.5 : 0.5)); }

/* Same expressions in the same order as Pillow, so that the same doubles come out. */
static void weigh(weights *w, int i, int position, int in, double scale, double *k)
{
    const double stretch = fmax(scale, 1.0), reach = SUPPORT * stretch, inverse = 1.0 / stretch;
    const double centre = (position + 0.5) * scale;
    const int low = (int)(centre - reach + 0.5), high = (int)(centre + reach + 0.5);
    const int first = low < 0 ? 0 : low, taps = (high > in ? in : high) - first;
    double sum = 0;
    for (int j = 0; j < taps; j++) sum += k[j] = cubic((j + first - centre + 0.5) * inverse);
    w->first[i] = first;
    w->taps[i] = taps;
    for (int j = 0; j < taps; j++)
        w->weight[(size_t)i * (size_t)w->most + (size_t)j] = to_fixed(sum != 0.0 ? k[j] / sum : k[j]);
}

static void weights_free(weights *w)
{
    free(w->first);
    free(w->taps);
    free(w->weight);
}

/* Outputs from..from+count-1 of `out`, out of `in` inputs. */
static atm_status weights_init(weights *w, int in, int out, int from, int count)
{
    const double scale = (double)in / out;
    w->count = count;
    w->most = 2 * (int)ceil(SUPPORT * fmax(scale, 1.0)) + 1;
    w->first = malloc((size_t)count * sizeof *w->first);
    w->taps = malloc((size_t)count * sizeof *w->taps);
    w->weight = malloc((size_t)count * (size_t)w->most * sizeof *w->weight);
    double *k = malloc((size_t)w->most * sizeof *k);
    const int have = w->first && w->taps && w->weight && k;
    for (int i = 0; have && i < count; i++) weigh(w, i, from + i, in, scale, k);
    free(k);
    return have ? ATM_OK : atm_fail(ATM_E_MEMORY, "resize: out of memory");
}

static uint8_t to_byte(int32_t sum)
{
    const int32_t value = sum >> BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void resize_row(const uint8_t *in, const weights *w, uint8_t *out)
{
    for (int i = 0; i < w->count; i++, out += 3) {
        const int32_t *k = w->weight + (size_t)i * (size_t)w->most;
        const uint8_t *p = in + 3 * (size_t)w->first[i];
        int32_t r = 1 << (BITS - 1), g = r, b = r;
        for (int j = 0; j < w->taps[i]; j++, p += 3) {
            r += k[j] * p[0];
            g += k[j] * p[1];
            b += k[j] * p[2];
        }
        out[0] = to_byte(r);
        out[1] = to_byte(g);
        out[2] = to_byte(b);
    }
}

/* Row `i` of the output from rows of `stride` bytes; `sum` is scratch [stride]. */
static void resize_column(const uint8_t *rows, size_t stride, const weights *w, int i, int32_t *sum,
                          uint8_t *out)
{
    const int32_t *k = w->weight + (size_t)i * (size_t)w->most;
    for (size_t x = 0; x < stride; x++) sum[x] = 1 << (BITS - 1);
    for (int j = 0; j < w->taps[i]; j++) {
        const uint8_t *row = rows + (size_t)(w->first[i] + j) * stride;
        for (size_t x = 0; x < stride; x++) sum[x] += k[j] * row[x];
    }
    for (size_t x = 0; x < stride; x++) out[x] = to_byte(sum[x]);
}

/* Columns first, of only those input rows that the window needs, then rows. */
static atm_status resize_window(const atm_image *in, const weights *across, weights *down,
                                const atm_image *out)
{
    const int top = down->first[0], last = down->count - 1;
    const int rows = down->first[last] + down->taps[last] - top;
    const size_t stride = 3 * (size_t)out->width;
    uint8_t *narrow = malloc((size_t)rows * stride);
    int32_t *sum = malloc(stride * sizeof *sum);
    if (narrow && sum) {
        const uint8_t *from = in->rgb + 3 * (size_t)top * (size_t)in->width;
        for (int y = 0; y < rows; y++, from += 3 * (size_t)in->width)
            resize_row(from, across, narrow + (size_t)y * stride);
        for (int y = 0; y < out->height; y++) {
            down->first[y] -= top;
            resize_column(narrow, stride, down, y, sum, out->rgb + (size_t)y * stride);
        }
    }
    const atm_status status = narrow && sum ? ATM_OK : atm_fail(ATM_E_MEMORY, "resize: out of memory");
    free(narrow);
    free(sum);
    return status;
}

static int inside(atm_rect r, int width, int height)
{
    return width > 0 && height > 0 && r.x >= 0 && r.y >= 0 && r.width > 0 && r.height > 0
        && r.width <= width - r.x && r.height <= height - r.y;
}

atm_status atm_resize_bicubic(const atm_image *in, int width, int height, atm_rect window, atm_image *out)
{
    if (!inside(window, width, height))
        return atm_fail(ATM_E_BUG, "resize: window %d,%d %dx%d is not inside %dx%d", window.x, window.y,
                        window.width, window.height, width, height);
    atm_image result = { 0 };
    weights across = { 0 }, down = { 0 };
    atm_status status;
    TRY(atm_image_alloc(window.width, window.height, &result));
    TRY(weights_init(&across, in->width, width, window.x, window.width));
    TRY(weights_init(&down, in->height, height, window.y, window.height));
    TRY(resize_window(in, &across, &down, &result));
    *out = result;
    result = (atm_image){ 0 };
done:
    atm_image_free(&result);
    weights_free(&across);
    weights_free(&down);
    return status;
}

/* int(size * long / short) in double, as Python computes it. */
static int longer_side(int size, int longer, int shorter)
{
    return (int)((double)((int64_t)size * longer) / shorter);
}

static int crop_start(int extra, atm_crop crop)
{
    const int half = extra / 2;
    return crop == ATM_CROP_TORCHVISION && extra % 2 ? half + half % 2 : half;
}

atm_status atm_image_resize_crop(const atm_image *in, int size, atm_crop crop, atm_image *out)
{
    const int wide = in->width > in->height, tall = in->height > in->width;
    const int width = wide ? longer_side(size, in->width, in->height) : size;
    const int height = tall ? longer_side(size, in->height, in->width) : size;
    const atm_rect centre = { crop_start(width - size, crop), crop_start(height - size, crop), size, size };
    return atm_resize_bicubic(in, width, height, centre, out);
}

atm_status atm_image_to_chw_normalised(const atm_image *in, int size, atm_crop crop,
                                       const float mean[3], const float std[3], float *out)
{
    atm_image square;
    TRY_RETURN(atm_image_resize_crop(in, size, crop, &square));
    const size_t pixels = (size_t)size * (size_t)size;
    for (size_t c = 0; c < 3; c++)
        for (size_t i = 0; i < pixels; i++)
            out[c * pixels + i] = ((float)square.rgb[3 * i + c] / 255.0f - mean[c]) / std[c];
    atm_image_free(&square);
    return ATM_OK;
}
