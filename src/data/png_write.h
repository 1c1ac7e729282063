/* png_write.h - an RGB picture to a PNG file, whole or not at all. */
#ifndef ATM_DATA_PNG_WRITE_H
#define ATM_DATA_PNG_WRITE_H
#include "data/bytes.h"
#include "data/image.h"

atm_status atm_png_encode(const atm_image *image, atm_bytes *out);     /* *out is emptied first */
atm_status atm_png_save(const char *path, const atm_image *image);     /* ATM_E_IO when it cannot */

#endif
