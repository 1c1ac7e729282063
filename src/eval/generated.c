/* generated.c - music for artworks of the split, by the public interface: what a user would hear. */
#include <stdlib.h>
#include <string.h>

#include "eval/job.h"

/* The engine's progress becomes the measure's. */
static int pass_on(const atm_progress *progress, void *user)
{
    const eval_job *job = user;
    atm_progress mine = *progress;
    mine.stage = job->measure;
    return job->options->progress ? job->options->progress(&mine, job->options->user) : 0;
}

static atm_status open_engine(eval_job *job)
{
    const atm_eval_options *o = job->options;
    const atm_open_options how = { .size = sizeof how, .backend = o->backend, .threads = o->threads };
    return job->engine ? ATM_OK : atm_open(o->model, &how, &job->engine);
}

atm_status eval_choose_artworks(eval_job *job)
{
    const atm_eval_options *o = job->options;
    if (job->artworks.n) return ATM_OK;
    return eval_choose(job->data, o->split, EVAL_EACH_ARTWORK, o->clips, o->seed, &job->artworks);
}

static atm_status embed(eval_job *job, float *embedding)
{
    int32_t *row = calloc((size_t)job->artworks.n, sizeof *row);
    if (!row) return atm_fail(ATM_E_MEMORY, "no memory for %d artworks", job->artworks.n);
    for (int i = 0; i < job->artworks.n; i++) row[i] = job->artworks.item[i].artwork;
    const atm_status status = eval_embed_artworks(job, job->data, job->artworks.n, row, embedding);
    free(row);
    return status;
}

static void list_artworks(const eval_job *job, eval_take take, const float *embedding, atm_artwork *out)
{
    const size_t dim = (size_t)job->model.config.image_encoder.projection_dim;
    for (int i = 0; i < job->artworks.n; i++)
        out[i] = (atm_artwork){ .size = sizeof *out, .embedding = embedding + (size_t)i * dim,
                                .seed = job->options->seed + (take == EVAL_OWN_NOISE ? 1 + (uint64_t)i : 0) };
}

static atm_status make_take(eval_job *job, eval_take take)
{
    const atm_eval_options *o = job->options;
    const atm_generate_options how = {
        .size = sizeof how, .steps = o->steps, .duration = o->duration, .progress = pass_on, .user = job,
        .guidance = take == EVAL_SAME_NOISE_UNGUIDED ? 1 : o->guidance
    };
    const size_t n = (size_t)job->artworks.n, dim = (size_t)job->model.config.image_encoder.projection_dim;
    float *embedding = calloc(n, dim * sizeof *embedding);
    atm_artwork *artwork = calloc(n, sizeof *artwork);
    atm_status status = ATM_OK;
    if (!embedding || !artwork) TRY(atm_fail(ATM_E_MEMORY, "no memory for %zu artworks", n));
    TRY(embed(job, embedding));
    list_artworks(job, take, embedding, artwork);
    TRY(atm_generate(job->engine, (int)n, artwork, &how, &job->take[take]));
done:
    free(embedding);
    free(artwork);
    return status;
}

atm_status eval_generate(eval_job *job, eval_take take)
{
    if (job->take[take]) return ATM_OK;
    TRY_RETURN(eval_choose_artworks(job));
    TRY_RETURN(open_engine(job));
    return make_take(job, take);
}

void eval_forget_generated(eval_job *job)
{
    for (int i = 0; i < EVAL_TAKES; i++) atm_result_free(job->take[i]);
    eval_items_free(&job->artworks);
    atm_close(job->engine);
    job->engine = NULL;
}
