/* assemble.c - from the rows that are there to one dataset.
 *
 * Of the matches those count whose artwork and window could be made; of artworks and clips those
 * that such a match names.  To add a column: a row in columns_of(), or of the table of texts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/utf8.h"
#include "prepare/job.h"

enum { MAX_COLUMNS = 8, MAX_TEXT = 8192 };           /* a path of PATH_MAX, or a cell of a list */

/* ------------------------------------------------------------------ which rows */

static bool has_artwork(const atm_job *job, const atm_match *m)
{
    return m->artwork < 0 || *job->collection.artwork[m->artwork].fingerprint;
}

static int compare_clips(const void *a, const void *b)
{
    const atm_job_clip *x = a, *y = b;
    if (x->track != y->track) return x->track < y->track ? -1 : 1;
    return (x->start > y->start) - (x->start < y->start);
}

static atm_job_clip *find_clip(const atm_job *job, int track, int64_t start)
{
    const atm_job_clip key = { .track = track, .start = start };
    return job->n_clips ? bsearch(&key, job->clip, (size_t)job->n_clips, sizeof key, compare_clips) : NULL;
}

typedef atm_status (*pair_work)(atm_job *job, const atm_match *m, atm_job_clip *clip, void *user);

/* All pairs of the dataset, in their order. */
static atm_status each_pair(atm_job *job, pair_work work, void *user)
{
    for (int i = 0; i < job->collection.n_matches; i++) {
        const atm_match *m = &job->collection.match[i];
        const int64_t length = job->collection.track[m->track].length;
        if (m->split == ATM_SPLITS || !has_artwork(job, m)) continue;
        const int64_t n = atm_window_count(&job->windows, length, m->start);
        for (int64_t k = 0; k < n; k++) {
            const int64_t start = atm_window_start(&job->windows, length, m->start, k);
            atm_job_clip *clip = find_clip(job, m->track, start);
            if (clip) TRY_RETURN(work(job, m, clip, user));
        }
    }
    return ATM_OK;
}

static atm_status count_pair(atm_job *job, const atm_match *m, atm_job_clip *clip, void *user)
{
    (void)user;
    job->summary.pairs[m->split]++;
    clip->row = 0;
    if (m->artwork >= 0) job->collection.artwork[m->artwork].row = 0;
    return ATM_OK;
}

static void number_rows(atm_job *job)
{
    atm_prepare_summary *s = &job->summary;
    for (int i = 0; i < job->n_clips; i++)
        if (job->clip[i].row == 0) job->clip[i].row = s->clips++;
    for (int i = 0; i < job->collection.n_artworks; i++)
        if (job->collection.artwork[i].row == 0) job->collection.artwork[i].row = s->artworks++;
    s->seconds = s->clips * job_seconds(job->windows.step);
}

static size_t n_pairs(const atm_job *job)
{
    size_t n = 0;
    for (int i = 0; i < ATM_SPLITS; i++) n += (size_t)job->summary.pairs[i];
    return n;
}

/* ------------------------------------------------------------------ columns */

typedef struct {
    atm_column column;                  /* but for rows and row_bytes */
    unsigned flag;
    job_store store;
    size_t offset;                      /* in the store's row, bytes */
} data_column;

