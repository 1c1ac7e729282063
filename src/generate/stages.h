/* stages.h - the networks of a model, each alone in a plan from one input to one
 * output.  They run one after the other and never together, so each is built,
 * run and destroyed in turn; only the weights stay.
 *
 *     engine_stage s;
 *     TRY(engine_stage_open(model, ENGINE_VAE, frames, &s));
 *     TRY(engine_stage_run(&s, latent, mel));  ...
 *     engine_stage_close(&s);
 *
 * To add a network: a value of engine_part, a row in the table of stages.c. */
#ifndef ATM_GENERATE_STAGES_H
#define ATM_GENERATE_STAGES_H

#include "generate/engine.h"

/* "image encoder", "adapter" ... */
extern const char *const engine_part_names[ENGINE_PARTS];

typedef struct {
    atm_plan *plan;
    atm_tensor in, out;
} engine_stage;                 /* {0} is empty */

/* `frames`: of the latent; networks that do not see time ignore it. */
atm_status engine_stage_open(atm_model *model, engine_part part, int frames, engine_stage *out);
atm_status engine_stage_run(engine_stage *stage, const float *in, float *out);
void       engine_stage_close(engine_stage *stage);

/* Appends the network to a plan, whose parameters have been set. */
void engine_stage_append(const atm_model *model, engine_part part, int frames, atm_plan *plan,
                         engine_stage *out);

/* ---- for plans with more in them (denoise.c) ---- */

/* A plan that takes its parameters from `part`, loading its weights if needed. */
atm_status engine_plan_begin(atm_model *model, engine_part part, atm_plan **out);

/* Checks the weights, finishes the plan, and gives back the file's pages of
 * weights that have been packed. */
atm_status engine_plan_finish(atm_model *model, engine_part part, atm_plan *plan);

#endif
