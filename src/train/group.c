/* group.c - see group.h. */
#include "train/group.h"

#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "model/component.h"

enum { ALIGN = 16, ARRAYS = 4 };        /* floats; p, g, m, v */

/* ------------------------------------------------------------------ the list */

static atm_status add_param(atm_group *g, const char *name, atm_tensor t)
{
    atm_group_param *grown = realloc(g->param, (size_t)(g->n_params + 1) * sizeof *grown);
    if (grown) g->param = grown;
    char *copy = strdup(name);
    if (!grown || !copy) {
        free(copy);
        return atm_fail(ATM_E_MEMORY, "no memory for the list of %d parameters", g->n_params + 1);
    }
    atm_group_param *param = &g->param[g->n_params++];
    *param = (atm_group_param){ .name = copy, .rank = t.rank, .offset = g->count, .count = atm_count(t) };
    memcpy(param->dim, t.dim, sizeof param->dim);
    g->count += (param->count + ALIGN - 1) / ALIGN * ALIGN;
    return ATM_OK;
}

atm_status atm_group_add(atm_group *g, const atm_plan *outline, const char *const *globs)
{
    for (int i = 0; i < atm_plan_n_params(outline); i++) {
        const atm_named_tensor param = atm_plan_param_at(outline, i);
        if (!atm_matches_any(param.name, globs) || atm_group_find(g, param.name)) continue;
        TRY_RETURN(add_param(g, param.name, param.t));
    }
    return ATM_OK;
}

const atm_group_param *atm_group_find(const atm_group *g, const char *name)
{
    for (int i = 0; i < g->n_params; i++)
        if (strcmp(g->param[i].name, name) == 0) return &g->param[i];
    return NULL;
}

atm_status atm_group_allocate(atm_group *g, bool use_ema)
{
    const size_t arrays = ARRAYS + (use_ema ? 1 : 0);
    size_t bytes, largest = 1;
    for (int i = 0; i < g->n_params; i++) if (g->param[i].count > largest) largest = g->param[i].count;
    if (!atm_mul_size(g->count, arrays * sizeof(float), &bytes) || !(g->p = atm_device_alloc(bytes + 1)))
        return atm_fail(ATM_E_MEMORY, "no memory for %zu parameters and their optimizer (%.1f MiB)", g->count,
                        (double)g->count * (double)arrays * sizeof(float) / 0x1p20);
    memset(g->p, 0, bytes);
    g->g = g->p + g->count;
    g->m = g->g + g->count;
    g->v = g->m + g->count;
    g->ema = use_ema ? g->v + g->count : NULL;
    g->scratch = malloc(largest * sizeof *g->scratch);
    return g->scratch ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for a gradient of %zu numbers", largest);
}

void atm_group_free(atm_group *g)
{
    for (int i = 0; i < g->n_params; i++) free(g->param[i].name);
    free(g->param);
    free(g->scratch);
    if (g->p) atm_device_free(g->p);
    *g = (atm_group){ 0 };
}

/* ------------------------------------------------------------------ weights for plans */

static bool same_shape(const atm_group_param *param, int rank, const int *dim)
{
    return param->rank == rank && memcmp(param->dim, dim, (size_t)rank * sizeof *dim) == 0;
}

/* The name inside its component, and the component's weights; NULL when it has none. */
static atm_param_source *base_of(atm_group_source *self, const char *name, const char **rest)
{
    for (int i = 0; i < self->n_bases; i++) {
        const size_t n = strlen(self->base[i].component);
        if (strncmp(name, self->base[i].component, n) != 0 || name[n] != '.') continue;
        *rest = name + n + 1;
        return &self->base[i].params.source;
    }
    return NULL;
}

static atm_param_data find(atm_param_source *source, const char *name, int rank, const int *dim, atm_dtype dtype)
{
    atm_group_source *self = (atm_group_source *)source;
    const char *rest;
    for (int i = 0; i < ATM_GROUP_SHARED && self->group[i]; i++) {
        const atm_group_param *param = atm_group_find(self->group[i], name);
        if (param && same_shape(param, rank, dim) && dtype == ATM_F32)
            return (atm_param_data){ self->group[i]->p + param->offset, true };
    }
    atm_param_source *base = base_of(self, name, &rest);
    return base ? base->find(base, rest, rank, dim, dtype) : (atm_param_data){ 0 };
}

static void prepared(atm_param_source *source, const void *data, size_t bytes)
{
    const atm_group_source *self = (const atm_group_source *)source;
    for (int i = 0; i < self->n_bases; i++)
        atm_weights_release_pages(self->base[i].params.weights, data, bytes);
}

atm_status atm_group_source_open(atm_group_source *self, const atm_model_dir *model, const char *component)
{
    self->source = (atm_param_source){ find, prepared };
    if (self->n_bases == ATM_GROUP_BASES)
        return atm_fail(ATM_E_BUG, "a training plan has more than %d networks", ATM_GROUP_BASES);
    TRY_RETURN(atm_model_dir_params(model, component, &self->base[self->n_bases].params));
    self->base[self->n_bases++].component = atm_component_find(component)->folder;
    return ATM_OK;
}

void atm_group_source_close(atm_group_source *self)
{
    for (int i = 0; i < self->n_bases; i++) atm_params_close(&self->base[i].params);
    *self = (atm_group_source){ 0 };
}

static atm_status load_param(atm_group *g, const atm_group_param *param, atm_group_source *source)
{
    const char *rest = NULL;
    atm_param_source *base = base_of(source, param->name, &rest);
    const atm_param_data found = base ? base->find(base, rest, param->rank, param->dim, ATM_F32)
                                      : (atm_param_data){ 0 };
    if (!found.data) return atm_fail(ATM_E_DATA, "the model has no weights for %s of this shape", param->name);
    memcpy(g->p + param->offset, found.data, param->count * sizeof *g->p);
    if (g->ema) memcpy(g->ema + param->offset, found.data, param->count * sizeof *g->p);
    return ATM_OK;
}

atm_status atm_group_load(atm_group *g, atm_group_source *source)
{
    for (int i = 0; i < g->n_params; i++) TRY_RETURN(load_param(g, &g->param[i], source));
    return ATM_OK;
}

/* ------------------------------------------------------------------ gradients of plans */

void atm_group_outputs(const atm_group *g, atm_plan *plan)
{
    for (int i = 0; i < g->n_params; i++) {
        const atm_tensor gradient = atm_grad(plan, atm_plan_find_param(plan, g->param[i].name));
        if (atm_present(gradient)) atm_output(plan, g->param[i].name, gradient);
    }
}

static void add_to(float *restrict sum, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) sum[i] += x[i];
}

/* A parameter without gradient takes no part in this plan. */
atm_status atm_group_gather(atm_group *g, atm_plan *plan)
{
    for (int i = 0; i < g->n_params; i++) {
        const atm_group_param *param = &g->param[i];
        const atm_tensor gradient = atm_grad(plan, atm_plan_find_param(plan, param->name));
        if (!atm_present(gradient)) continue;
        TRY_RETURN(atm_plan_read_f32(plan, gradient, g->scratch));
        add_to(g->g + param->offset, g->scratch, param->count);
    }
    return ATM_OK;
}
