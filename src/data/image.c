/* image.c - see image.h: which decoder, and which way is up. */
#include "data/image.h"
#include "data/image_codec.h"
#include "io/read_file.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    size_t at, size;
    const char *magic;
    atm_image_decoder *decode;
} format;

static const format formats[] = {
    { 0, 3, "\xFF\xD8\xFF",         atm_jpeg_decode },
    { 0, 8, "\x89PNG\r\n\x1A\n",    atm_png_decode  },
    { 8, 4, "WEBP",                 atm_webp_decode },
};

atm_status atm_image_alloc(int width, int height, atm_image *out)
{
    if (width < 1 || height < 1 || width > ATM_IMAGE_MAX_SIDE || height > ATM_IMAGE_MAX_SIDE)
        return atm_fail(ATM_E_DATA, "picture of %d x %d pixels: sides must be 1 to %d", width, height,
                        ATM_IMAGE_MAX_SIDE);
    const size_t pixels = (size_t)width * (size_t)height;       /* < 2^32: both are < 2^16 */
    if (pixels > ATM_IMAGE_MAX_PIXELS)
        return atm_fail(ATM_E_DATA, "picture of %d x %d pixels: more than %d million; make it smaller first",
                        width, height, ATM_IMAGE_MAX_PIXELS / 1000000);
    uint8_t *rgb = calloc(pixels, 3);
    if (!rgb) return atm_fail(ATM_E_MEMORY, "out of memory for a picture of %d x %d pixels", width, height);
    *out = (atm_image){ width, height, rgb };
    return ATM_OK;
}

void atm_image_free(atm_image *image)
{
    free(image->rgb);
    *image = (atm_image){ 0 };
}

/* How pixel (x, y) of the upright picture is found in the stored one: swap x
 * and y, then count x from the right, y from the bottom. */
typedef struct { bool swap, from_right, from_bottom; } turn;

static const turn turns[9] = {
    [2] = { .from_right = true },                                           /* mirrored            */
    [3] = { .from_right = true, .from_bottom = true },                      /* turned by half      */
    [4] = { .from_bottom = true },
    [5] = { .swap = true },                                                 /* transposed          */
    [6] = { .swap = true, .from_bottom = true },                            /* needs a turn right  */
    [7] = { .swap = true, .from_right = true, .from_bottom = true },
    [8] = { .swap = true, .from_right = true },                             /* needs a turn left   */
};

static void copy_turned(const atm_image *in, turn t, const atm_image *out)
{
    uint8_t *to = out->rgb;
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++, to += 3) {
            const int sx = t.swap ? y : x, sy = t.swap ? x : y;
            const int column = t.from_right ? in->width - 1 - sx : sx;
            const int row = t.from_bottom ? in->height - 1 - sy : sy;
            memcpy(to, in->rgb + 3 * ((size_t)row * (size_t)in->width + (size_t)column), 3);
        }
}

static atm_status make_upright(atm_image *image, int orientation)
{
    if (orientation == 1) return ATM_OK;
    const turn t = turns[orientation];
    atm_image upright;
    TRY_RETURN(atm_image_alloc(t.swap ? image->height : image->width,
                               t.swap ? image->width : image->height, &upright));
    copy_turned(image, t, &upright);
    free(image->rgb);
    *image = upright;
    return ATM_OK;
}

static const format *find_format(const uint8_t *data, size_t size)
{
    for (const format *f = formats; f < formats + sizeof formats / sizeof *formats; f++)
        if (size >= f->at + f->size && memcmp(data + f->at, f->magic, f->size) == 0) return f;
    return NULL;
}

atm_status atm_image_decode(const void *data, size_t size, atm_image *out)
{
    const format *f = find_format(data, size);
    if (!f) return atm_fail(ATM_E_DATA, "not a JPEG, PNG or WebP picture");
    atm_image image = { 0 };
    int orientation = 1;
    atm_status status;
    TRY(f->decode(data, size, &image, &orientation));
    TRY(make_upright(&image, orientation));
    *out = image;
    return ATM_OK;
done:
    atm_image_free(&image);
    return status;
}

atm_status atm_image_load(const char *path, atm_image *out)
{
    char *file;
    size_t size;
    TRY_RETURN(atm_read_file(path, ATM_IMAGE_MAX_BYTES, &file, &size));
    const atm_status status = atm_image_decode(file, size, out);
    free(file);
    return status == ATM_OK ? ATM_OK : atm_fail_in(status, "%s", path);
}
