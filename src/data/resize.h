/* resize.h - Pillow's antialiased bicubic resize, byte for byte, and the
 * preprocessing of the vision encoders.
 *
 * Source: Pillow's Resample.c as a formula.  For output pixel i, with
 * scale = in/out, s = max(scale, 1), centre c = (i + 1/2) scale:
 *     w_j = k((j + 1/2 - c) / s),  |j + 1/2 - c| < 2 s,  sum w = 1
 *     k = Keys' cubic with a = -1/2
 * weights in 22-bit fixed point, columns first, rounded to 8 bits in between.
 * Floating point throughout differs in some pixels by 1. */
#ifndef ATM_DATA_RESIZE_H
#define ATM_DATA_RESIZE_H
#include "data/image.h"

typedef struct { int x, y, width, height; } atm_rect;

/* The part `window` of `in` resized to width x height, which may be far beyond
 * the pixel limit (1x20000 to shorter side 224): only the window is computed. */
atm_status atm_resize_bicubic(const atm_image *in, int width, int height, atm_rect window, atm_image *out);

/* How the centre crop rounds (n - size) / 2 when it is not whole. */
typedef enum {
    ATM_CROP_TORCHVISION,     /* half to even: ImageBind, OpenAI's CLIP */
    ATM_CROP_HF               /* down: transformers' CLIPImageProcessor */
} atm_crop;

/* Shorter side to `size` (longer: int(size * long / short)), then the centre
 * size x size.  Source: torchvision Resize + CenterCrop on PIL images. */
atm_status atm_image_resize_crop(const atm_image *in, int size, atm_crop crop, atm_image *out);

extern const float atm_clip_mean[3], atm_clip_std[3];     /* ImageBind uses the same */

/* The above, then (x / 255 - mean) / std into out [3, size, size]. */
atm_status atm_image_to_chw_normalised(const atm_image *in, int size, atm_crop crop,
                                       const float mean[3], const float std[3], float *out);

#endif
