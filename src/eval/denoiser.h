/* denoiser.h - one pass of the UNet over one noisy latent under several conditions at once.
 *
 *     x = sqrt(abar_t) z + sqrt(1 - abar_t) n                z, n: the latent and the noise, [C, T, F]
 *     error of a condition = mean (n' - n)^2                 n': the noise that its prediction means
 *
 * whatever the model predicts (schedule.h):  n' = e;  sqrt(abar) v + sqrt(1 - abar) x;
 * (x - sqrt(abar) z') / sqrt(1 - abar). */
#ifndef ATM_EVAL_DENOISER_H
#define ATM_EVAL_DENOISER_H

#include "eval/networks.h"

typedef struct {
    eval_network unet;
    atm_tensor timestep, loa, text, mask;
    const atm_model_dir *model;
    int conditions, channels;
    size_t pixels;                      /* T F */
    double *abar;
    float *sample, *output;             /* [conditions, T, F, C] */
} eval_denoiser;                        /* {0} is empty */

/* frames: T.  negative[c]: condition c has the texts of the negative prompt. */
atm_status eval_denoiser_open(eval_job *job, int conditions, const bool *negative, int frames,
                              eval_denoiser *d);
void       eval_denoiser_close(eval_denoiser *d);

/* loa [conditions, 8, D]; nothing when the UNet has no such context. */
atm_status eval_denoiser_set(eval_denoiser *d, const float *loa);
/* error [conditions] */
atm_status eval_denoiser_run(eval_denoiser *d, const float *z, const float *n, int t, double *error);

/* The vectors of artworks: embedding [n, E] -> loa [n, 8, D]. */
atm_status eval_language_of_audio(eval_job *job, int n, const float *embedding, float *loa);

#endif
