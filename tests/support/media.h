/* media.h - for tests of src/data: the noise that scripts/make_data_fixtures.py knows
 * too, hashes, fixtures under tests/fixtures/data, and mutants of them. */
#ifndef ATM_TEST_MEDIA_H
#define ATM_TEST_MEDIA_H

#include "data/bytes.h"

uint32_t noise_at(uint32_t index);                      /* 32 bits                */
float    noise_float_at(uint32_t index);                /* [-1, 1)                */
uint64_t fnv1a(const void *data, size_t size);

atm_bytes media(const char *name);                      /* the file's bytes; fails the test if missing */
float    *media_floats(const char *name, size_t n);     /* exactly n float32; to be freed              */

/* Calls use(line) for each line of an index file, comments left out. */
void each_line(const char *index, void (*use)(const char *line));

/* Calls read(data, size) on copies of the file with 1 to 8 bytes changed, and on
 * copies cut short.  ATM_MUTANTS in the environment says how many (1000).
 * Whatever read() frees, leaks or overruns is for the sanitizers to see. */
void each_mutant(const char *name, void (*read)(const void *data, size_t size));

#endif
