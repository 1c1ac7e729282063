/* exif.h - the one EXIF tag that changes a picture: which way is up. */
#ifndef ATM_DATA_EXIF_H
#define ATM_DATA_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* Orientation 1..8 (TIFF 6.0, tag 0x0112) of an EXIF block: a TIFF header and its
 * first directory, with or without "Exif\0\0" before it.  1, upright, when there
 * is none or the block is broken: broken metadata does not make a picture unreadable. */
int atm_exif_orientation(const uint8_t *exif, size_t size);

#endif