static int columns_of(const atm_job *job, data_column out[MAX_COLUMNS])
{
    const int C = job->latent[0], T = job->latent[1], F = job->latent[2], side = job->side;
    const size_t latent = job_latent_floats(job) * sizeof(float), mel = job_mel_floats(job) * sizeof(float);
    const data_column all[] = {
        { { .name = "artworks/embedding", .dtype = ATM_F32, .rank = 1, .dim = { job->embedding } },
          ATM_PREPARE_EMBEDDING, JOB_EMBEDDINGS, 0 },
        { { .name = "artworks/pixels", .dtype = ATM_U8, .rank = 3, .dim = { side, side, 3 } },
          ATM_PREPARE_PIXELS, JOB_PICTURES, 0 },
        { { .name = "clips/latent_mean", .dtype = ATM_F32, .rank = 3, .dim = { C, T, F } },
          ATM_PREPARE_LATENTS, JOB_LATENTS, 0 },
        { { .name = "clips/latent_logvar", .dtype = ATM_F32, .rank = 3, .dim = { C, T, F } },
          ATM_PREPARE_LATENTS, JOB_LATENTS, latent },
        { { .name = "clips/mel", .dtype = ATM_F32, .rank = 2, .dim = { job->frames, 64 } },
          ATM_PREPARE_MEL, JOB_SOUNDS, 0 },
        { { .name = "clips/audio", .dtype = ATM_F32, .rank = 1, .dim = { job->samples } },
          ATM_PREPARE_AUDIO, JOB_SOUNDS, mel },
    };
    int n = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (job_wants(job, all[i].flag)) out[n++] = all[i];
    return n;
}

static bool is_of_artworks(const atm_column *c) { return strncmp(c->name, "artworks/", 9) == 0; }

static atm_status declare(const atm_job *job, atm_dataset_writer *w, atm_column column)
{
    column.rows = (size_t)(is_of_artworks(&column) ? job->summary.artworks : job->summary.clips);
    return atm_dataset_declare(w, &column);
}

/* ------------------------------------------------------------------ texts */

static const struct { const char *name; size_t offset; bool pointer; } texts[] = {
    { "path",        offsetof(atm_source, name),        true  },
    { "fingerprint", offsetof(atm_source, fingerprint), false },
    { "caption",     offsetof(atm_source, caption),     true  },
    { "licence",     offsetof(atm_source, licence),     true  },
    { "source",      offsetof(atm_source, source),      true  },
};
enum { N_TEXTS = sizeof texts / sizeof texts[0] };

static const char *text_of(const atm_source *source, int text)
{
    const char *member = (const char *)source + texts[text].offset;
    return texts[text].pointer ? *(const char *const *)(const void *)member : member;
}

static int longest_text(const atm_source *source, int n, int text)
{
    size_t longest = 1;                 /* a column of no bytes is none */
    for (int i = 0; i < n; i++)
        if (strlen(text_of(&source[i], text)) > longest) longest = strlen(text_of(&source[i], text));
    return (int)longest;
}

typedef struct { const char *group; const atm_source *source; int n; } source_group;

static source_group group_of(const atm_job *job, bool artworks)
{
    const atm_collection *c = &job->collection;
    return artworks ? (source_group){ "artworks", c->artwork, c->n_artworks }
                    : (source_group){ "clips", c->track, c->n_tracks };
}

static atm_status declare_texts(const atm_job *job, atm_dataset_writer *w, bool artworks)
{
    const source_group g = group_of(job, artworks);
    for (int t = 0; t < N_TEXTS; t++) {
        char name[64];
        snprintf(name, sizeof name, "%s/%s", g.group, texts[t].name);
        const int bytes = longest_text(g.source, g.n, t);
        TRY_RETURN(declare(job, w, (atm_column){ .name = name, .dtype = ATM_U8, .text = true, .rank = 1,
                                                 .dim = { bytes } }));
    }
    return ATM_OK;
}

static atm_status put_texts(atm_dataset_writer *w, source_group g, const atm_source *source, size_t row)
{
    char cell[MAX_TEXT];
    for (int t = 0; t < N_TEXTS; t++) {
        char name[64];
        snprintf(name, sizeof name, "%s/%s", g.group, texts[t].name);
        memset(cell, 0, sizeof cell);
        memcpy(cell, text_of(source, t), strlen(text_of(source, t)));
        TRY_RETURN(atm_dataset_put(w, name, row, cell));
    }
    return ATM_OK;
}

