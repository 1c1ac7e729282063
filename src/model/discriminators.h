/* discriminators.h - networks that tell real sound from generated: they are half of an
 * adversarial loss, live in checkpoints of a training run, and are in no model.
 *
 *     atm_verdict both = atm_waveform_discriminators(p, &config, atm_concat(p, real, fake, 0));
 *     atm_tensor d_loss = atm_adversarial_discriminator_loss(p, &both);
 *     ...
 *     atm_verdict truth = atm_waveform_discriminators(p, &config, real);
 *     atm_verdict fake = atm_waveform_discriminators(p, &config, generated);
 *     atm_tensor g_loss = atm_adversarial_generator_loss(p, &fake);
 *     atm_tensor features = atm_feature_matching_loss(p, &truth, &fake);
 *
 * Parameters stand in the open scope, with HiFi-GAN's names and PyTorch's shapes.
 * Equations and sources: discriminators.c. */
#ifndef ATM_MODEL_DISCRIMINATORS_H
#define ATM_MODEL_DISCRIMINATORS_H

#include "plan/plan.h"

enum { ATM_VERDICT_SCORES = 8, ATM_VERDICT_FEATURES = 64 };

/* What a set of discriminators says of a batch.  Each score's first dim is a multiple of
 * the batch, samples in order; features are the results of all layers, scores included. */
typedef struct {
    atm_tensor score[ATM_VERDICT_SCORES], feature[ATM_VERDICT_FEATURES];
    int n_scores, n_features;
} atm_verdict;

/* ------------------------------------------------------------------ networks */

typedef struct {
    int channels;               /* of the first period layer; the others follow.  HiFi-GAN: 32        */
    int groups;                 /* most groups of a scale layer, as far as they divide its channels.
                                   HiFi-GAN: 16; 1: full convolutions                                  */
} atm_waveform_discriminator_config;

/* x [N, T], T > 11: periods 2, 3, 5, 7, 11 and scales 1, 1/2, 1/4; scopes "mpd" and "msd". */
atm_verdict atm_waveform_discriminators(atm_plan *p, const atm_waveform_discriminator_config *config,
                                        atm_tensor x);

typedef struct {
    int channels;               /* of the first layer, a multiple of 8.  pix2pix: 64                  */
    int layers;                 /* that halve the picture.  pix2pix: 3, a view of 70 x 70             */
} atm_patch_discriminator_config;

/* x [N, H, W, C]: a score for each of many overlapping patches; scope "patch".  H and W must be
 * at least 2^(layers + 1) + 2^layers. */
atm_verdict atm_patch_discriminator(atm_plan *p, const atm_patch_discriminator_config *config, atm_tensor x);

/* ------------------------------------------------------------------ losses, each [1]
 * Sums over discriminators (and layers) of means, as in HiFi-GAN. */

/* `both`: of a batch whose first half is real and second half generated. */
atm_tensor atm_adversarial_discriminator_loss(atm_plan *p, const atm_verdict *both);
atm_tensor atm_adversarial_generator_loss(atm_plan *p, const atm_verdict *fake);
atm_tensor atm_feature_matching_loss(atm_plan *p, const atm_verdict *real, const atm_verdict *fake);

#endif
