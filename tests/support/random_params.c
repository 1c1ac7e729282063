#include "support/random_params.h"

#include <stdlib.h>
#include <string.h>

#include "base/philox.h"

void random_numbers(const char *name, float *out, size_t n)
{
    uint32_t hash = 2166136261u;                            /* FNV-1a */
    for (const char *s = name; *s; s++) hash = (hash ^ (unsigned char)*s) * 16777619u;
    atm_normal((atm_rng){ .seed = 7, .stream = ATM_STREAM_TEST, .sample = hash }, out, n);
}

static atm_param_data find(atm_param_source *self, const char *name, int rank, const int *dim,
                           atm_dtype dtype)
{
    random_params *p = (random_params *)(void *)self;
    size_t n = 1;
    for (int i = 0; i < rank; i++) n *= (size_t)dim[i];
    float *numbers = malloc(n * sizeof *numbers);
    void *data = malloc(n * atm_dtype_size(dtype));
    if (numbers && data && p->n < RANDOM_PARAMS) {
        random_numbers(name, numbers, n);
        for (size_t i = 0; i < n; i++) numbers[i] *= 0.5f;
        atm_convert(data, dtype, numbers, ATM_F32, n);
        p->data[p->n++] = data;
    } else {
        free(data);
        data = NULL;
    }
    free(numbers);
    return (atm_param_data){ data, p->trainable && !(p->frozen && strstr(name, p->frozen)) };
}

random_params random_params_new(bool trainable)
{
    return (random_params){ .source = { find }, .trainable = trainable };
}

void random_params_free(random_params *p)
{
    for (int i = 0; i < p->n; i++) free(p->data[i]);
    p->n = 0;
}
