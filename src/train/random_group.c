/* random_group.c - see random_group.h. */
#include "train/random_group.h"

#include <stdlib.h>
#include <string.h>

#include "model/random_weights.h"

static atm_status append(void *user, const void *data, size_t bytes)
{
    char **end = user;
    memcpy(*end, data, bytes);
    *end += bytes;
    return ATM_OK;
}

static atm_file_tensor described(const atm_group_param *param)
{
    atm_file_tensor t = { .name = param->name, .dtype = ATM_F32, .rank = param->rank,
                          .bytes = param->count * sizeof(float) };
    for (int i = 0; i < param->rank; i++) t.dim[i] = param->dim[i];
    return t;
}

atm_status atm_group_randomize(atm_group *g, uint64_t seed, const char *part, atm_pool *pool)
{
    atm_status status = ATM_OK;
    void *scratch = malloc(atm_init_scratch());
    if (!scratch) return atm_fail(ATM_E_MEMORY, "no memory for random weights");
    for (int i = 0; i < g->n_params && status == ATM_OK; i++) {
        const atm_file_tensor t = described(&g->param[i]);
        char *end = (char *)(g->p + g->param[i].offset);
        status = atm_init_fill(seed, part, &t, pool, scratch, append, &end);
    }
    if (g->ema) memcpy(g->ema, g->p, g->count * sizeof *g->p);
    free(scratch);
    return status;
}