static atm_status put_sources(atm_job *job, atm_dataset_writer *w)
{
    const source_group artworks = group_of(job, true), clips = group_of(job, false);
    for (int i = 0; i < artworks.n; i++)
        if (artworks.source[i].row >= 0)
            TRY_RETURN(put_texts(w, artworks, &artworks.source[i], (size_t)artworks.source[i].row));
    for (int i = 0; i < job->n_clips; i++) {
        const atm_job_clip *c = &job->clip[i];
        if (c->row < 0) continue;
        const double start = job_seconds(c->start);
        TRY_RETURN(put_texts(w, clips, &clips.source[c->track], (size_t)c->row));
        TRY_RETURN(atm_dataset_put(w, "clips/start", (size_t)c->row, &start));
    }
    return ATM_OK;
}

/* ------------------------------------------------------------------ data */

typedef struct {
    atm_job *job;
    atm_dataset_writer *writer;
    data_column column[MAX_COLUMNS];
    int n_columns;
    unsigned char *row;                 /* of a store, the widest */
    int done, total;                    /* rows of stores */
} assembly;

static atm_status put_row(assembly *a, job_store store, atm_part_key key, int row)
{
    TRY_RETURN(job_tick(a->job, "dataset", (double)a->done / a->total, a->done, a->total));
    a->done++;
    TRY_RETURN(atm_parts_read(a->job->store[store], key, a->row));
    for (int i = 0; i < a->n_columns; i++)
        if (a->column[i].store == store)
            TRY_RETURN(atm_dataset_put(a->writer, a->column[i].column.name, (size_t)row,
                                       a->row + a->column[i].offset));
    return ATM_OK;
}

static atm_status put_clips(assembly *a, job_store store)
{
    atm_job *job = a->job;
    for (int i = 0; i < job->n_clips; i++) {
        if (job->clip[i].row >= 0) TRY_RETURN(put_row(a, store, job_clip_key(job, i), job->clip[i].row));
    }
    return ATM_OK;
}

static atm_status put_artworks(assembly *a, job_store store)
{
    const atm_collection *c = &a->job->collection;
    for (int i = 0; i < c->n_artworks; i++) {
        const int row = c->artwork[i].row;
        if (row >= 0) TRY_RETURN(put_row(a, store, job_artwork_key(a->job, i), row));
    }
    return ATM_OK;
}

/* Columns of one store lie side by side in columns_of(). */
static bool is_first_of_store(const assembly *a, int i)
{
    return i == 0 || a->column[i - 1].store != a->column[i].store;
}

static atm_status put_stores(assembly *a)
{
    for (int i = 0; i < a->n_columns; i++) {
        const job_store store = a->column[i].store;
        if (is_first_of_store(a, i))
            TRY_RETURN(is_of_artworks(&a->column[i].column) ? put_artworks(a, store) : put_clips(a, store));
    }
    return ATM_OK;
}

static atm_status put_data(assembly *a)
{
    size_t widest = 1;
    for (int i = 0; i < a->n_columns; i++) {
        const size_t bytes = job_row_bytes(a->job, a->column[i].store);
        const bool artworks = is_of_artworks(&a->column[i].column);
        if (bytes > widest) widest = bytes;
        if (is_first_of_store(a, i)) a->total += artworks ? a->job->summary.artworks : a->job->summary.clips;
    }
    a->row = malloc(widest);
    if (!a->row) return atm_fail(ATM_E_MEMORY, "no memory for a row of %zu bytes", widest);
    const atm_status status = put_stores(a);
    free(a->row);
    return status;
}

/* ------------------------------------------------------------------ pairs */

typedef struct { atm_dataset_writer *writer; size_t row; } pair_writer;

static atm_status put_pair(atm_job *job, const atm_match *m, atm_job_clip *clip, void *user)
{
    pair_writer *p = user;
    const int32_t artwork = m->artwork < 0 ? -1 : job->collection.artwork[m->artwork].row;
    const int32_t row = clip->row, split = m->split;
    TRY_RETURN(atm_dataset_put(p->writer, "pairs/artwork", p->row, &artwork));
    TRY_RETURN(atm_dataset_put(p->writer, "pairs/clip", p->row, &row));
    return atm_dataset_put(p->writer, "pairs/split", p->row++, &split);
}

