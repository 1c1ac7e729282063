/* denoiser.c - see denoiser.h. */
#include "eval/denoiser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ the plan */

static void append(eval_job *job, int frames, eval_denoiser *d)
{
    const atm_model_config *c = &job->model.config;
    const atm_conditioning *k = &job->model.conditioning;
    atm_plan *p = d->unet.plan;
    const int n = d->conditions;
    const int latent[] = { n, frames, atm_model_latent_mels(c), c->unet.in_channels };
    d->unet.in = atm_input(p, "sample", ATM_INPUT_VARIES, 4, latent);
    d->timestep = atm_input(p, "timestep", ATM_INPUT_VARIES, ATM_DIMS(n));
    if (atm_model_loa_dim(c))
        d->loa = atm_input(p, "loa", ATM_INPUT_STATIC, ATM_DIMS(n, k->loa_tokens, k->loa_dim));
    if (atm_model_text_dim(c)) {
        d->text = atm_input(p, "text", ATM_INPUT_STATIC, ATM_DIMS(n, k->text_tokens, k->text_dim));
        d->mask = atm_input(p, "mask", ATM_INPUT_STATIC, ATM_DIMS(n, k->text_tokens));
    }
}

static atm_status build(eval_job *job, int frames, eval_denoiser *d)
{
    TRY_RETURN(eval_network_begin(job->device, &job->model, "unet", &d->unet));
    append(job, frames, d);
    const atm_tensor e = atm_unet(d->unet.plan, &job->model.config.unet, (atm_unet_inputs){
        .sample = d->unet.in, .timestep = d->timestep, .context = { d->loa, d->text },
        .mask = { ATM_NONE, d->mask }
    });
    return eval_network_finish(&d->unet, e);
}

static atm_status allocate(eval_denoiser *d)
{
    const atm_tensor in = d->unet.in;
    d->channels = in.dim[3];
    d->pixels = (size_t)in.dim[1] * (size_t)in.dim[2];
    d->abar = malloc((size_t)d->model->config.schedule.num_train_timesteps * sizeof *d->abar);
    d->sample = malloc(atm_count(in) * sizeof *d->sample);
    d->output = malloc(atm_count(in) * sizeof *d->output);
    if (!d->abar || !d->sample || !d->output)
        return atm_fail(ATM_E_MEMORY, "no memory for %d latents", d->conditions);
    atm_alphas_cumprod(&d->model->config.schedule, d->abar);
    return ATM_OK;
}

/* ------------------------------------------------------------------ conditions */

static atm_status write_rows(eval_denoiser *d, atm_tensor t, const bool *negative, const float *yes,
                             const float *no)
{
    if (!atm_present(t)) return ATM_OK;
    const size_t row = atm_count(t) / (size_t)d->conditions;
    float *host = malloc(atm_count(t) * sizeof *host);
    if (!host) return atm_fail(ATM_E_MEMORY, "no memory for a text of %zu numbers", row);
    for (int i = 0; i < d->conditions; i++)
        memcpy(host + (size_t)i * row, negative[i] ? no : yes, row * sizeof *host);
    const atm_status status = atm_plan_write_f32(d->unet.plan, t, host);
    free(host);
    return status;
}

atm_status eval_denoiser_open(eval_job *job, int conditions, const bool *negative, int frames,
                              eval_denoiser *d)
{
    const atm_conditioning *k = &job->model.conditioning;
    *d = (eval_denoiser){ .model = &job->model, .conditions = conditions };
    TRY_RETURN(build(job, frames, d));
    TRY_RETURN(allocate(d));
    TRY_RETURN(write_rows(d, d->text, negative, k->text, k->negative_text));
    return write_rows(d, d->mask, negative, k->mask, k->negative_mask);
}

void eval_denoiser_close(eval_denoiser *d)
{
    eval_network_close(&d->unet);
    free(d->abar);
    free(d->sample);
    free(d->output);
    *d = (eval_denoiser){ 0 };
}

atm_status eval_denoiser_set(eval_denoiser *d, const float *loa)
{
    return atm_present(d->loa) ? atm_plan_write_f32(d->unet.plan, d->loa, loa) : ATM_OK;
}

/* ------------------------------------------------------------------ a pass */

