/* safetensors.h - the safetensors format: reading from memory, streaming out.
 *
 *     u64 little-endian n | n bytes of JSON | data
 *     {"name": {"dtype": "F32", "shape": [2,3], "data_offsets": [0,24]}, ...
 *      "__metadata__": {"key": "text"}}           offsets count from the data's start
 *
 * The rules are those of huggingface/safetensors (README and its validate()):
 * n <= 100,000,000; JSON starts with '{'; no key twice; the tensors cover the
 * data exactly, without overlap or hole; shape times element size equals the
 * range, in checked arithmetic; metadata is text only.  Zero-size tensors are fine. */
#ifndef ATM_IO_SAFETENSORS_H
#define ATM_IO_SAFETENSORS_H

#include "io/tensor_file.h"
#include "io/tensor_set.h"

enum { ATM_SAFETENSORS_MAX_HEADER = 100000000 };

/* Appends the tensors of a whole file in memory to `set` (see tensor_set.h),
 * whose data point into `bytes`.  ATM_E_DATA with the place and the reason. */
atm_status atm_safetensors_parse(const void *bytes, size_t size, atm_tensor_set *set);

/* ---- writing: the file appears under `path` complete, or not at all ---- */

typedef struct atm_safetensors_writer atm_safetensors_writer;

/* Names, dtypes and shapes of all tensors, in the order in which the data will
 * come (`data` and `bytes` of each spec are not read).  Give wide dtypes first:
 * readers then find every tensor aligned and copy none. */
atm_status atm_safetensors_begin(const char *path, const atm_file_tensor *spec, size_t n,
                                 const atm_text_pair *metadata, size_t n_metadata,
                                 atm_safetensors_writer **out);

/* The next bytes of the data, in pieces of any size. */
atm_status atm_safetensors_append(atm_safetensors_writer *writer, const void *data, size_t bytes);

/* Both free the writer.  A commit that fails (ATM_E_IO; ATM_E_BUG when the data
 * are not all there) leaves what was under `path` before. */
atm_status atm_safetensors_commit(atm_safetensors_writer *writer);
void       atm_safetensors_abort(atm_safetensors_writer *writer);       /* NULL is allowed */

/* All at once; puts wide dtypes first by itself. */
atm_status atm_safetensors_write(const char *path, const atm_file_tensor *tensor, size_t n,
                                 const atm_text_pair *metadata, size_t n_metadata);

#endif
