/* random_weights.h - one tensor of an untrained network. */
#ifndef ATM_MODEL_RANDOM_WEIGHTS_H
#define ATM_MODEL_RANDOM_WEIGHTS_H

#include <stdint.h>

#include "base/dtype.h"
#include "base/threads.h"
#include "io/tensor_file.h"

/* How a tensor of a part ("unet", "vocoder" ...) begins follows from its name and shape,
 * by the table of random_weights.c.  atm_init_fill hands the elements, as
 * `tensor->dtype`, in pieces to write(user, data, bytes).  They depend on
 * (seed, part, name, index) alone.  `scratch`: atm_init_scratch() bytes. */
typedef atm_status (*atm_init_write)(void *user, const void *data, size_t bytes);
size_t     atm_init_scratch(void);
atm_status atm_init_fill(uint64_t seed, const char *part, const atm_file_tensor *tensor, atm_pool *pool,
                         void *scratch, atm_init_write write, void *user);

#endif
