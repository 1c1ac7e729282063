/* config.c - the table of keys, the defaults, and the learning rate. */
#include "train/config.h"

#include <math.h>
#include <string.h>

static const char *const lr_names[ATM_LR_COUNT + 1] = {
    "constant", "constant_with_warmup", "linear", "cosine", NULL
};

static const char *const dtype_names[] = { "f32", "f16", "bf16", NULL };
static const atm_dtype dtypes[] = { ATM_F32, ATM_F16, ATM_BF16 };

atm_dtype atm_train_output_dtype(const atm_train_config *c) { return dtypes[c->train.output_dtype]; }

#define INT(member, key, lo, hi, text)    ATM_CONFIG_INT(atm_train_config, member, key, lo, hi, text)
#define DOUBLE(member, key, lo, hi, text) ATM_CONFIG_DOUBLE(atm_train_config, member, key, lo, hi, text)
#define BOOL(member, key, text)           ATM_CONFIG_BOOL(atm_train_config, member, key, text)
#define TEXT(member, key, text)           ATM_CONFIG_TEXT(atm_train_config, member, key, text)

enum { STEPS = 1 << 30 };

const atm_config_field atm_train_fields[] = {
    TEXT(stage, "stage", "adapter, diffusion, vae, vocoder, align"),
    TEXT(model, "model", "folder of the model to start from"),
    TEXT(data, "data", "HDF5 file that `arttomus prepare` wrote"),
    TEXT(output, "output", "run folder"),
    ATM_CONFIG_INT64(atm_train_config, seed, "seed", 0, 0x1p63, "of order, noise and timesteps"),

    INT(train.max_train_steps, "train.max_train_steps", 1, STEPS, "updates in all"),
    INT(train.batch_size, "train.batch_size", 1, 1 << 20, "samples of an update, all ranks together"),
    INT(train.gradient_accumulation_steps, "train.gradient_accumulation_steps", 1, 1 << 16,
        "micro-batches that a rank cuts its share into"),
    DOUBLE(train.learning_rate, "train.learning_rate", 0, 1, "at its highest"),
    ATM_CONFIG_ENUM(atm_train_config, train.lr_scheduler, "train.lr_scheduler", lr_names,
                    "constant, constant_with_warmup, linear, cosine"),
    INT(train.lr_warmup_steps, "train.lr_warmup_steps", 0, STEPS, "updates until the full learning rate"),
    DOUBLE(train.adam_beta1, "train.adam_beta1", 0, 1, "AdamW"),
    DOUBLE(train.adam_beta2, "train.adam_beta2", 0, 1, "AdamW"),
    DOUBLE(train.adam_weight_decay, "train.adam_weight_decay", 0, 10, "decoupled"),
    DOUBLE(train.adam_epsilon, "train.adam_epsilon", 0, 1, "AdamW"),
    DOUBLE(train.max_grad_norm, "train.max_grad_norm", 0, 1e9, "clipping of the global norm; 0: none"),
    BOOL(train.use_ema, "train.use_ema", "keep a moving average of the weights, and ship it"),
    DOUBLE(train.ema_decay, "train.ema_decay", 0, 1, "of the moving average"),
    BOOL(train.recompute, "train.recompute", "less memory, more time: activations again in the backward pass"),
    BOOL(train.reuse_memory, "train.reuse_memory", "false: every tensor its own memory, to find bugs"),
    INT(train.max_bad_steps, "train.max_bad_steps", 1, STEPS, "updates with NaN in a row before giving up"),
    INT(train.crop, "train.crop", 0, 1 << 20, "frames of a random crop (latent or mel); 0: whole clips"),
    TEXT(train.trainable, "train.trainable", "globs of trained tensors, by spaces; \"\": all of the stage"),
    TEXT(train.resume_from_checkpoint, "train.resume_from_checkpoint", "latest, a checkpoint's folder, or \"\""),
    INT(train.checkpointing_steps, "train.checkpointing_steps", 0, STEPS, "updates between checkpoints; 0: at the end"),
    INT(train.checkpoints_total_limit, "train.checkpoints_total_limit", 0, STEPS, "newest ones kept; 0: all"),
    INT(train.milestone_steps, "train.milestone_steps", 0, STEPS, "multiples of it are kept for ever; 0: none"),
    INT(train.validation_steps, "train.validation_steps", 0, STEPS, "updates between validations; 0: at the end"),
    INT(train.validation_batches, "train.validation_batches", 0, STEPS, "micro-batches of a validation"),
    INT(train.validation_samples, "train.validation_samples", 0, 64, "clips generated at a validation"),
    INT(train.logging_steps, "train.logging_steps", 1, STEPS, "updates that a line of metrics.jsonl averages"),
    ATM_CONFIG_ENUM(atm_train_config, train.output_dtype, "train.output_dtype", dtype_names,
                    "of the weights that are written: f32, f16, bf16"),
    DOUBLE(train.max_seconds, "train.max_seconds", 0, 1e9, "save and stop after so long; 0: no limit"),

    DOUBLE(diffusion.snr_gamma, "diffusion.snr_gamma", 0, 1e6, "min-SNR weighting; 0: none"),
    DOUBLE(diffusion.guidance_scale, "diffusion.guidance_scale", 1, 100, "inside the loss; 3.5: the predecessor's"),
    DOUBLE(diffusion.condition_dropout, "diffusion.condition_dropout", 0, 1, "share of samples without their artwork"),
    BOOL(diffusion.stratified_timesteps, "diffusion.stratified_timesteps", "spread the timesteps of a batch evenly"),

    DOUBLE(vae.kl_weight, "vae.kl_weight", 0, 1e6, "of the KL divergence per latent number"),
    DOUBLE(vae.adversarial_weight, "vae.adversarial_weight", 0, 1e6, "of the patch discriminator; 0: none"),
    INT(vae.adversarial_start, "vae.adversarial_start", 0, STEPS, "updates before the discriminator joins"),
    INT(vae.discriminator_channels, "vae.discriminator_channels", 8, 1024, "of the first layer, by eights; pix2pix: 64"),
    BOOL(vae.linear_init, "vae.linear_init", "begin from the best linear code of the data"),
    BOOL(vae.normalize_latents, "vae.normalize_latents", "at the end: centre channels, scale to unit variance"),

    DOUBLE(vocoder.stft_weight, "vocoder.stft_weight", 0, 1e6, "of the multi-resolution STFT loss"),
    DOUBLE(vocoder.mel_weight, "vocoder.mel_weight", 0, 1e6, "of the log-mel loss"),
    DOUBLE(vocoder.adversarial_weight, "vocoder.adversarial_weight", 0, 1e6, "of the discriminators; 0: none"),
    DOUBLE(vocoder.feature_weight, "vocoder.feature_weight", 0, 1e6, "of feature matching"),
    INT(vocoder.adversarial_start, "vocoder.adversarial_start", 0, STEPS, "updates before the discriminators join"),
    INT(vocoder.discriminator_channels, "vocoder.discriminator_channels", 1, 1024, "of the first layer; HiFi-GAN: 32"),

    DOUBLE(align.temperature, "align.temperature", 1e-4, 100, "of InfoNCE"),
};
const int atm_n_train_fields = sizeof atm_train_fields / sizeof *atm_train_fields;

