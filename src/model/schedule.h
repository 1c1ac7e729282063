/* schedule.h - the noise schedule and the samplers, as a table of numbers.
 *
 * A sampler is a list of rows, one a step; everything it needs per step is one
 * timestep for the network and the coefficients of the op sampler_step
 * (kernels/ops.h):
 *
 *     x0 = c0 x + c1 e                               e: the network's (guided) output
 *     y  = c2 x + c3 x0 + c4 e + c5 h + c6 n         h: x0 of the step before, n: noise
 *
 * So generation has one loop for all samplers, and the table is a function of
 * (config, sampler, steps, eta) alone.  Sources and equations: schedule.c.
 *
 * To add a sampler: a row in the table of schedule.c, and a function that fills
 * the rows.  It must fit the equation above; h is the only memory of past steps. */
#ifndef ATM_MODEL_SCHEDULE_H
#define ATM_MODEL_SCHEDULE_H

#include <stdbool.h>

#include "base/status.h"

typedef enum {
    ATM_BETA_LINEAR, ATM_BETA_SCALED_LINEAR, ATM_BETA_SQUARED_COSINE, ATM_BETA_COUNT
} atm_beta_schedule;
typedef enum {
    ATM_PREDICT_EPSILON, ATM_PREDICT_V, ATM_PREDICT_SAMPLE, ATM_PREDICT_COUNT
} atm_prediction;
typedef enum {
    ATM_SPACING_LEADING, ATM_SPACING_LINSPACE, ATM_SPACING_TRAILING, ATM_SPACING_COUNT
} atm_spacing;

/* scheduler_config.json's spelling of each value. */
extern const char *const atm_beta_schedule_names[ATM_BETA_COUNT + 1];      /* NULL ends */
extern const char *const atm_prediction_names[ATM_PREDICT_COUNT + 1];
extern const char *const atm_spacing_names[ATM_SPACING_COUNT + 1];

/* scheduler/scheduler_config.json (diffusers' DDIMScheduler). */
typedef struct {
    int num_train_timesteps;
    double beta_start, beta_end;
    atm_beta_schedule beta_schedule;
    atm_prediction prediction_type;
    atm_spacing timestep_spacing;
    int steps_offset;
    bool set_alpha_to_one;          /* false: the step past the last uses abar[0], not 1 */
} atm_schedule_config;

/* cvssp/audioldm2's. */
extern const atm_schedule_config atm_schedule_audioldm2;

typedef enum {
    ATM_SAMPLER_DDIM,
    ATM_SAMPLER_DPMPP_2M,           /* DPM-Solver++(2M) on the config's timesteps   */
    ATM_SAMPLER_DPMPP_2M_KARRAS,    /* the same on Karras' sigmas                   */
    ATM_SAMPLER_COUNT
} atm_sampler;

/* "ddim", "dpm++", "dpm++-karras". */
extern const char *const atm_sampler_names[ATM_SAMPLER_COUNT];
atm_status atm_sampler_find(const char *name, atm_sampler *out);        /* ATM_E_USAGE: lists the names */

enum { ATM_SAMPLER_COEFS = 8 };     /* c0..c6 and a zero: the width of sampler_step's coef */

typedef struct {
    int timestep;                   /* what the network is told                     */
    double coef[ATM_SAMPLER_COEFS];
} atm_schedule_row;

typedef struct {
    int steps;
    bool uses_noise, uses_history;  /* whether any c6, any c5 is not zero           */
    atm_schedule_row *row;          /* owned; [steps], first step first             */
} atm_schedule;

/* eta: DDIM's share of fresh noise, 0 (deterministic) to 1 (DDPM's variance); 0 for
 * the other samplers.  ATM_E_USAGE when steps or eta is out of range: the largest
 * timestep must be one the network was trained on. */
atm_status atm_schedule_make(const atm_schedule_config *config, atm_sampler sampler, int steps, double eta,
                             atm_schedule *out);
void       atm_schedule_free(atm_schedule *schedule);                   /* back to {0} */

/* abar[t] = prod_{s<=t} (1 - beta_s), [num_train_timesteps]. */
void atm_alphas_cumprod(const atm_schedule_config *config, double *abar);

/* ATM_E_CONFIG naming the field that cannot be. */
atm_status atm_schedule_check(const atm_schedule_config *config);

/* The sampler on saved outputs of a network: the oracle of sampler_step, and the
 * component `scheduler`.  sample [n], model_output [steps, n], noise [steps, n] or
 * NULL for zeros; trajectory [steps, n] gets the sample after each step. */
void atm_schedule_run(const atm_schedule *schedule, size_t n, const double *sample,
                      const double *model_output, const double *noise, double *trajectory);

#endif
