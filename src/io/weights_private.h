/* weights_private.h - what the three weights_*.c files share. */
#ifndef ATM_IO_WEIGHTS_PRIVATE_H
#define ATM_IO_WEIGHTS_PRIVATE_H

#include "base/arena.h"
#include "io/weights.h"

typedef struct atm_weights_state {          /* of one tensor */
    bool used;
    void *converted[ATM_DTYPE_COUNT];       /* malloc'd copies in other dtypes */
} atm_weights_state;

typedef struct atm_weights_part {           /* one file, or one shard */
    atm_tensor_file *file;
    atm_weights_state *state;               /* per tensor of the file */
} atm_weights_part;

typedef struct atm_weights_place {
    const atm_file_tensor *tensor;
    atm_weights_state *state;
    const atm_tensor_file *file;
} atm_weights_place;

typedef struct atm_weights_alias_pair atm_weights_alias_pair;
struct atm_weights_alias_pair { const char *part, *other; atm_weights_alias_pair *next; };

/* Names for a message: as many as fit are kept, all are counted. */
enum { ATM_WEIGHTS_LISTED = 12, ATM_WEIGHTS_LIST_BYTES = 2000 };
typedef struct atm_weights_list {
    char text[ATM_WEIGHTS_LIST_BYTES];
    size_t bytes, kept, n;
} atm_weights_list;

struct atm_weights {
    const char *path, *prefix;
    atm_weights_part *part;
    size_t n_files;
    atm_weights_alias_pair *alias;
    atm_weights_list missing, misshaped;
    atm_status status;                      /* sticky: out of memory while finding */
    atm_arena arena;
};

/* weights_locate.c: fills part[] from w->path. */
atm_status atm_weights_open_parts(atm_weights *w);

/* weights_check.c */
void atm_weights_note_missing(atm_weights *w, const char *name, int rank, const int64_t *dim);
void atm_weights_note_shape(atm_weights *w, const atm_file_tensor *found, int rank, const int64_t *dim,
                            atm_dtype want);

#endif
