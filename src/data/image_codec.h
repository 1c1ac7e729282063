/* image_codec.h - what image.c asks of each file format.  To add a format:
 * write a decoder and add its row to the table in image.c. */
#ifndef ATM_DATA_IMAGE_CODEC_H
#define ATM_DATA_IMAGE_CODEC_H
#include "data/image.h"

/* Decodes to RGB as stored, not yet turned, and says the EXIF orientation (1..8).
 * On failure *out may hold pixels; the caller frees it. */
typedef atm_status atm_image_decoder(const uint8_t *data, size_t size, atm_image *out, int *orientation);

atm_image_decoder atm_jpeg_decode, atm_png_decode, atm_webp_decode;

#endif
