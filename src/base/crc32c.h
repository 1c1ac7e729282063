/* crc32c.h - the checksum of iSCSI, ext4 and TFRecord: CRC-32 with Castagnoli's
 * polynomial 0x1edc6f41, bits reflected (RFC 3720, appendix B.4).  It tells a record
 * that was cut short; against changes on purpose it is no protection. */
#ifndef ATM_BASE_CRC32C_H
#define ATM_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of `bytes` bytes that follow those whose checksum is `crc` (0: none came before). */
uint32_t atm_crc32c(uint32_t crc, const void *data, size_t bytes);

#endif
