/* spectrogram_png.h - a log-mel spectrogram as a picture to look at. */
#ifndef ATM_DATA_SPECTROGRAM_PNG_H
#define ATM_DATA_SPECTROGRAM_PNG_H
#include "data/image.h"

#include <stddef.h>

/* Draws mel [frames, 64] (hop 160 at 16 kHz): time to the right, low notes at
 * the bottom, decibels below the loudest point as colour, with axes. */
atm_status atm_spectrogram_draw(const float *mel, size_t frames, atm_image *out);
atm_status atm_spectrogram_save(const char *path, const float *mel, size_t frames);     /* as PNG */

#endif
