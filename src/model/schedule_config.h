/* schedule_config.h - scheduler/scheduler_config.json, and the component `scheduler`. */
#ifndef ATM_MODEL_SCHEDULE_CONFIG_H
#define ATM_MODEL_SCHEDULE_CONFIG_H

#include "io/json.h"
#include "model/schedule.h"

/* As diffusers writes it for DDIMScheduler or DPMSolverMultistepScheduler; the sampler
 * is chosen at generation, not here.  ATM_E_CONFIG on what is not implemented
 * (clipping, thresholding, given betas, zero terminal SNR). */
atm_status atm_schedule_config_read(const atm_json *json, atm_schedule_config *out);
json_t    *atm_schedule_config_json(const atm_schedule_config *config);

/* A sampler alone, on tensors of a file.  Inputs: sample [B, ...], model_output
 * [steps, B, ...], optional variance_noise like model_output.  Outputs: trajectory like
 * model_output, F64, and timesteps [steps], I64.  `folder` holds scheduler_config.json.
 * steps 0: as many as model_output has. */
typedef struct {
    const char *folder, *inputs, *outputs;
    atm_sampler sampler;
    int steps;
    double eta;
} atm_schedule_request;
atm_status atm_schedule_forward(const atm_schedule_request *request);

#endif
