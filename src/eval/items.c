/* items.c - see items.h. */
#include "eval/items.h"

#include <stdlib.h>
#include <string.h>

#include "base/philox.h"

/* ------------------------------------------------------------------ tracks */

typedef struct { const char *text; size_t bytes, row; } name;

static int by_text(const void *a, const void *b)
{
    const name *x = a, *y = b;
    return memcmp(x->text, y->text, x->bytes);
}

static atm_status read_names(const atm_dataset *d, const atm_column *column, char *text, name *names)
{
    for (size_t i = 0; i < column->rows; i++) {
        names[i] = (name){ text + i * column->row_bytes, column->row_bytes, i };
        TRY_RETURN(atm_dataset_read(d, column, i, text + i * column->row_bytes));
    }
    return ATM_OK;
}

/* track[row] for all rows of the column: equal texts, equal numbers. */
static atm_status number_tracks(const atm_dataset *d, const atm_column *column, int *track)
{
    atm_status status = ATM_OK;
    int n = 0;
    char *text = calloc(column->rows + 1, column->row_bytes);
    name *names = calloc(column->rows + 1, sizeof *names);
    if (!text || !names) TRY(atm_fail(ATM_E_MEMORY, "no memory for the names of %zu clips", column->rows));
    TRY(read_names(d, column, text, names));
    qsort(names, column->rows, sizeof *names, by_text);
    for (size_t i = 0; i < column->rows; i++) {
        n += i > 0 && by_text(&names[i - 1], &names[i]) != 0;
        track[names[i].row] = n;
    }
done:
    free(text);
    free(names);
    return status;
}

static size_t count_clips(const atm_dataset *d)
{
    const atm_pair *pair = atm_dataset_pairs(d);
    size_t n = 0;
    for (size_t i = 0; i < atm_dataset_n_pairs(d); i++)
        if (pair[i].clip >= 0 && (size_t)pair[i].clip >= n) n = (size_t)pair[i].clip + 1;
    return n;
}

/* *out [clips] is the caller's. */
static atm_status find_tracks(const atm_dataset *d, int **out)
{
    const size_t clips = count_clips(d);
    const atm_column *column = atm_dataset_find(d, "clips/fingerprint");
    if (!column) column = atm_dataset_find(d, "clips/path");
    const bool told = column && column->text && column->rows >= clips;
    int *track = calloc((told ? column->rows : clips) + 1, sizeof *track);
    if (!track) return atm_fail(ATM_E_MEMORY, "no memory for %zu clips", clips);
    for (size_t i = 0; i < clips; i++) track[i] = (int)i;
    const atm_status status = told ? number_tracks(d, column, track) : ATM_OK;
    if (status == ATM_OK) *out = track;
    else free(track);
    return status;
}

/* ------------------------------------------------------------------ choosing */

typedef struct { eval_item item; uint32_t key; int rank; } candidate;

static int by_track(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->item.track != y->item.track) return x->item.track < y->item.track ? -1 : 1;
    return (x->key > y->key) - (x->key < y->key);
}

static int by_rank(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
    return (x->key > y->key) - (x->key < y->key);
}

static int list_candidates(const atm_dataset *d, atm_split split, eval_each each, uint64_t seed,
                           const int *track, candidate *out)
{
    const atm_pair *pair = atm_dataset_pairs(d);
    int n = 0;
    for (size_t i = 0; i < atm_dataset_n_pairs(d); i++) {
        if (pair[i].split != split || pair[i].clip < 0) continue;
        if (pair[i].artwork < 0 && each != EVAL_EACH_CLIP) continue;
        const atm_rng place = { seed, ATM_STREAM_ORDER, 0, 0 };
        out[n++] = (candidate){ { pair[i].artwork, pair[i].clip, track[pair[i].clip] },
                                atm_uint32(place, (uint32_t)i), 0 };
    }
    return n;
}

/* A track's first, every track's second ... */
static void spread(candidate *c, int n)
{
    qsort(c, (size_t)n, sizeof *c, by_track);
    for (int i = 1; i < n; i++) c[i].rank = c[i].item.track == c[i - 1].item.track ? c[i - 1].rank + 1 : 0;
    qsort(c, (size_t)n, sizeof *c, by_rank);
}

/* What has been taken: clips or artworks by their rows, and tracks. */
typedef struct { bool *row, *track; } seen;

static bool is_first(bool *taken, int at)
{
    const bool first = !taken[at];
    taken[at] = true;
    return first;
}

static void take(const candidate *c, int n, eval_each each, int most, seen *before, eval_items *out)
{
    for (int i = 0; i < n && (most == 0 || out->n < most); i++) {
        const eval_item *one = &c[i].item;
        const int row = each == EVAL_EACH_CLIP ? one->clip : one->artwork;
        if (each != EVAL_EACH_PAIR && !is_first(before->row, row)) continue;
        out->tracks += is_first(before->track, one->track);
        out->item[out->n++] = *one;
    }
}

static int largest_number(const candidate *c, int n)
{
    int most = 0;
    for (int i = 0; i < n; i++) {
        const int of[] = { c[i].item.artwork, c[i].item.clip, c[i].item.track };
        for (int k = 0; k < 3; k++) if (of[k] > most) most = of[k];
    }
    return most;
}

static atm_status take_spread(candidate *c, int n, eval_each each, int most, eval_items *out)
{
    const size_t room = (size_t)largest_number(c, n) + 1;
    seen before = { calloc(room, sizeof(bool)), calloc(room, sizeof(bool)) };
    const bool memory = before.row && before.track;
    if (memory) {
        spread(c, n);
        take(c, n, each, most, &before, out);
    }
    free(before.row);
    free(before.track);
    return memory ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for %d pairs", n);
}

static atm_status nothing_chosen(const atm_dataset *d, atm_split split, eval_each each)
{
    return atm_fail(ATM_E_DATA, "%s: there is no pair%s in the %s split", atm_dataset_path(d),
                    each == EVAL_EACH_CLIP ? "" : " with an artwork", atm_split_names[split]);
}

atm_status eval_choose(const atm_dataset *d, atm_split split, eval_each each, int most, uint64_t seed,
                       eval_items *out)
{
    const size_t pairs = atm_dataset_n_pairs(d);
    int *track = NULL;
    atm_status status = ATM_OK;
    *out = (eval_items){ .item = calloc(pairs + 1, sizeof *out->item) };
    candidate *c = calloc(pairs + 1, sizeof *c);
    if (!out->item || !c) TRY(atm_fail(ATM_E_MEMORY, "no memory for %zu pairs", pairs));
    TRY(find_tracks(d, &track));
    const int n = list_candidates(d, split, each, seed, track, c);
    TRY(take_spread(c, n, each, most, out));
    if (out->n == 0) status = nothing_chosen(d, split, each);
done:
    free(track);
    free(c);
    if (status != ATM_OK) eval_items_free(out);
    return status;
}

void eval_items_free(eval_items *items)
{
    free(items->item);
    *items = (eval_items){ 0 };
}

int *eval_clusters(const eval_items *items)
{
    int *cluster = calloc((size_t)items->n + 1, sizeof *cluster);
    for (int i = 0; cluster && i < items->n; i++) cluster[i] = items->item[i].track;
    return cluster;
}