static atm_status declare_pairs(const atm_job *job, atm_dataset_writer *w)
{
    static const char *const names[] = { "pairs/artwork", "pairs/clip", "pairs/split" };
    for (int i = 0; i < 3; i++) {
        const atm_column column = { .name = names[i], .dtype = ATM_I32, .rows = n_pairs(job) };
        TRY_RETURN(atm_dataset_declare(w, &column));
    }
    return ATM_OK;
}

/* ------------------------------------------------------------------ the file */

/* A folder's name may be anything; the file holds UTF-8. */
static bool is_text(const char *text) { return text && *text && atm_utf8_valid(text, strlen(text)); }

static atm_status set_attributes(const atm_job *job, atm_dataset_writer *w)
{
    char duration[32], rate[16];
    const atm_prepare_options *o = job->options;
    snprintf(duration, sizeof duration, "%.10g", job_seconds(job->samples));
    snprintf(rate, sizeof rate, "%d", ATM_STFT_RATE);
    const struct { const char *name, *text; } attributes[] = {
        { "engine", "arttomus " ATM_VERSION }, { "duration", duration }, { "sample_rate", rate },
        { "framing", o->framing == ATM_FRAMING_ART2MUS ? "art2mus" : "audioldm2" },
        { "model", job->has_model ? o->model : NULL }, { "vae_fingerprint", job->vae },
        { "image_encoder_fingerprint", job->image_encoder }, { "created_by", o->created_by }
    };
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++)
        if (is_text(attributes[i].text))
            TRY_RETURN(atm_dataset_set(w, attributes[i].name, attributes[i].text));
    return ATM_OK;
}

static atm_status declare_all(assembly *a)
{
    const atm_job *job = a->job;
    for (int i = 0; i < a->n_columns; i++)
        if (job->summary.artworks || !is_of_artworks(&a->column[i].column))
            TRY_RETURN(declare(job, a->writer, a->column[i].column));
    if (job->summary.artworks) TRY_RETURN(declare_texts(job, a->writer, true));
    TRY_RETURN(declare_texts(job, a->writer, false));
    TRY_RETURN(declare(job, a->writer, (atm_column){ .name = "clips/start", .dtype = ATM_F64 }));
    return declare_pairs(job, a->writer);
}

static atm_status fill(assembly *a)
{
    pair_writer pairs = { a->writer, 0 };
    TRY_RETURN(declare_all(a));
    TRY_RETURN(set_attributes(a->job, a->writer));
    TRY_RETURN(put_sources(a->job, a->writer));
    TRY_RETURN(each_pair(a->job, put_pair, &pairs));
    return put_data(a);
}

/* Made among the parts, so that what a killed run leaves of it goes with them. */
static atm_status write_dataset(atm_job *job)
{
    char path[4096];
    assembly a = { .job = job, .n_columns = 0 };
    const char *output = job->options->output;
    snprintf(path, sizeof path, "%s/dataset.h5", job->folder);
    a.n_columns = columns_of(job, a.column);
    TRY_RETURN(atm_dataset_begin(path, &a.writer));
    const atm_status status = fill(&a);
    if (status != ATM_OK) {
        atm_dataset_abort(a.writer);
        return status;
    }
    TRY_RETURN(atm_dataset_commit(a.writer));
    if (rename(path, output) == 0) return ATM_OK;
    return atm_fail(ATM_E_IO, "%s: cannot put the dataset there: %s", output, strerror(errno));
}

atm_status job_assemble(atm_job *job)
{
    each_pair(job, count_pair, NULL);
    number_rows(job);
    if (job->summary.pairs[ATM_SPLIT_TRAIN] == 0)
        return atm_fail(ATM_E_DATA, "%s: nothing is left to train on: of %d pairs listed, %zu clips could be "
                        "made, and none is in the train split", job->options->output,
                        job->summary.listed_pairs, n_pairs(job));
    return write_dataset(job);
}