atm_train_config atm_train_config_default(void)
{
    return (atm_train_config){
        .stage = "adapter", .output = "run",
        .train = {
            .max_train_steps = 10000, .batch_size = 16, .gradient_accumulation_steps = 8, .learning_rate = 2e-5,
            .lr_scheduler = ATM_LR_CONSTANT, .adam_beta1 = 0.9, .adam_beta2 = 0.999, .adam_weight_decay = 1e-2,
            .adam_epsilon = 1e-8, .max_grad_norm = 1, .ema_decay = 0.999, .reuse_memory = true, .max_bad_steps = 10,
            .checkpointing_steps = 500, .checkpoints_total_limit = 3, .validation_steps = 500,
            .validation_batches = 4, .logging_steps = 10
        },
        .diffusion = { .snr_gamma = 5, .guidance_scale = 1 },
        .vae = { .kl_weight = 1e-6, .discriminator_channels = 64, .normalize_latents = true },
        .vocoder = { .stft_weight = 1, .mel_weight = 45, .adversarial_weight = 1, .feature_weight = 2,
                     .discriminator_channels = 32 },
        .align = { .temperature = 0.07 }
    };
}

static atm_status check(const atm_train_config *c)
{
    const struct { const char *key, *value; } needed[] = {
        { "stage", c->stage }, { "model", c->model }, { "data", c->data }, { "output", c->output }
    };
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!needed[i].value[0]) return atm_fail(ATM_E_CONFIG, "%s is not set: give %s=...", needed[i].key, needed[i].key);
    if (c->train.batch_size % c->train.gradient_accumulation_steps)
        return atm_fail(ATM_E_CONFIG, "train.batch_size %d is not a multiple of train.gradient_accumulation_steps %d",
                        c->train.batch_size, c->train.gradient_accumulation_steps);
    if (c->train.lr_warmup_steps > c->train.max_train_steps)
        return atm_fail(ATM_E_CONFIG, "train.lr_warmup_steps %d is more than train.max_train_steps %d",
                        c->train.lr_warmup_steps, c->train.max_train_steps);
    return ATM_OK;
}

atm_status atm_train_config_load(const char *path, const char *const *assignment, int n, atm_train_config *out)
{
    const size_t fields = (size_t)atm_n_train_fields;
    *out = atm_train_config_default();
    if (path) TRY_RETURN(atm_config_load(path, atm_train_fields, fields, out));
    for (int i = 0; i < n; i++) TRY_RETURN(atm_config_override(assignment[i], atm_train_fields, fields, out));
    const atm_status status = check(out);
    return status == ATM_OK || !path ? status : atm_fail_in(status, "%s", path);
}

/* The share of the full rate after warm-up, `done` in 0..1 of the rest. */
static double after_warmup(int kind, double done)
{
    if (kind == ATM_LR_LINEAR) return 1 - done;
    if (kind == ATM_LR_COSINE) return 0.5 * (1 + cos(3.14159265358979323846 * done));
    return 1;
}

double atm_train_learning_rate(const atm_train_config *c, uint64_t step)
{
    const double warmup = c->train.lr_warmup_steps, s = (double)step;
    const double rest = c->train.max_train_steps - warmup;
    if (c->train.lr_scheduler != ATM_LR_CONSTANT && s < warmup) return c->train.learning_rate * s / warmup;
    const double done = rest > 0 ? fmin(1, (s - warmup) / rest) : 1;
    return c->train.learning_rate * after_warmup(c->train.lr_scheduler, done);
}
