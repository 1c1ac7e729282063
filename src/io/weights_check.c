/* weights_check.c - one error for all that is wrong with a network's weights. */
#include <fnmatch.h>
#include <stdio.h>

#include "io/weights_private.h"

/* Buffers that old library versions saved, and that no network reads: causal
 * masks, position counters, batch-norm statistics, the token embeddings of a
 * GPT-2 that is fed vectors. */
static const char *const harmless[] = {
    "*position_ids", "*num_batches_tracked", "*.attn.bias", "*.attn.masked_bias", "*rotary_emb.inv_freq",
    "wte.weight", "*.wte.weight", NULL
};

static void __attribute__((format(printf, 2, 3))) add(atm_weights_list *list, const char *format, ...)
{
    list->n++;
    if (list->kept == ATM_WEIGHTS_LISTED) return;
    size_t room = sizeof list->text - list->bytes;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(list->text + list->bytes, room, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= room) {
        list->text[list->bytes] = '\0';         /* an entry is whole or absent */
        return;
    }
    list->bytes += (size_t)n;
    list->kept++;
}

static const char *separator(const atm_weights_list *list) { return list->kept ? ", " : ""; }

void atm_weights_note_missing(atm_weights *w, const char *name, int rank, const int64_t *dim)
{
    char shape[ATM_SHAPE_TEXT];
    add(&w->missing, "%s%s%s %s", separator(&w->missing), w->prefix, name, atm_shape_text(shape, dim, rank));
}

void atm_weights_note_shape(atm_weights *w, const atm_file_tensor *found, int rank, const int64_t *dim,
                            atm_dtype want)
{
    char expected[ATM_SHAPE_TEXT], is[ATM_SHAPE_TEXT];
    const char *kind = atm_dtype_is_float(want) == atm_dtype_is_float(found->dtype) ? ""
                     : atm_dtype_is_float(want) ? "floats " : "integers ";
    add(&w->misshaped, "%s%s is %s %s, expected %s%s", separator(&w->misshaped), found->name,
        atm_dtype_name(found->dtype), atm_shape_text(is, found->dim, found->rank), kind,
        atm_shape_text(expected, dim, rank));
}

static bool matches(const char *name, const char *const *pattern)
{
    for (; pattern && *pattern; pattern++)
        if (fnmatch(*pattern, name, 0) == 0) return true;
    return false;
}

static bool is_expected(const atm_weights *w, const atm_file_tensor *t, const char *const *ignore)
{
    size_t prefix = strlen(w->prefix);
    if (strncmp(t->name, w->prefix, prefix) != 0 || t->bytes == 0) return true;
    return matches(t->name + prefix, harmless) || matches(t->name + prefix, ignore);
}

static void list_unexpected(const atm_weights *w, const char *const *ignore, atm_weights_list *list)
{
    char shape[ATM_SHAPE_TEXT];
    for (size_t f = 0; f < w->n_files; f++)
        for (size_t i = 0; i < atm_tensor_file_count(w->part[f].file); i++) {
            const atm_file_tensor *t = atm_tensor_file_at(w->part[f].file, i);
            if (!w->part[f].state[i].used && !is_expected(w, t, ignore))
                add(list, "%s%s %s", separator(list), t->name, atm_shape_text(shape, t->dim, t->rank));
        }
}

/* "; 40 missing: a [1], b [2] ... and 38 more", or nothing for an empty list. */
static int print_list(char *to, size_t room, const char *what, const atm_weights_list *list)
{
    if (!list->n) return 0;
    int n = snprintf(to, room, "; %zu %s: %s", list->n, what, list->text);
    if (list->kept < list->n)
        n += snprintf(to + n, room - (size_t)n, " ... and %zu more", list->n - list->kept);
    return n;
}

atm_status atm_weights_check(const atm_weights *w, const char *const *ignore)
{
    atm_weights_list unexpected = { 0 };
    char text[3 * (ATM_WEIGHTS_LIST_BYTES + 80)] = "";
    if (w->status != ATM_OK) return atm_fail(w->status, "%s: no memory for its weights", w->path);
    list_unexpected(w, ignore, &unexpected);
    int n = print_list(text, sizeof text, "missing", &w->missing);
    n += print_list(text + n, sizeof text - (size_t)n, "unexpected", &unexpected);
    n += print_list(text + n, sizeof text - (size_t)n, "of another shape", &w->misshaped);
    return n ? atm_fail(ATM_E_DATA, "%s: the weights do not fit the network%s", w->path, text) : ATM_OK;
}
