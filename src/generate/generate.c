/* generate.c - from artworks to clips: embeddings, conditions, latents, sounds.
 *
 *     artwork -> embedding -> tokens -> 8 vectors ("language of audio", LOA)
 *     noise, LOA -> latent              all clips of a batch together
 *     latent -> mel -> waveform         clip by clip: the decoders need the most memory
 *
 * Each stage is built when its turn comes and destroyed after it; what all of
 * them need is known, and checked, before the first (budget.h). */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "data/griffin_lim.h"
#include "generate/artwork.h"
#include "generate/budget.h"
#include "generate/denoise.h"
#include "generate/result.h"
#include "generate/stages.h"

typedef struct {
    atm_model *model;
    engine_request request;
    engine_budget budget;
    const atm_artwork *artworks;
    float *loa;                 /* [n_artworks, 8, D] */
    size_t loa_size;            /* 8 D */
    atm_result *result;
} job;

/* ------------------------------------------------------------------ conditions */

static atm_status encode_artworks(job *j, float *embedding)
{
    const size_t dim = (size_t)j->model->dir.config.image_encoder.projection_dim;
    const int n = j->request.n_artworks;
    for (int i = 0; i < n; i++) {
        const atm_artwork artwork = engine_artwork_at(j->artworks, i);
        const double work = engine_is_embedding(&artwork) ? 0 : j->budget.part[ENGINE_IMAGE_ENCODER].work;
        TRY_RETURN(atm_encode(j->model, &artwork, embedding + (size_t)i * dim));
        TRY_RETURN(engine_report(&j->request, "encode", i + 1, n, work));
    }
    return ATM_OK;
}

/* The adapter, then the language model, for every artwork. */
static atm_status condition_artworks(job *j, const float *embedding)
{
    const atm_model_config *c = &j->model->dir.config;
    const size_t in = (size_t)c->image_encoder.projection_dim;
    engine_stage adapter = { 0 }, language = { 0 };
    atm_status status = ATM_OK;
    float *tokens = calloc((size_t)c->adapter.n_tokens * (size_t)c->adapter.out_dim, sizeof *tokens);
    if (!tokens) return atm_fail(ATM_E_MEMORY, "no memory for %d tokens", c->adapter.n_tokens);
    TRY(engine_stage_open(j->model, ENGINE_ADAPTER, 0, &adapter));
    TRY(engine_stage_open(j->model, ENGINE_LANGUAGE_MODEL, 0, &language));
    for (int i = 0; i < j->request.n_artworks; i++) {
        TRY(engine_stage_run(&adapter, embedding + (size_t)i * in, tokens));
        TRY(engine_stage_run(&language, tokens, j->loa + (size_t)i * j->loa_size));
        TRY(engine_report(&j->request, "condition", i + 1, j->request.n_artworks,
                          j->budget.part[ENGINE_LANGUAGE_MODEL].work));
    }
done:
    engine_stage_close(&adapter);
    engine_stage_close(&language);
    free(tokens);
    return status;
}

static atm_status make_conditions(job *j)
{
    const atm_conditioning *c = &j->model->dir.conditioning;
    const size_t n = (size_t)j->request.n_artworks;
    const size_t dim = (size_t)j->model->dir.config.image_encoder.projection_dim;
    j->loa_size = (size_t)c->loa_tokens * (size_t)c->loa_dim;
    j->loa = calloc(n, j->loa_size * sizeof *j->loa);
    float *embedding = calloc(n, dim * sizeof *embedding);
    atm_status status = ATM_OK;
    if (!j->loa || !embedding) status = atm_fail(ATM_E_MEMORY, "no memory for %zu artworks", n);
    if (status == ATM_OK) status = encode_artworks(j, embedding);
    if (status == ATM_OK) status = condition_artworks(j, embedding);
    free(embedding);
    return status;
}

/* ------------------------------------------------------------------ latents */

/* The last batch may be smaller; its plan is then another one. */
static atm_status make_latents(job *j)
{
    engine_denoiser denoiser = { 0 };
    atm_status status = ATM_OK;
    for (int first = 0; first < j->request.clips; first += j->request.batch) {
        const int left = j->request.clips - first, batch = left < j->request.batch ? left : j->request.batch;
        if (denoiser.batch != batch) {
            engine_denoiser_close(&denoiser);
            TRY(engine_denoiser_open(j->model, &j->request, batch, &denoiser));
        }
        TRY(engine_denoise(j->model, &j->request, &denoiser, first, j->loa,
                           engine_result_latent(j->result, first)));
    }
done:
    engine_denoiser_close(&denoiser);
    return status;
}

/* ------------------------------------------------------------------ sounds */

static atm_status make_mels(job *j)
{
    const int clips = j->request.clips;
    engine_stage vae = { 0 };
    atm_status status = ATM_OK;
    TRY(engine_stage_open(j->model, ENGINE_VAE, j->request.frames, &vae));
    for (int i = 0; i < clips; i++) {
        TRY(engine_stage_run(&vae, engine_result_latent(j->result, i), engine_result_mel(j->result, i)));
        TRY(engine_report(&j->request, "decode", i + 1, 2 * clips, j->budget.part[ENGINE_VAE].work));
    }
done:
    engine_stage_close(&vae);
    return status;
}

