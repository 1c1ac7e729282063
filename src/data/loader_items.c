/* loader_items.c - see loader_items.h. */
#include "data/loader_items.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ items */

static bool in_split(const atm_loader_options *o, size_t pair)
{
    return atm_dataset_pairs(o->dataset)[pair].split == o->split;
}

static uint32_t list_pairs(const atm_loader_options *o, uint32_t *out)
{
    uint32_t n = 0;
    for (size_t i = 0; i < atm_dataset_n_pairs(o->dataset); i++)
        if (in_split(o, i)) out[n++] = (uint32_t)i;
    return n;
}

static int ascending(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* A clip may accompany several artworks: once is enough. */
static uint32_t pairs_to_clips(const atm_loader_options *o, uint32_t *item, uint32_t n)
{
    uint32_t distinct = 0;
    for (uint32_t i = 0; i < n; i++) item[i] = (uint32_t)atm_dataset_pairs(o->dataset)[item[i]].clip;
    qsort(item, n, sizeof *item, ascending);
    for (uint32_t i = 0; i < n; i++)
        if (i == 0 || item[i] != item[distinct - 1]) item[distinct++] = item[i];
    return distinct;
}

atm_status atm_loader_list(const atm_loader_options *o, uint32_t **out, uint32_t *n)
{
    const size_t pairs = atm_dataset_n_pairs(o->dataset);
    uint32_t *item = malloc((pairs + 1) * sizeof *item);
    if (!item) return atm_fail(ATM_E_MEMORY, "out of memory for %zu items", pairs);
    *n = list_pairs(o, item);
    if (o->clips) *n = pairs_to_clips(o, item, *n);
    *out = item;
    if (*n > 0) return ATM_OK;
    return atm_fail(ATM_E_DATA, "%s: none of its %zu pairs is in the split %s", atm_dataset_path(o->dataset),
                    pairs, atm_split_names[o->split]);
}

/* ------------------------------------------------------------------ columns */

static const struct { const char *prefix; atm_loader_index index; } group[] = {
    { "pairs/", ATM_BY_PAIR }, { "artworks/", ATM_BY_ARTWORK }, { "clips/", ATM_BY_CLIP },
};

static atm_loader_index index_of(const char *name)
{
    int g = 2;
    while (g > 0 && strncmp(name, group[g].prefix, strlen(group[g].prefix)) != 0) g--;
    return group[g].index;
}

static atm_status check_artworks(const atm_loader_options *o)
{
    for (size_t i = 0; i < atm_dataset_n_pairs(o->dataset); i++)
        if (in_split(o, i) && atm_dataset_pairs(o->dataset)[i].artwork < 0)
            return atm_fail(ATM_E_DATA, "pair %zu has no artwork; put music without artworks, which trains "
                            "vae and vocoder, into a dataset of its own", i);
    return ATM_OK;
}

/* A column's index must be known from an item: a clip tells neither its pair nor its artwork. */
static atm_status check_index(const atm_loader_options *o, atm_loader_index index)
{
    if (o->clips && index != ATM_BY_CLIP)
        return atm_fail(ATM_E_BUG, "clips were asked for, which have no such column");
    return index == ATM_BY_ARTWORK ? check_artworks(o) : ATM_OK;
}

static atm_status set_crop(const atm_loader_column *wanted, atm_loader_source *s)
{
    const atm_column *c = s->column;
    const int length = wanted->axis >= 0 && wanted->axis < c->rank ? c->dim[wanted->axis] : 0;
    if (wanted->crop > length || wanted->unit < 1)
        return atm_fail(ATM_E_DATA, "a crop of %d along axis %d does not fit into a row (%d there)",
                        wanted->crop, wanted->axis, length);
    size_t inner = atm_dtype_size(c->dtype);
    for (int i = wanted->axis + 1; i < c->rank; i++) inner *= (size_t)c->dim[i];
    s->stride = inner * (size_t)length;
    s->outer = c->row_bytes / s->stride;
    s->run = inner * (size_t)wanted->crop;
    s->unit = inner * (size_t)wanted->unit;
    s->starts = (uint32_t)((length - wanted->crop) / wanted->unit) + 1;
    return ATM_OK;
}

static atm_status find_source(const atm_loader_options *o, const atm_loader_column *wanted,
                              atm_loader_source *out)
{
    const atm_column *c = atm_dataset_find(o->dataset, wanted->name);
    if (!c) return atm_fail(ATM_E_DATA, "there is no such column; prepare the dataset with it");
    *out = (atm_loader_source){ .column = c, .index = index_of(wanted->name), .outer = 1,
                                .stride = c->row_bytes, .run = c->row_bytes };
    TRY_RETURN(check_index(o, out->index));
    return wanted->crop > 0 ? set_crop(wanted, out) : ATM_OK;
}

atm_status atm_loader_find_source(const atm_loader_options *o, const atm_loader_column *wanted,
                                  atm_loader_source *out)
{
    const atm_status status = find_source(o, wanted, out);
    if (status == ATM_OK) return ATM_OK;
    return atm_fail_in(status, "%s: %s", atm_dataset_path(o->dataset), wanted->name);
}

void atm_loader_crop(const atm_loader_source *s, uint32_t start, const void *row, void *out)
{
    const char *from = (const char *)row + start * s->unit;
    for (size_t i = 0; i < s->outer; i++) memcpy((char *)out + i * s->run, from + i * s->stride, s->run);
}
