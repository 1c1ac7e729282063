/* samples.c - see samples.h. */
#include "train/samples.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "arttomus/arttomus.h"
#include "base/log.h"
#include "io/folder.h"

typedef struct {
    const atm_dataset *dataset;
    const char *out_folder;
    atm_run_log *log;
    uint64_t step;
    int n, dim;                         /* artworks; numbers in an embedding */
    int32_t *row;                       /* [n] of the artworks               */
    float *embeddings;                  /* [n, dim]                          */
    atm_artwork *artwork;               /* [n]                               */
} samples;

/* ------------------------------------------------------------------ which artworks */

static bool is_chosen(const samples *s, int32_t row)
{
    for (int i = 0; i < s->n; i++)
        if (s->row[i] == row) return true;
    return false;
}

static void choose(samples *s, int wanted)
{
    const atm_pair *pair = atm_dataset_pairs(s->dataset);
    const size_t n = atm_dataset_n_pairs(s->dataset);
    for (size_t i = 0; i < n && s->n < wanted; i++)
        if (pair[i].split == ATM_SPLIT_VALIDATION && pair[i].artwork >= 0 && !is_chosen(s, pair[i].artwork))
            s->row[s->n++] = pair[i].artwork;
}

static atm_status read_embedding(const samples *s, const atm_column *column, int i, void *row)
{
    float *embedding = s->embeddings + (size_t)i * (size_t)s->dim;
    TRY_RETURN(atm_dataset_read(s->dataset, column, (size_t)s->row[i], row));
    atm_convert(embedding, ATM_F32, row, column->dtype, (size_t)s->dim);
    s->artwork[i] = (atm_artwork){ .size = sizeof *s->artwork, .embedding = embedding, .seed = (uint64_t)i };
    return ATM_OK;
}

static atm_status read_embeddings(samples *s, int dim)
{
    const char *path = atm_dataset_path(s->dataset);
    const atm_column *column = atm_dataset_find(s->dataset, "artworks/embedding");
    atm_status status = ATM_OK;
    if (!column || column->text) return atm_fail(ATM_E_DATA, "%s: has no embeddings to generate from", path);
    if (column->rank != 1 || column->dim[0] != dim)
        return atm_fail(ATM_E_DATA, "%s: its embeddings have %d numbers, the model's have %d: prepare it "
                        "with this model", path, column->dim[0], dim);
    s->dim = dim;
    s->embeddings = calloc((size_t)s->n * (size_t)dim, sizeof *s->embeddings);
    s->artwork = calloc((size_t)s->n, sizeof *s->artwork);
    void *row = malloc(column->row_bytes);
    if (!s->embeddings || !s->artwork || !row)
        TRY(atm_fail(ATM_E_MEMORY, "no memory for %d embeddings", s->n));
    for (int i = 0; i < s->n; i++) TRY(read_embedding(s, column, i, row));
done:
    free(row);
    return status;
}

/* ------------------------------------------------------------------ what they sound like */

static atm_status save(const samples *s, const atm_result *result, int i)
{
    char path[PATH_MAX], tag[64];
    const atm_samples sound = atm_result_audio(result, i);
    const int row = (int)s->row[i];
    if (snprintf(path, sizeof path, "%s/artwork_%05d.wav", s->out_folder, row) >= (int)sizeof path)
        return atm_fail(ATM_E_IO, "%s: the path is too long", s->out_folder);
    TRY_RETURN(atm_save_audio(result, i, path, NULL));
    snprintf(tag, sizeof tag, "samples/artwork_%05d", row);
    TRY_RETURN(atm_run_log_audio(s->log, s->step, tag, sound.data, (int)sound.n, sound.rate));
    snprintf(path, sizeof path, "%s/artwork_%05d.png", s->out_folder, row);
    TRY_RETURN(atm_save_spectrogram(result, i, path));
    snprintf(tag, sizeof tag, "samples/artwork_%05d_mel", row);
    return atm_run_log_image(s->log, s->step, tag, path);
}

static atm_status generate(samples *s, atm_model *model, int steps, double duration)
{
    const atm_generate_options how = { .size = sizeof how, .steps = steps, .duration = duration };
    atm_info info = { .size = sizeof info };
    atm_result *result = NULL;
    atm_status status;
    TRY(atm_get_info(model, &info));
    TRY(read_embeddings(s, info.embedding_dim));
    TRY(atm_generate(model, s->n, s->artwork, &how, &result));
    TRY(atm_folder_make(s->out_folder));
    for (int i = 0; i < s->n; i++) TRY(save(s, result, i));
done:
    atm_result_free(result);
    return status;
}

atm_status atm_train_samples(const char *model_folder, const atm_dataset *dataset, int n, int steps,
                             double duration, const char *out_folder, atm_run_log *log, uint64_t step)
{
    atm_model *model = NULL;
    atm_status status = ATM_OK;
    samples s = { .dataset = dataset, .out_folder = out_folder, .log = log, .step = step,
                  .row = calloc((size_t)n, sizeof *s.row) };
    if (!s.row) TRY(atm_fail(ATM_E_MEMORY, "no memory for %d samples", n));
    choose(&s, n);
    if (s.n == 0) {
        atm_log(ATM_LOG_WARNING, "%s has no artworks for validation: no samples", atm_dataset_path(dataset));
        goto done;
    }
    TRY(atm_open(model_folder, NULL, &model));
    TRY(generate(&s, model, steps, duration));
done:
    atm_close(model);
    free(s.row);
    free(s.embeddings);
    free(s.artwork);
    return status;
}
