/* config.h - a training run: one YAML file, `a.b=v` assignments on top.
 *
 * Keys have the names of diffusers' training scripts where those have one.  To add a
 * key: a member here and a row of the table in config.c. */
#ifndef ATM_TRAIN_CONFIG_H
#define ATM_TRAIN_CONFIG_H

#include "base/dtype.h"
#include "io/config.h"

typedef enum {
    ATM_LR_CONSTANT, ATM_LR_CONSTANT_WITH_WARMUP, ATM_LR_LINEAR, ATM_LR_COSINE, ATM_LR_COUNT
} atm_lr_kind;

typedef struct {
    atm_config_text stage;              /* adapter, diffusion, vae, vocoder, align                    */
    atm_config_text model;              /* folder of the model to start from                          */
    atm_config_text data;               /* HDF5 file of `arttomus prepare`                            */
    atm_config_text output;             /* run folder                                                 */
    int64_t seed;

    struct {                            /* train.* */
        int max_train_steps;
        int batch_size;                 /* samples of one update, all ranks together                  */
        int gradient_accumulation_steps;/* micro-batches a rank cuts its share into                   */
        double learning_rate;
        int lr_scheduler;               /* atm_lr_kind */
        int lr_warmup_steps;
        double adam_beta1, adam_beta2, adam_weight_decay, adam_epsilon;
        double max_grad_norm;           /* 0: no clipping                                             */
        bool use_ema;
        double ema_decay;
        bool recompute;                 /* activations of segments again in the backward pass         */
        bool reuse_memory;              /* false: every tensor its own memory, to find bugs           */
        int max_bad_steps;              /* NaN/Inf in a row before giving up                          */
        int crop;                       /* frames of the latent (mel frames for vae and vocoder); 0: whole clips */
        atm_config_text trainable;      /* globs of trained tensors, by spaces; "": the stage's own   */
        atm_config_text resume_from_checkpoint;         /* latest, a folder, or empty                 */
        int checkpointing_steps, checkpoints_total_limit, milestone_steps;
        int validation_steps, validation_batches, validation_samples;
        int logging_steps;
        int output_dtype;               /* of the trained components' files: f32, f16, bf16           */
        double max_seconds;             /* save and stop after so long; 0: no limit                   */
    } train;

    struct {                            /* diffusion.* : stages adapter and diffusion */
        double snr_gamma;               /* min-SNR; 0: none                                           */
        double guidance_scale;          /* inside the loss; 1: none, 3.5: the predecessor's           */
        double condition_dropout;
        bool stratified_timesteps;      /* one timestep in each of batch_size equal ranges            */
    } diffusion;

    struct {                            /* vae.* */
        double kl_weight, adversarial_weight;
        int adversarial_start;          /* updates before the discriminator joins                     */
        int discriminator_channels;
        bool linear_init;               /* begin from the best linear code of the data                */
        bool normalize_latents;         /* at the end: centre channels, scaling_factor = 1 / std      */
    } vae;

    struct {                            /* vocoder.* */
        double stft_weight, mel_weight, adversarial_weight, feature_weight;
        int adversarial_start;          /* updates before the discriminators join                     */
        int discriminator_channels;
    } vocoder;

    struct {                            /* align.* */
        double temperature;             /* of InfoNCE                                                 */
    } align;
} atm_train_config;

extern const atm_config_field atm_train_fields[];
extern const int atm_n_train_fields;

/* The predecessor's recipe for the adapter (learning rate 2e-5, constant, batch 16,
 * clipping at 1, min-SNR 5). */
atm_train_config atm_train_config_default(void);

/* Defaults, then the file, then n assignments.  ATM_E_CONFIG also for values that do not fit
 * together; the message names both. */
atm_status atm_train_config_load(const char *path, const char *const *assignment, int n, atm_train_config *out);

atm_dtype atm_train_output_dtype(const atm_train_config *config);

/* Of update `step`, from 0: warm-up, then as lr_scheduler says (transformers' get_scheduler). */
double atm_train_learning_rate(const atm_train_config *config, uint64_t step);

#endif