/* As the model's "decoder" says (model/hifigan.h).  Frames are centred at 160 t + 80 samples, for
 * the vocoder too. */
static atm_status decode(job *j, engine_stage *vocoder, const float *mel, float *x)
{
    const int decoder = j->model->dir.config.vocoder.decoder;
    const size_t frames = (size_t)j->request.frames * (size_t)atm_vae_scale(&j->model->dir.config.vae);
    if (decoder == ATM_DECODER_GRIFFIN_LIM) return atm_griffin_lim(mel, frames, ATM_FRAMING_AUDIOLDM2, x);
    TRY_RETURN(engine_stage_run(vocoder, mel, x));
    if (decoder == ATM_DECODER_VOCODER) return ATM_OK;
    return atm_griffin_lim_from(mel, frames, ATM_FRAMING_AUDIOLDM2, ATM_HYBRID_ITERATIONS, x);
}

static atm_status make_sounds(job *j)
{
    const int clips = j->request.clips;
    const size_t frames = (size_t)j->request.frames * (size_t)atm_vae_scale(&j->model->dir.config.vae);
    size_t samples = frames * ATM_STFT_HOP;
    engine_stage vocoder = { 0 };
    float *whole = NULL;
    atm_status status = ATM_OK;
    if (j->model->dir.config.vocoder.decoder != ATM_DECODER_GRIFFIN_LIM)
        TRY(engine_stage_open(j->model, ENGINE_VOCODER, j->request.frames, &vocoder));
    if (vocoder.plan && atm_count(vocoder.out) > samples) samples = atm_count(vocoder.out);     /* a little longer */
    whole = malloc(samples * sizeof *whole);
    if (!whole) TRY(atm_fail(ATM_E_MEMORY, "no memory for a sound of %zu samples", samples));
    for (int i = 0; i < clips; i++) {
        TRY(decode(j, &vocoder, engine_result_mel(j->result, i), whole));
        TRY(engine_result_set_audio(j->result, i, whole));
        TRY(engine_report(&j->request, "decode", clips + i + 1, 2 * clips,
                          j->budget.part[ENGINE_VOCODER].work));
    }
done:
    engine_stage_close(&vocoder);
    free(whole);
    return status;
}

/* ------------------------------------------------------------------ the whole */

static double total_work(const engine_request *r, const engine_budget *b)
{
    const double batches = (r->clips + r->batch - 1) / r->batch;    /* the last may be smaller: an estimate */
    return r->n_images * b->part[ENGINE_IMAGE_ENCODER].work
         + r->n_artworks * b->part[ENGINE_LANGUAGE_MODEL].work
         + batches * r->schedule.steps * b->part[ENGINE_UNET].work
         + r->clips * (b->part[ENGINE_VAE].work + b->part[ENGINE_VOCODER].work);
}

static atm_status look_at_artworks(job *j)
{
    uint64_t *seeds = calloc((size_t)j->request.n_artworks, sizeof *seeds);
    if (!seeds) return atm_fail(ATM_E_MEMORY, "no memory for %d artworks", j->request.n_artworks);
    j->request.seeds = seeds;
    j->request.n_images = 0;
    for (int i = 0; i < j->request.n_artworks; i++) {
        const atm_artwork artwork = engine_artwork_at(j->artworks, i);
        seeds[i] = artwork.seed;
        j->request.n_images += !engine_is_embedding(&artwork);
    }
    return ATM_OK;
}

static void warn_untrained(atm_model *model)
{
    if (!model->trained && !model->warned)
        atm_log(ATM_LOG_WARNING, "%s is untrained, its weights are random: expect noise",
                *model->dir.path ? model->dir.path : "the built-in model");
    model->warned = true;
}

static atm_status run(job *j)
{
    warn_untrained(j->model);
    TRY_RETURN(look_at_artworks(j));
    TRY_RETURN(engine_budget_make(j->model, &j->request, &j->budget));
    TRY_RETURN(engine_budget_check(j->model, &j->budget));
    j->request.work_total = total_work(&j->request, &j->budget);
    TRY_RETURN(engine_report(&j->request, "encode", 0, j->request.n_artworks, 0));
    TRY_RETURN(engine_result_create(j->model, &j->request, &j->result));
    TRY_RETURN(make_conditions(j));
    TRY_RETURN(make_latents(j));
    TRY_RETURN(make_mels(j));
    return make_sounds(j);
}

atm_status atm_generate(atm_model *model, int n_artworks, const atm_artwork *artworks,
                        const atm_generate_options *options, atm_result **out)
{
    job j = { .model = model, .artworks = artworks };
    *out = NULL;
    atm_status status = engine_request_make(model, n_artworks, options, &j.request);
    if (status == ATM_OK) status = run(&j);
    if (status == ATM_OK) *out = j.result;
    else atm_result_free(j.result);
    engine_request_free(&j.request);
    free(j.loa);
    return status;
}

atm_status atm_memory_needed(atm_model *model, int n_artworks, const atm_generate_options *options,
                             size_t *bytes)
{
    engine_request request;
    engine_budget budget;
    atm_status status = engine_request_make(model, n_artworks, options, &request);
    if (status == ATM_OK) status = engine_budget_make(model, &request, &budget);
    if (status == ATM_OK) *bytes = engine_budget_peak(&budget);
    engine_request_free(&request);
    return status;
}
