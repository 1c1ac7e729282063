/* tensor_file.h - one opened file of named tensors, of any format we read:
 * safetensors, torch zip (.pt .pth .bin) and torch's older pickle container.
 *
 *     atm_tensor_file *file;
 *     TRY(atm_tensor_file_open("model.safetensors", &file));
 *     const atm_file_tensor *t = atm_tensor_file_find(file, "conv_in.weight");
 *
 * The file is mapped read-only and everything is checked when it is opened:
 * afterwards every tensor's data is `bytes` readable bytes, aligned for its
 * dtype, row-major.  Only a file that somebody shortens while it is mapped can
 * still hurt (SIGBUS): replace weight files by rename, never in place.
 * A new format is a row of the table in tensor_file.c. */
#ifndef ATM_IO_TENSOR_FILE_H
#define ATM_IO_TENSOR_FILE_H

#include <stdbool.h>

#include "base/dtype.h"
#include "base/status.h"

enum { ATM_FILE_RANK_MAX = 8 };

typedef struct atm_file_tensor {
    const char *name;
    atm_dtype dtype;
    int rank;                       /* 0 is a scalar */
    int64_t dim[ATM_FILE_RANK_MAX]; /* outermost first; a dimension may be 0 */
    const void *data;
    size_t bytes;
} atm_file_tensor;

typedef struct atm_text_pair { const char *key, *value; } atm_text_pair;

typedef struct atm_tensor_file atm_tensor_file;

/* ATM_E_NOINPUT when `path` cannot be read, ATM_E_DATA when its content is
 * broken, unknown or refused. */
atm_status atm_tensor_file_open(const char *path, atm_tensor_file **out);
void       atm_tensor_file_close(atm_tensor_file *file);                 /* NULL is allowed */

const char *atm_tensor_file_path(const atm_tensor_file *file);
const char *atm_tensor_file_format(const atm_tensor_file *file);         /* "safetensors", "torch zip" ... */

/* Tensors are sorted by name (bytewise); 0 <= i < count. */
size_t                 atm_tensor_file_count(const atm_tensor_file *file);
const atm_file_tensor *atm_tensor_file_at(const atm_tensor_file *file, size_t i);
const atm_file_tensor *atm_tensor_file_find(const atm_tensor_file *file, const char *name);  /* or NULL */

/* Text metadata of the file (safetensors' __metadata__), sorted by key. */
size_t        atm_tensor_file_metadata_count(const atm_tensor_file *file);
atm_text_pair atm_tensor_file_metadata_at(const atm_tensor_file *file, size_t i);
const char   *atm_tensor_file_metadata(const atm_tensor_file *file, const char *key);        /* or NULL */

/* Lets the system drop the resident pages that lie wholly inside the range; they
 * are read again from the file when touched.  Ignores memory outside the
 * mapping (copies), where dropping would mean zeroing. */
void atm_tensor_file_release_pages(const atm_tensor_file *file, const void *data, size_t bytes);

/* "[128,8,3,3]" into `text`; for messages. */
enum { ATM_SHAPE_TEXT = ATM_FILE_RANK_MAX * 21 + 3 };
const char *atm_shape_text(char text[ATM_SHAPE_TEXT], const int64_t *dim, int rank);

#endif
