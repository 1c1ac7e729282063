/* networks.h - the model's networks, each alone in a plan from one input to one output.
 *
 *     eval_network net = { 0 };
 *     TRY(eval_network_begin(job->device, &job->model, "vocoder", &net));
 *     net.in = atm_input(net.plan, ...);
 *     TRY(eval_network_finish(&net, atm_hifigan(net.plan, ...)));
 *     TRY(eval_network_run(&net, mel, sound));  ...
 *     eval_network_close(&net);
 */
#ifndef ATM_EVAL_NETWORKS_H
#define ATM_EVAL_NETWORKS_H

#include "eval/job.h"
#include "model/params.h"

typedef struct {
    atm_device *device;
    atm_params params;                  /* the plan points at it: the struct must not move */
    atm_plan *plan;
    atm_tensor in, out;
} eval_network;                         /* {0} is empty */

atm_status eval_network_begin(atm_device *device, const atm_model_dir *model, const char *component,
                              eval_network *net);
atm_status eval_network_finish(eval_network *net, atm_tensor out);
atm_status eval_network_run(eval_network *net, const float *in, float *out);
void       eval_network_close(eval_network *net);

/* Log-mel pictures [frames, bands] through the VAE's posterior mean and back. */
typedef struct { eval_network encoder, decoder; float *latent; } eval_vae;

atm_status eval_vae_open(eval_job *job, int frames, eval_vae *vae);
atm_status eval_vae_run(eval_vae *vae, const float *mel, float *out);
void       eval_vae_close(eval_vae *vae);

/* mel [frames, bands] -> out.dim[1] samples, 160 for each frame and a few more. */
atm_status eval_vocoder_open(eval_job *job, int frames, eval_network *net);

#endif
