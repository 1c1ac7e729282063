/* denoise.c - the sampling loop.
 *
 *     x_0 = noise;   for every row of the schedule:
 *         e_u, e_c = unet([x, x], t, [negative, artwork])
 *         e = e_u + g (e_c - e_u)                             classifier-free guidance
 *         x, x0 = sampler_step(x, e, x0 of the step before)   kernels/ops.h
 *
 * One plan is one step.  What depends on the contexts or on the list of timesteps
 * alone runs once: those inputs are static, and planning hoists their steps.
 *
 * Sources: J. Ho, T. Salimans, "Classifier-free diffusion guidance", 2022;
 * model/schedule.c for the samplers.  Order of the halves as diffusers stacks
 * them.  With g = 1 the negative half has no weight, and is not computed. */
#include "generate/denoise.h"

#include <stdlib.h>
#include <string.h>

#include "generate/stages.h"
#include "model/noise.h"

/* ------------------------------------------------------------------ the plan */

static atm_tensor guided(atm_plan *p, const engine_denoiser *d, double guidance, atm_tensor e)
{
    if (d->halves == 1) return e;
    const atm_tensor uncond = atm_slice(p, e, 0, 0, d->batch);
    const atm_tensor cond = atm_slice(p, e, 0, d->batch, d->batch);
    return atm_add_scaled(p, cond, (float)guidance, uncond, (float)(1 - guidance));
}

static void declare_inputs(const atm_model *m, const engine_request *r, engine_denoiser *d)
{
    const atm_conditioning *c = &m->dir.conditioning;
    const int all = d->halves * d->batch, channels = m->dir.config.unet.in_channels;
    d->latent = atm_input(d->plan, "latent", ATM_INPUT_VARIES,
                          ATM_DIMS(d->batch, r->frames, engine_bins(m), channels));
    d->timesteps = atm_input(d->plan, "timesteps", ATM_INPUT_STATIC, ATM_DIMS(r->schedule.steps));
    d->index = atm_input(d->plan, "index", ATM_INPUT_VARIES | ATM_INPUT_INDEX, ATM_DIMS(all));
    d->coef = atm_input(d->plan, "coef", ATM_INPUT_VARIES, ATM_DIMS(ATM_SAMPLER_COEFS));
    if (atm_model_loa_dim(&m->dir.config))
        d->loa = atm_input(d->plan, "loa", ATM_INPUT_STATIC, ATM_DIMS(all, c->loa_tokens, c->loa_dim));
    if (atm_model_text_dim(&m->dir.config)) {
        d->text = atm_input(d->plan, "text", ATM_INPUT_STATIC, ATM_DIMS(all, c->text_tokens, c->text_dim));
        d->mask = atm_input(d->plan, "mask", ATM_INPUT_STATIC, ATM_DIMS(all, c->text_tokens));
    }
    if (r->schedule.uses_noise)
        d->noise = atm_input(d->plan, "noise", ATM_INPUT_VARIES, d->latent.rank, d->latent.dim);
}

void engine_denoiser_append(const atm_model *m, const engine_request *r, int batch, atm_plan *p,
                            engine_denoiser *out)
{
    *out = (engine_denoiser){ .plan = p, .batch = batch, .halves = r->guidance > 1 ? 2 : 1 };
    declare_inputs(m, r, out);
    atm_tensor history = ATM_NONE;
    if (r->schedule.uses_history)
        history = atm_input(p, "history", ATM_INPUT_VARIES, out->latent.rank, out->latent.dim);
    const atm_tensor e = atm_unet(p, &m->dir.config.unet, (atm_unet_inputs){
        .sample = out->latent, .timestep = out->timesteps, .index = out->index,
        .context = { out->loa, out->text }, .mask = { ATM_NONE, out->mask }
    });
    const atm_sampled s = atm_sampler_step(p, out->latent, guided(p, out, r->guidance, e), history,
                                           out->noise, out->coef);
    if (atm_present(history)) atm_assign(p, history, s.x0);
    atm_assign(p, out->latent, s.y);
}

atm_status engine_denoiser_open(atm_model *model, const engine_request *request, int batch,
                                engine_denoiser *out)
{
    atm_plan *plan;
    *out = (engine_denoiser){ 0 };
    TRY_RETURN(engine_plan_begin(model, ENGINE_UNET, &plan));
    engine_denoiser_append(model, request, batch, plan, out);
    const atm_status status = engine_plan_finish(model, ENGINE_UNET, plan);
    if (status != ATM_OK) engine_denoiser_close(out);
    return status;
}

void engine_denoiser_close(engine_denoiser *d)
{
    atm_plan_destroy(d->plan);
    *d = (engine_denoiser){ 0 };
}

/* ------------------------------------------------------------------ what does not change */

/* Writes [negative ...][positive ...], a row of each for every clip of the batch. */
static atm_status write_rows(const engine_denoiser *d, atm_tensor t, const float *negative,
                             const float *positive)
{
    const size_t row = atm_count(t) / (size_t)t.dim[0];
    float *host = malloc(atm_count(t) * sizeof *host);
    if (!host) return atm_fail(ATM_E_MEMORY, "no memory for a conditioning of %zu numbers", atm_count(t));
    for (int i = 0; i < d->halves * d->batch; i++)
        memcpy(host + (size_t)i * row, i + d->batch < d->halves * d->batch ? negative : positive,
               row * sizeof *host);
    const atm_status status = atm_plan_write_f32(d->plan, t, host);
    free(host);
    return status;
}

