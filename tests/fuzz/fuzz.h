/* fuzz.h - what the fuzz targets check. */
#ifndef ATM_FUZZ_H
#define ATM_FUZZ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/size.h"
#include "io/tensor_set.h"

static inline void check(bool ok) { if (!ok) __builtin_trap(); }

/* Touches every byte, so that a range outside the file is a crash. */
static inline void read_all_tensors(const atm_tensor_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        const atm_file_tensor *t = &set->tensor[i];
        size_t count;
        check(atm_shape_size(t->dim, t->rank, &count));
        check(t->bytes == count * atm_dtype_size(t->dtype));
        check((uintptr_t)t->data % atm_dtype_size(t->dtype) == 0);
        check(atm_tensor_set_find(set, t->name) == t);
        for (size_t k = 0; k < t->bytes; k++) (void)((const volatile unsigned char *)t->data)[k];
    }
}

#endif
