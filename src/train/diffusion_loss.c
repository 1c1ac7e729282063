/* diffusion_loss.c - predict the noise in a latent, given an artwork.
 *
 *     z_t = sqrt(abar_t) z + sqrt(1 - abar_t) n
 *     loa = gpt2(adapter(embedding)), or the negative vectors
 *     e = g unet(z_t, t, loa) + (1 - g) unet(z_t, t, negative)        g = 1: the first alone
 *     loss = mean_n w(t_n) mean (e - target)^2
 *
 *     target, w:  epsilon      n                                      min(snr, gamma) / snr
 *                 v            sqrt(abar) n - sqrt(1 - abar) z        min(snr, gamma) / (snr + 1)
 *                 sample       z                                      min(snr, gamma)
 *     with snr = abar / (1 - abar); w = 1 when gamma is 0.
 *
 * g = 3.5 is what the predecessor does: guidance inside the loss.
 *
 * To add a kind of prediction: its line in atm_diffuse.
 *
 * Sources: Rinaldi et al., Art2Mus (arXiv 2410.04906) and its code; Ho et al. 2020; Salimans,
 * Ho 2022 (v); Hang et al. 2023 (min-SNR), as in diffusers' train_text_to_image.py. */
#include "train/diffusion_loss.h"

#include <math.h>

/* ------------------------------------------------------------------ coefficients */

atm_diffused atm_diffuse(const atm_schedule_config *schedule, const double *abar, double snr_gamma, int t)
{
    const double a = sqrt(abar[t]), b = sqrt(1 - abar[t]), snr = abar[t] / (1 - abar[t]);
    const double clipped = fmin(snr, snr_gamma);
    atm_diffused d = { .mix = { a, b }, .target = { 0, 1 }, .weight = clipped / snr };
    if (schedule->prediction_type == ATM_PREDICT_V)
        d = (atm_diffused){ .mix = { a, b }, .target = { -b, a }, .weight = clipped / (snr + 1) };
    if (schedule->prediction_type == ATM_PREDICT_SAMPLE)
        d = (atm_diffused){ .mix = { a, b }, .target = { 1, 0 }, .weight = clipped };
    if (snr_gamma == 0) d.weight = 1;
    return d;
}

/* ------------------------------------------------------------------ the network */

static atm_tensor varying(atm_plan *p, const char *name, int rank, const int *dim)
{
    return atm_input(p, name, ATM_INPUT_VARIES, rank, dim);
}

static void declare_inputs(atm_plan *p, const atm_diffusion_options *o, atm_tensor z, atm_diffusion_net *net)
{
    const int n = z.dim[0], words = o->conditioning->text_tokens, width = atm_model_text_dim(o->model);
    *net = (atm_diffusion_net){ .text = ATM_NONE };
    net->noise = varying(p, "noise", z.rank, z.dim);
    net->timestep = varying(p, "timestep", ATM_DIMS(n));
    net->mix = varying(p, "mix", ATM_DIMS(n, 2));
    net->target = varying(p, "target", ATM_DIMS(n, 2));
    net->weight = varying(p, "weight", ATM_DIMS(n));
    net->embedding = varying(p, "embedding", ATM_DIMS(n, o->model->adapter.in_dim));
    net->keep = varying(p, "keep", ATM_DIMS(n, 2));
    if (width == 0) return;
    net->text = varying(p, "text", ATM_DIMS(n, words, width));
    net->mask = varying(p, "mask", ATM_DIMS(n, words));
}

/* The vectors of the artworks, with the negative ones where `keep` says so. */
static atm_tensor language_of_audio(atm_plan *p, const atm_diffusion_options *o, const atm_diffusion_net *net,
                                    atm_tensor negative)
{
    atm_scope(p, "adapter");
    atm_tensor x = atm_adapter(p, &o->model->adapter, net->embedding);
    atm_scope_end(p);
    atm_scope(p, "language_model");
    x = atm_gpt2(p, &o->model->language_model, x, ATM_NONE);
    atm_scope_end(p);
    return atm_mix(p, x, negative, net->keep);
}

static atm_tensor predict(atm_plan *p, const atm_diffusion_options *o, atm_unet_inputs in)
{
    in.recompute = o->recompute;
    atm_scope(p, "unet");
    const atm_tensor e = atm_unet(p, &o->model->unet, in);
    atm_scope_end(p);
    return e;
}

/* A constant for each sample: there is no broadcast in the UNet's contexts.  Added to zeros, an input that nobody
 * writes, and not to zero times something that is trained: the backward pass would run through the whole
 * unconditional UNet for a gradient of zero. */
static atm_tensor repeated(atm_plan *p, const char *name, int rank, const int *dim)
{
    const atm_tensor zeros = atm_input(p, "zeros", ATM_INPUT_STATIC, rank, dim);
    return atm_add(p, zeros, atm_input(p, name, ATM_INPUT_STATIC, rank - 1, dim + 1));
}

/* Classifier-free guidance inside the loss. */
static atm_tensor guided(atm_plan *p, const atm_diffusion_options *o, atm_unet_inputs in, atm_tensor e,
                         atm_tensor negative)
{
    if (o->guidance == 1) return e;
    const atm_tensor loa = in.context[0], text = in.context[1];
    in.context[0] = atm_add(p, atm_input(p, "zeros", ATM_INPUT_STATIC, loa.rank, loa.dim), negative);
    if (atm_present(text)) {
        in.context[1] = repeated(p, "negative_text", text.rank, text.dim);
        in.mask[1] = repeated(p, "negative_mask", in.mask[1].rank, in.mask[1].dim);
    }
    return atm_add_scaled(p, e, o->guidance, predict(p, o, in), 1 - o->guidance);
}

void atm_diffusion_append(atm_plan *p, const atm_diffusion_options *o, atm_tensor z, atm_diffusion_net *net)
{
    const atm_conditioning *k = o->conditioning;
    declare_inputs(p, o, z, net);
    const atm_tensor negative = atm_input(p, "negative_loa", ATM_INPUT_STATIC, ATM_DIMS(k->loa_tokens, k->loa_dim));
    const atm_tensor noisy = atm_to_channels_last(p, atm_mix(p, z, net->noise, net->mix));
    const atm_tensor target = atm_to_channels_last(p, atm_mix(p, z, net->noise, net->target));
    const atm_unet_inputs in = {
        .sample = noisy, .timestep = net->timestep,
        .context = { language_of_audio(p, o, net, negative), net->text }, .mask = { ATM_NONE, net->mask }
    };
    const atm_tensor e = guided(p, o, in, predict(p, o, in), negative);
    net->loss = atm_mse(p, e, target, net->weight);
}

atm_status atm_diffusion_write_constants(atm_plan *p, const atm_conditioning *k)
{
    const struct { const char *name; const float *data; } constant[] = {
        { "negative_loa", k->negative_loa }, { "negative_text", k->negative_text },
        { "negative_mask", k->negative_mask }
    };
    for (size_t i = 0; i < sizeof constant / sizeof *constant; i++) {
        const atm_tensor t = atm_plan_find_input(p, constant[i].name);
        if (atm_present(t)) TRY_RETURN(atm_plan_write_f32(p, t, constant[i].data));
    }
    return ATM_OK;
}
