/* torch_state.h - what a pickled state_dict means; private to the torch readers. */
#ifndef ATM_IO_TORCH_STATE_H
#define ATM_IO_TORCH_STATE_H

#include "io/pickle.h"
#include "io/tensor_set.h"

typedef struct atm_torch_key { const char *text; size_t n; } atm_torch_key;

typedef struct atm_torch_storage {          /* one run of elements of a dtype */
    const char *data;
    atm_dtype dtype;
    size_t numel, bytes;
} atm_torch_storage;

typedef struct atm_torch_reader {
    atm_tensor_set *set;                    /* where the tensors go */
    atm_arena scratch;                      /* pickled values; the container's too */
    size_t may_copy;                        /* bytes of strided tensors, all together */
    /* Sets data to the storage->bytes bytes that the container holds under `key`. */
    atm_status (*find)(void *container, atm_torch_key key, atm_torch_storage *storage);
    void *container;
} atm_torch_reader;

/* With the list of names that files of tensors need. */
atm_status atm_torch_read_pickle(atm_torch_reader *reader, const void *bytes, size_t size, atm_pickle *out);

/* ("storage", type, key, location, numel[, view]) -> key, dtype, numel, bytes. */
atm_status atm_torch_read_id(const atm_pickle_value *persistent, atm_torch_key *key,
                             atm_torch_storage *storage);

/* Adds the tensors of a state_dict, and of dicts one level below, to the set. */
atm_status atm_torch_add_state(atm_torch_reader *reader, atm_pickle_value *root);

#endif