/* [C, pixels] to [pixels, C], the same for every condition. */
static atm_status write_sample(eval_denoiser *d, const float *z, const float *n, double a, double b)
{
    const size_t channels = (size_t)d->channels, count = d->pixels * channels;
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < d->pixels; i++) {
            const size_t at = c * d->pixels + i;
            d->sample[i * channels + c] = (float)(a * (double)z[at] + b * (double)n[at]);
        }
    for (size_t k = 1; k < (size_t)d->conditions; k++)
        memcpy(d->sample + k * count, d->sample, count * sizeof *d->sample);
    return atm_plan_write_f32(d->unet.plan, d->unet.in, d->sample);
}

static atm_status write_timesteps(eval_denoiser *d, int t)
{
    float *host = malloc((size_t)d->conditions * sizeof *host);
    if (!host) return atm_fail(ATM_E_MEMORY, "no memory for %d timesteps", d->conditions);
    for (int i = 0; i < d->conditions; i++) host[i] = (float)t;
    const atm_status status = atm_plan_write_f32(d->unet.plan, d->timestep, host);
    free(host);
    return status;
}

static double noise_of(atm_prediction kind, double e, double x, double a, double b)
{
    if (kind == ATM_PREDICT_V) return a * e + b * x;
    return kind == ATM_PREDICT_SAMPLE ? (x - a * e) / b : e;
}

static double error_of(const eval_denoiser *d, const float *output, const float *n, double a, double b)
{
    const size_t channels = (size_t)d->channels;
    double sum = 0;
    for (size_t i = 0; i < d->pixels; i++)
        for (size_t c = 0; c < channels; c++) {
            const size_t at = i * channels + c;
            const double noise = noise_of(d->model->config.schedule.prediction_type, (double)output[at],
                                          (double)d->sample[at], a, b);
            const double off = noise - (double)n[c * d->pixels + i];
            sum += off * off;
        }
    return sum / (double)(d->pixels * channels);
}

atm_status eval_denoiser_run(eval_denoiser *d, const float *z, const float *n, int t, double *error)
{
    const double a = sqrt(d->abar[t]), b = sqrt(1 - d->abar[t]);
    TRY_RETURN(write_sample(d, z, n, a, b));
    TRY_RETURN(write_timesteps(d, t));
    TRY_RETURN(atm_plan_run(d->unet.plan));
    TRY_RETURN(atm_plan_read_f32(d->unet.plan, d->unet.out, d->output));
    for (int k = 0; k < d->conditions; k++)
        error[k] = error_of(d, d->output + (size_t)k * d->pixels * (size_t)d->channels, n, a, b);
    return ATM_OK;
}

/* ------------------------------------------------------------------ adapter and language model */

static atm_status open_adapter(eval_job *job, eval_network *net)
{
    const atm_adapter_config *c = &job->model.config.adapter;
    TRY_RETURN(eval_network_begin(job->device, &job->model, "adapter", net));
    net->in = atm_input(net->plan, "embedding", ATM_INPUT_VARIES, ATM_DIMS(1, c->in_dim));
    return eval_network_finish(net, atm_adapter(net->plan, c, net->in));
}

static atm_status open_language_model(eval_job *job, atm_tensor tokens, eval_network *net)
{
    TRY_RETURN(eval_network_begin(job->device, &job->model, "language-model", net));
    net->in = atm_input(net->plan, "tokens", ATM_INPUT_VARIES, tokens.rank, tokens.dim);
    const atm_gpt2_config *c = &job->model.config.language_model;
    return eval_network_finish(net, atm_gpt2(net->plan, c, net->in, ATM_NONE));
}

atm_status eval_language_of_audio(eval_job *job, int n, const float *embedding, float *loa)
{
    const size_t in = (size_t)job->model.config.adapter.in_dim;
    eval_network adapter = { 0 }, language = { 0 };
    float *tokens = NULL;
    atm_status status;
    TRY(open_adapter(job, &adapter));
    TRY(open_language_model(job, adapter.out, &language));
    tokens = malloc(atm_count(adapter.out) * sizeof *tokens);
    if (!tokens) TRY(atm_fail(ATM_E_MEMORY, "no memory for the tokens of an artwork"));
    for (size_t i = 0; i < (size_t)n; i++) {
        TRY(eval_network_run(&adapter, embedding + i * in, tokens));
        TRY(eval_network_run(&language, tokens, loa + i * atm_count(language.out)));
    }
done:
    eval_network_close(&adapter);
    eval_network_close(&language);
    free(tokens);
    return status;
}
