/* ogg_serial.h - the one thing that makes two equal OGG encodings differ. */
#ifndef ATM_DATA_OGG_SERIAL_H
#define ATM_DATA_OGG_SERIAL_H
#include "base/status.h"

#include <stdint.h>

/* Gives every page of an OGG file of one stream the serial number `serial` and its
 * new checksum (RFC 3533, section 6).  libsndfile draws the number from the clock.
 * ATM_E_BUG: not a sequence of whole pages. */
atm_status atm_ogg_set_serial(uint8_t *data, size_t size, uint32_t serial);

#endif
