/* networks.c - see networks.h. */
#include "eval/networks.h"

#include <stdlib.h>

atm_status eval_network_begin(atm_device *device, const atm_model_dir *model, const char *component,
                              eval_network *net)
{
    *net = (eval_network){ .device = device };
    TRY_RETURN(atm_model_dir_params(model, component, &net->params));
    TRY_RETURN(atm_plan_create(device, &net->plan));
    atm_plan_params(net->plan, &net->params.source);
    return ATM_OK;
}

atm_status eval_network_finish(eval_network *net, atm_tensor out)
{
    net->out = out;
    atm_output(net->plan, "out", out);
    if (!atm_plan_failed(net->plan)) TRY_RETURN(atm_params_check(&net->params));
    return atm_plan_finish(net->plan, (atm_plan_options){ 0 });
}

atm_status eval_network_run(eval_network *net, const float *in, float *out)
{
    TRY_RETURN(atm_plan_write_f32(net->plan, net->in, in));
    TRY_RETURN(atm_plan_run(net->plan));
    return atm_plan_read_f32(net->plan, net->out, out);
}

void eval_network_close(eval_network *net)
{
    if (net->plan) atm_params_forget(net->device, net->plan);
    atm_plan_destroy(net->plan);
    atm_params_close(&net->params);
    *net = (eval_network){ 0 };
}

/* ------------------------------------------------------------------ VAE */

static atm_status open_encoder(eval_job *job, int frames, eval_network *net)
{
    const atm_vae_config *c = &job->model.config.vae;
    TRY_RETURN(eval_network_begin(job->device, &job->model, "vae-encoder", net));
    net->in = atm_input(net->plan, "mel", ATM_INPUT_VARIES,
                        ATM_DIMS(1, frames, job->model.config.vocoder.model_in_dim, c->in_channels));
    return eval_network_finish(net, atm_vae_encode(net->plan, c, net->in).mean);
}

static atm_status open_decoder(eval_job *job, atm_tensor latent, eval_network *net)
{
    TRY_RETURN(eval_network_begin(job->device, &job->model, "vae-decoder", net));
    net->in = atm_input(net->plan, "latent", ATM_INPUT_VARIES, latent.rank, latent.dim);
    return eval_network_finish(net, atm_vae_decode(net->plan, &job->model.config.vae, net->in));
}

atm_status eval_vae_open(eval_job *job, int frames, eval_vae *vae)
{
    TRY_RETURN(open_encoder(job, frames, &vae->encoder));
    TRY_RETURN(open_decoder(job, vae->encoder.out, &vae->decoder));
    vae->latent = malloc(atm_count(vae->encoder.out) * sizeof *vae->latent);
    return vae->latent ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for a latent");
}

atm_status eval_vae_run(eval_vae *vae, const float *mel, float *out)
{
    TRY_RETURN(eval_network_run(&vae->encoder, mel, vae->latent));
    return eval_network_run(&vae->decoder, vae->latent, out);
}

void eval_vae_close(eval_vae *vae)
{
    eval_network_close(&vae->encoder);
    eval_network_close(&vae->decoder);
    free(vae->latent);
    *vae = (eval_vae){ 0 };
}

/* ------------------------------------------------------------------ vocoder */

atm_status eval_vocoder_open(eval_job *job, int frames, eval_network *net)
{
    const atm_hifigan_config *c = &job->model.config.vocoder;
    TRY_RETURN(eval_network_begin(job->device, &job->model, "vocoder", net));
    net->in = atm_input(net->plan, "mel", ATM_INPUT_VARIES, ATM_DIMS(1, frames, c->model_in_dim));
    return eval_network_finish(net, atm_hifigan(net->plan, c, net->in));
}
