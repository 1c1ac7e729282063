/* tensor_set.h - what a format's parser fills: tensors, metadata, and the
 * memory they need.  Private to src/io; everybody else sees tensor_file.h. */
#ifndef ATM_IO_TENSOR_SET_H
#define ATM_IO_TENSOR_SET_H

#include "base/arena.h"
#include "io/tensor_file.h"

typedef struct atm_tensor_set {         /* {0} is empty */
    atm_file_tensor *tensor;
    size_t n, capacity;
    atm_text_pair *metadata;
    size_t n_metadata, metadata_capacity;
    atm_arena arena;                    /* names, texts and copied data live here */
} atm_tensor_set;

/* Names and texts are not copied: allocate them from set->arena. */
atm_status atm_tensor_set_add(atm_tensor_set *set, const atm_file_tensor *tensor);
atm_status atm_tensor_set_add_metadata(atm_tensor_set *set, atm_text_pair pair);

/* Call once after the last add: sorts, refuses a name given twice, and copies
 * the tensors whose data are not aligned for their dtype. */
atm_status atm_tensor_set_seal(atm_tensor_set *set);

const atm_file_tensor *atm_tensor_set_find(const atm_tensor_set *set, const char *name);
const char            *atm_tensor_set_metadata(const atm_tensor_set *set, const char *key);

void atm_tensor_set_free(atm_tensor_set *set);

#endif
