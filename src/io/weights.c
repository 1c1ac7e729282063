/* weights.c - opening, looking up, converting.  Where the files lie is
 * weights_locate.c; what is said when something is wrong, weights_check.c. */
#include "io/weights.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/size.h"
#include "io/weights_private.h"

static const char *const wrapper[] = { "state_dict.", "model_state_dict.", "model.", "module.", NULL };

static bool all_begin_with(const atm_weights *w, const char *prefix)
{
    size_t length = strlen(prefix);
    for (size_t f = 0; f < w->n_files; f++)
        for (size_t i = 0; i < atm_tensor_file_count(w->part[f].file); i++)
            if (strncmp(atm_tensor_file_at(w->part[f].file, i)->name, prefix, length) != 0) return false;
    return true;
}

static const char *find_wrapper(const atm_weights *w)
{
    for (int i = 0; wrapper[i]; i++)
        if (all_begin_with(w, wrapper[i])) return wrapper[i];
    return "";
}

static atm_status prepare(atm_weights *w, const char *path, const char *prefix)
{
    if (!(w->path = atm_arena_strdup(&w->arena, path))) return atm_fail(ATM_E_MEMORY, "%s: no memory", path);
    TRY_RETURN(atm_weights_open_parts(w));
    w->prefix = atm_arena_strdup(&w->arena, prefix ? prefix : find_wrapper(w));
    return w->prefix ? ATM_OK : atm_fail(ATM_E_MEMORY, "%s: no memory", path);
}

atm_status atm_weights_open(const char *path, const char *prefix, atm_weights **out)
{
    atm_weights *w = calloc(1, sizeof *w);
    if (!w) return atm_fail(ATM_E_MEMORY, "%s: no memory", path);
    atm_status status = prepare(w, path, prefix);
    if (status != ATM_OK) {
        atm_weights_close(w);
        return status;
    }
    *out = w;
    return ATM_OK;
}

const char *atm_weights_path(const atm_weights *w) { return w->path; }
size_t atm_weights_file_count(const atm_weights *w) { return w->n_files; }
const atm_tensor_file *atm_weights_file(const atm_weights *w, size_t i) { return w->part[i].file; }

void atm_weights_alias(atm_weights *w, const char *part, const char *other)
{
    atm_weights_alias_pair *pair = atm_arena_alloc(&w->arena, 1, sizeof *pair);
    if (!pair) {
        w->status = ATM_E_MEMORY;
        return;
    }
    *pair = (atm_weights_alias_pair){ part, other, w->alias };
    w->alias = pair;
}

static bool find_exact(const atm_weights *w, const char *name, atm_weights_place *out)
{
    for (size_t f = 0; f < w->n_files; f++) {
        const atm_tensor_file *file = w->part[f].file;
        const atm_file_tensor *tensor = atm_tensor_file_find(file, name);
        if (!tensor) continue;
        *out = (atm_weights_place){ tensor, &w->part[f].state[tensor - atm_tensor_file_at(file, 0)], file };
        return true;
    }
    return false;
}

/* Where `part` stands in `name` as whole dotted words, or NULL. */
static const char *find_words(const char *name, const char *part)
{
    size_t length = strlen(part);
    for (const char *p = name; (p = strstr(p, part)); p++)
        if ((p == name || p[-1] == '.') && (p[length] == '.' || !p[length])) return p;
    return NULL;
}

enum { NAME_MAX_BYTES = 1024 };

static bool place_of(const atm_weights *w, const char *name, atm_weights_place *out)
{
    char full[NAME_MAX_BYTES];
    snprintf(full, sizeof full, "%s%s", w->prefix, name);
    if (find_exact(w, full, out)) return true;
    for (const atm_weights_alias_pair *a = w->alias; a; a = a->next) {
        const char *at = find_words(name, a->part);
        if (!at) continue;
        snprintf(full, sizeof full, "%s%.*s%s%s", w->prefix, (int)(at - name), name, a->other,
                 at + strlen(a->part));
        if (find_exact(w, full, out)) return true;
    }
    return false;
}

const atm_file_tensor *atm_weights_tensor(const atm_weights *w, const char *name)
{
    atm_weights_place place;
    return place_of(w, name, &place) ? place.tensor : NULL;
}

bool atm_weights_has(const atm_weights *w, const char *name) { return atm_weights_tensor(w, name) != NULL; }
const char *atm_weights_prefix(const atm_weights *w) { return w->prefix; }

/* Equal but for dimensions of 1, which do not change where the elements lie. */
static bool same_shape(const int64_t *a, int rank_a, const int64_t *b, int rank_b)
{
    int i = 0, j = 0;
    for (;;) {
        while (i < rank_a && a[i] == 1) i++;
        while (j < rank_b && b[j] == 1) j++;
        if (i == rank_a || j == rank_b) return i == rank_a && j == rank_b;
        if (a[i++] != b[j++]) return false;
    }
}

/* Once per dtype; false when memory is out. */
static bool convert(const atm_weights_place *place, atm_dtype want, atm_weight *out)
{
    void **converted = &place->state->converted[want];
    if (!*converted) {
        const atm_file_tensor *from = place->tensor;
        size_t bytes;
        if (!atm_mul_size(out->count, atm_dtype_size(want), &bytes) ||
            !(*converted = malloc(bytes ? bytes : 1))) return false;
        atm_convert(*converted, want, from->data, from->dtype, out->count);
        atm_tensor_file_release_pages(place->file, from->data, from->bytes);
    }
    out->data = *converted;
    return true;
}

bool atm_weights_find(atm_weights *w, const char *name, int rank, const int64_t *dim,
                      atm_dtype want, atm_weight *out)
{
    atm_weights_place place;
    *out = (atm_weight){ 0 };
    if (!place_of(w, name, &place)) {
        atm_weights_note_missing(w, name, rank, dim);
        return false;
    }
    const atm_file_tensor *t = place.tensor;
    place.state->used = true;
    if (!same_shape(dim, rank, t->dim, t->rank) || atm_dtype_is_float(want) != atm_dtype_is_float(t->dtype)) {
        atm_weights_note_shape(w, t, rank, dim, want);
        return false;
    }
    atm_weight weight = { t->data, want, t->bytes / atm_dtype_size(t->dtype), t };
    if (want != t->dtype && !convert(&place, want, &weight)) {
        w->status = ATM_E_MEMORY;
        return false;
    }
    *out = weight;
    return true;
}

void atm_weights_release_pages(atm_weights *w, const void *data, size_t bytes)
{
    for (size_t f = 0; f < w->n_files; f++) atm_tensor_file_release_pages(w->part[f].file, data, bytes);
}

static void free_converted(atm_weights_state *state)
{
    for (int d = 0; d < ATM_DTYPE_COUNT; d++) free(state->converted[d]);
}

static void close_part(atm_weights_part *part)
{
    size_t n = part->state ? atm_tensor_file_count(part->file) : 0;
    for (size_t i = 0; i < n; i++) free_converted(&part->state[i]);
    free(part->state);
    atm_tensor_file_close(part->file);
}

void atm_weights_close(atm_weights *w)
{
    if (!w) return;
    for (size_t f = 0; f < w->n_files; f++) close_part(&w->part[f]);
    free(w->part);
    atm_arena_free(&w->arena);
    free(w);
}
