/* parts.h - finished rows, kept in a folder until the dataset is whole, so that a run that was
 * killed goes on where it was.
 *
 *     NAME.rows       row k at k * row_bytes
 *     NAME.journal    32 bytes for each: key, XXH3-64 of the row, XXH3-64 of those 24 bytes
 *
 * A row is written before its entry.  An entry whose hashes do not hold is no row: whenever the
 * process or the machine dies, what is found again is right.  The second hash is seeded with the
 * settings that the rows were made with: rows made otherwise are no rows either.
 * Any thread may use any function but open and close. */
#ifndef ATM_PREPARE_PARTS_H
#define ATM_PREPARE_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef struct { uint64_t half[2]; } atm_part_key;
typedef struct atm_parts atm_parts;

atm_part_key atm_part_key_of(const char *fingerprint, int64_t start);

/* Makes the folder if need be, and keeps other runs out until the process ends or *lock is closed.
 * ATM_E_CONFIG: another run works there; ATM_E_IO. */
atm_status atm_parts_lock(const char *folder, int *lock);

/* Reads the journal and checks every row it names. */
atm_status atm_parts_open(const char *folder, const char *name, size_t row_bytes, const char *settings,
                          atm_parts **out);
void       atm_parts_close(atm_parts *parts);           /* NULL is allowed */

size_t     atm_parts_count(const atm_parts *parts);
bool       atm_parts_has(atm_parts *parts, atm_part_key key);
/* A row with the same key replaces the earlier one.  ATM_E_IO: the disk is full ... */
atm_status atm_parts_add(atm_parts *parts, atm_part_key key, const void *row);
/* ATM_E_DATA: there is no such row, or it is not what was written. */
atm_status atm_parts_read(atm_parts *parts, atm_part_key key, void *row);

#endif
