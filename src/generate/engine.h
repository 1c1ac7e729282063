/* engine.h - an opened model, as the files of src/generate see it. */
#ifndef ATM_GENERATE_ENGINE_H
#define ATM_GENERATE_ENGINE_H

#include "arttomus/arttomus.h"
#include "base/status.h"
#include "model/model_dir.h"
#include "model/params.h"
#include "plan/plan.h"

/* The networks, in the order in which generation uses them. */
typedef enum {
    ENGINE_IMAGE_ENCODER, ENGINE_ADAPTER, ENGINE_LANGUAGE_MODEL, ENGINE_UNET, ENGINE_VAE, ENGINE_VOCODER,
    ENGINE_PARTS
} engine_part;

enum { ENGINE_MAX_BATCH = 64 };

struct atm_model {
    atm_device *device;
    atm_model_dir dir;                  /* where the files are, and their configurations        */
    bool trained, warned;
    size_t memory_limit;                /* 0: what the machine has                              */
    atm_params params[ENGINE_PARTS];    /* files mapped when first used                         */
    bool loaded[ENGINE_PARTS];
    bool resident[ENGINE_PARTS];        /* a plan has run: its weights are in memory            */
};

/* Samples for each mel frame. */
static inline int engine_hop(const atm_model *m)
{
    int hop = 1;
    for (int i = 0; i < m->dir.config.vocoder.upsample_rates.n; i++)
        hop *= m->dir.config.vocoder.upsample_rates.v[i];
    return hop;
}

/* F: the width of a latent. */
static inline int engine_bins(const atm_model *m) { return atm_model_latent_mels(&m->dir.config); }

/* Floats in a latent [C, T, F]. */
static inline size_t engine_latent_size(const atm_model *m, int frames)
{
    return (size_t)m->dir.config.unet.in_channels * (size_t)frames * (size_t)engine_bins(m);
}

#endif
