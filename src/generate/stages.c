/* stages.c - see stages.h. */
#include "generate/stages.h"

#include "generate/builtin.h"

/* ------------------------------------------------------------------ the networks */

typedef struct {
    const atm_model *model;
    atm_plan *plan;
    int frames;                 /* of the latent */
} place;

static engine_stage image_encoder(place at)
{
    const atm_image_encoder_config *c = &at.model->dir.config.image_encoder;
    engine_stage s = { .plan = at.plan };
    s.in = atm_input(at.plan, "pixels", ATM_INPUT_VARIES, ATM_DIMS(1, 3, c->image_size, c->image_size));
    s.out = atm_image_encoder(at.plan, c, s.in).unit;
    return s;
}

static engine_stage adapter(place at)
{
    const atm_adapter_config *c = &at.model->dir.config.adapter;
    engine_stage s = { .plan = at.plan };
    s.in = atm_input(at.plan, "embedding", ATM_INPUT_VARIES, ATM_DIMS(1, c->in_dim));
    s.out = atm_adapter(at.plan, c, s.in);
    return s;
}

static engine_stage language_model(place at)
{
    const atm_gpt2_config *c = &at.model->dir.config.language_model;
    engine_stage s = { .plan = at.plan };
    s.in = atm_input(at.plan, "tokens", ATM_INPUT_VARIES, ATM_DIMS(1, at.model->dir.config.adapter.n_tokens,
                                                                   c->n_embd));
    s.out = atm_gpt2(at.plan, c, s.in, ATM_NONE);
    return s;
}

/* The UNet works on scaled latents, the VAE on plain ones. */
static engine_stage vae(place at)
{
    const atm_vae_config *c = &at.model->dir.config.vae;
    engine_stage s = { .plan = at.plan };
    s.in = atm_input(at.plan, "latent", ATM_INPUT_VARIES,
                     ATM_DIMS(1, c->latent_channels, at.frames, engine_bins(at.model)));
    const atm_tensor plain = atm_affine(at.plan, s.in, (float)(1 / c->scaling_factor), 0);
    s.out = atm_vae_decode(at.plan, c, atm_to_channels_last(at.plan, plain));
    return s;
}

static engine_stage vocoder(place at)
{
    const atm_hifigan_config *c = &at.model->dir.config.vocoder;
    engine_stage s = { .plan = at.plan };
    s.in = atm_input(at.plan, "mel", ATM_INPUT_VARIES,
                     ATM_DIMS(1, at.frames * atm_vae_scale(&at.model->dir.config.vae), c->model_in_dim));
    s.out = atm_hifigan(at.plan, c, s.in);
    return s;
}

const char *const engine_part_names[ENGINE_PARTS] = {
    "image encoder", "adapter", "language model", "UNet", "VAE decoder", "vocoder"
};

static const struct {
    const char *component;                  /* a name of model/component.h                     */
    engine_stage (*append)(place at);       /* NULL: denoise.c does it        */
} networks[ENGINE_PARTS] = {
    [ENGINE_IMAGE_ENCODER]  = { "image-encoder",  image_encoder  },
    [ENGINE_ADAPTER]        = { "adapter",        adapter        },
    [ENGINE_LANGUAGE_MODEL] = { "language-model", language_model },
    [ENGINE_UNET]           = { "unet",           NULL           },
    [ENGINE_VAE]            = { "vae-decoder",    vae            },
    [ENGINE_VOCODER]        = { "vocoder",        vocoder        }
};

/* ------------------------------------------------------------------ plans */

atm_status engine_load(atm_model *model, engine_part part)
{
    if (model->loaded[part]) return ATM_OK;
    TRY_RETURN(atm_model_dir_params(&model->dir, networks[part].component, &model->params[part]));
    model->loaded[part] = true;
    return ATM_OK;
}

atm_status engine_plan_begin(atm_model *model, engine_part part, atm_plan **out)
{
    TRY_RETURN(engine_load(model, part));
    TRY_RETURN(atm_plan_create(model->device, out));
    atm_plan_params(*out, &model->params[part].source);
    return ATM_OK;
}

atm_status engine_plan_finish(atm_model *model, engine_part part, atm_plan *plan)
{
    if (!atm_plan_failed(plan)) TRY_RETURN(atm_params_check(&model->params[part]));
    TRY_RETURN(atm_plan_finish(plan, (atm_plan_options){ 0 }));
    model->resident[part] = true;
    return ATM_OK;
}

/* ------------------------------------------------------------------ stages */

void engine_stage_append(const atm_model *model, engine_part part, int frames, atm_plan *plan,
                         engine_stage *out)
{
    *out = networks[part].append((place){ model, plan, frames });
    atm_output(plan, "out", out->out);
}

atm_status engine_stage_open(atm_model *model, engine_part part, int frames, engine_stage *out)
{
    atm_plan *plan;
    *out = (engine_stage){ 0 };
    TRY_RETURN(engine_plan_begin(model, part, &plan));
    engine_stage_append(model, part, frames, plan, out);
    const atm_status status = engine_plan_finish(model, part, plan);
    if (status != ATM_OK) engine_stage_close(out);
    return status;
}

atm_status engine_stage_run(engine_stage *stage, const float *in, float *out)
{
    TRY_RETURN(atm_plan_write_f32(stage->plan, stage->in, in));
    TRY_RETURN(atm_plan_run(stage->plan));
    return atm_plan_read_f32(stage->plan, stage->out, out);
}

void engine_stage_close(engine_stage *stage)
{
    atm_plan_destroy(stage->plan);
    *stage = (engine_stage){ 0 };
}
