/* image.h - a picture from a file or from memory, as 8-bit RGB, upright.
 *
 * JPEG, PNG and WebP, told apart by their first bytes, never by name.  The
 * pixels are those of Pillow's
 *     ImageOps.exif_transpose(Image.open(path)).convert("RGB")
 * byte for byte: alpha is dropped (not composited: what lies under transparent
 * pixels shows, as it does to the reference encoders), palettes are expanded, CMYK goes
 * through Pillow's formula.  One exception: of 16-bit grey we keep the high
 * byte, as for every other 16-bit kind; Pillow clips it to 255, a white page.
 *
 * Nothing is allocated for pixels before the header passed the limits below. */
#ifndef ATM_DATA_IMAGE_H
#define ATM_DATA_IMAGE_H
#include "base/status.h"

#include <stdint.h>

enum {
    ATM_IMAGE_MAX_PIXELS = 50000000,        /* 50 megapixels                          */
    ATM_IMAGE_MAX_SIDE   = 65535,           /* what JPEG can hold                     */
    ATM_IMAGE_MAX_BYTES  = 256 << 20,       /* of the encoded file                    */
    ATM_IMAGE_MAX_SCANS  = 64,              /* of a progressive JPEG: each is a pass over all */
    ATM_IMAGE_MAX_PASSED = 600000000        /* pixels: 12 scans of the largest (10 are usual) */
};

typedef struct atm_image {
    int width, height;
    uint8_t *rgb;                           /* [height, width, 3] */
} atm_image;                                /* {0} is empty */

/* ATM_E_NOINPUT: no such file, or it cannot be read.  ATM_E_DATA: not a picture,
 * broken, truncated, or beyond a limit.  On failure *out is left as it was. */
atm_status atm_image_load(const char *path, atm_image *out);
atm_status atm_image_decode(const void *data, size_t size, atm_image *out);

atm_status atm_image_alloc(int width, int height, atm_image *out);     /* zeroed; checks the limits */
void       atm_image_free(atm_image *image);                           /* back to {0} */

#endif
