/* bytes.h - building hostile files byte by byte, and scratch folders. */
#ifndef ATM_TEST_BYTES_H
#define ATM_TEST_BYTES_H

#include <stddef.h>
#include <stdint.h>

typedef struct { unsigned char *p; size_t n, capacity; } bytes;      /* {0} is empty */

void bytes_put(bytes *b, const void *data, size_t n);
void bytes_text(bytes *b, const char *text);                         /* without its zero byte */
void bytes_little(bytes *b, uint64_t value, int width);
void bytes_free(bytes *b);                                           /* back to {0} */

/* A safetensors file: header's length, header, `n` bytes of data 0, 1, 2 ... */
void bytes_safetensors(bytes *b, const char *header, size_t n);

/* A new empty folder below the temporary directory; the test removes it. */
const char *scratch_make(void);
const char *scratch_path(const char *name);                          /* valid for 8 more calls */
void        scratch_remove(void);
int         scratch_count(void);                                     /* files in it, hidden ones too */

void  write_bytes(const char *path, const void *data, size_t n);
bytes read_bytes(const char *path);                                  /* fails the test when absent */

#endif
