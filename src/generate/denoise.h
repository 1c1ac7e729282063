/* denoise.h - the sampling loop: from noise to latents. */
#ifndef ATM_GENERATE_DENOISE_H
#define ATM_GENERATE_DENOISE_H

#include "generate/request.h"

/* The plan of one step.  The latent and the x0 of the step before are state in
 * it and never visit the host. */
typedef struct {
    atm_plan *plan;
    int batch, halves;          /* halves: 2 with guidance, [uncond, cond]                   */
    atm_tensor latent;          /* [batch, T, F, C]                                          */
    atm_tensor timesteps;       /* [steps], all of them: their projections are hoisted       */
    atm_tensor index;           /* I32 [halves * batch], the step, repeated                  */
    atm_tensor coef;            /* [8], this step's row of the schedule                      */
    atm_tensor noise;           /* like the latent; absent when the sampler adds none        */
    atm_tensor loa, text, mask; /* [halves * batch, ...], contexts of the cross-attentions   */
} engine_denoiser;              /* {0} is empty */

/* Appends one step to a plan, whose parameters have been set. */
void engine_denoiser_append(const atm_model *model, const engine_request *request, int batch, atm_plan *plan,
                            engine_denoiser *out);

atm_status engine_denoiser_open(atm_model *model, const engine_request *request, int batch,
                                engine_denoiser *out);
void       engine_denoiser_close(engine_denoiser *denoiser);

/* Denoises clips first .. first + batch - 1 of the request.  loa: of each artwork,
 * [n_artworks, 8, D].  `latent` [batch, C, T, F] receives the result. */
atm_status engine_denoise(const atm_model *model, engine_request *request, engine_denoiser *denoiser,
                          int first,
                          const float *loa, float *latent);

#endif