static atm_status write_loa(const atm_model *m, const engine_request *r, const engine_denoiser *d, int first,
                            const float *loa)
{
    const size_t row = atm_count(d->loa) / (size_t)d->loa.dim[0];
    float *host = malloc(atm_count(d->loa) * sizeof *host);
    if (!host) return atm_fail(ATM_E_MEMORY, "no memory for the conditioning of %d clips", d->batch);
    float *cond = host + (size_t)(d->halves - 1) * (size_t)d->batch * row;
    for (int i = 0; i < d->batch; i++) {
        memcpy(host + (size_t)i * row, m->dir.conditioning.negative_loa, row * sizeof *host);
        memcpy(cond + (size_t)i * row, loa + (size_t)((first + i) / r->n) * row, row * sizeof *host);
    }
    const atm_status status = atm_plan_write_f32(d->plan, d->loa, host);
    free(host);
    return status;
}

static atm_status write_timesteps(const engine_request *r, const engine_denoiser *d)
{
    float timestep[1000];
    for (int i = 0; i < r->schedule.steps; i++) timestep[i] = (float)r->schedule.row[i].timestep;
    return atm_plan_write_f32(d->plan, d->timesteps, timestep);
}

static atm_status write_contexts(const atm_model *m, const engine_request *r, const engine_denoiser *d,
                                 int first,
                                 const float *loa)
{
    const atm_conditioning *c = &m->dir.conditioning;
    TRY_RETURN(write_timesteps(r, d));
    if (atm_present(d->text)) TRY_RETURN(write_rows(d, d->text, c->negative_text, c->text));
    if (atm_present(d->mask)) TRY_RETURN(write_rows(d, d->mask, c->negative_mask, c->mask));
    return atm_present(d->loa) ? write_loa(m, r, d, first, loa) : ATM_OK;
}

/* ------------------------------------------------------------------ noise */

/* [C, pixels] of the reference to and from our [pixels, C]. */
static void to_channels_last(const float *in, size_t channels, size_t pixels, float *out)
{
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < pixels; i++) out[i * channels + c] = in[c * pixels + i];
}

static void to_channels_first(const float *in, size_t channels, size_t pixels, float *out)
{
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < pixels; i++) out[c * pixels + i] = in[i * channels + c];
}

typedef struct {
    const engine_request *request;
    int first, step;            /* step < 0: the starting noise */
} noise_place;

static void clip_noise(noise_place at, int clip, size_t size, float *out)
{
    const engine_request *r = at.request;
    const uint64_t seed = r->seeds[clip / r->n];
    const uint32_t variant = (uint32_t)(clip % r->n);
    if (at.step >= 0) atm_noise_step(seed, variant, (uint32_t)at.step, out, size);
    else if (r->latents) memcpy(out, r->latents + (size_t)clip * size, size * sizeof *out);
    else atm_noise_latent(seed, variant, out, size);
}

static atm_status write_noise(const engine_denoiser *d, atm_tensor t, noise_place at)
{
    const size_t channels = (size_t)atm_last_dim(t), size = atm_count(t) / (size_t)d->batch;
    float *reference = malloc(size * sizeof *reference), *host = malloc(atm_count(t) * sizeof *host);
    atm_status status = reference && host ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for noise");
    for (int i = 0; i < d->batch && status == ATM_OK; i++) {
        clip_noise(at, at.first + i, size, reference);
        to_channels_last(reference, channels, size / channels, host + (size_t)i * size);
    }
    if (status == ATM_OK) status = atm_plan_write_f32(d->plan, t, host);
    free(reference);
    free(host);
    return status;
}

static atm_status read_latent(const engine_denoiser *d, float *latent)
{
    const size_t channels = (size_t)atm_last_dim(d->latent), size = atm_count(d->latent) / (size_t)d->batch;
    float *host = malloc(atm_count(d->latent) * sizeof *host);
    if (!host) return atm_fail(ATM_E_MEMORY, "no memory for latents");
    const atm_status status = atm_plan_read_f32(d->plan, d->latent, host);
    for (int i = 0; i < d->batch && status == ATM_OK; i++)
        to_channels_first(host + (size_t)i * size, channels, size / channels, latent + (size_t)i * size);
    free(host);
    return status;
}

/* ------------------------------------------------------------------ the loop */

static atm_status write_step(const engine_request *r, const engine_denoiser *d, int first, int step)
{
    float coef[ATM_SAMPLER_COEFS];
    int32_t index[2 * ENGINE_MAX_BATCH];
    for (int i = 0; i < d->halves * d->batch; i++) index[i] = step;
    for (int i = 0; i < ATM_SAMPLER_COEFS; i++) coef[i] = (float)r->schedule.row[step].coef[i];
    TRY_RETURN(atm_plan_write(d->plan, d->index, index));
    TRY_RETURN(atm_plan_write_f32(d->plan, d->coef, coef));
    return atm_present(d->noise) ? write_noise(d, d->noise, (noise_place){ r, first, step }) : ATM_OK;
}

atm_status engine_denoise(const atm_model *model, engine_request *r, engine_denoiser *d, int first,
                          const float *loa,
                          float *latent)
{
    const double work = atm_plan_get_stats(d->plan).flops;
    const int steps = r->schedule.steps, before = first / r->batch * steps;
    const int total = (r->clips + r->batch - 1) / r->batch * steps;
    TRY_RETURN(write_contexts(model, r, d, first, loa));
    TRY_RETURN(write_noise(d, d->latent, (noise_place){ r, first, -1 }));
    for (int step = 0; step < steps; step++) {
        TRY_RETURN(write_step(r, d, first, step));
        TRY_RETURN(atm_plan_run(d->plan));
        TRY_RETURN(engine_report(r, "denoise", before + step + 1, total, work));
    }
    return read_latent(d, latent);
}
