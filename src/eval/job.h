/* job.h - an evaluation under way: what the files of src/eval share. */
#ifndef ATM_EVAL_JOB_H
#define ATM_EVAL_JOB_H

#include "eval/eval.h"
#include "eval/items.h"
#include "model/model_dir.h"
#include "plan/plan.h"

/* Generated clips: of the artworks of the data, in the order of eval_job.artworks. */
typedef enum {
    EVAL_OWN_NOISE,                     /* artwork i from noise seed + 1 + i               */
    EVAL_SAME_NOISE,                    /* every artwork from noise `seed`                 */
    EVAL_SAME_NOISE_UNGUIDED,           /* the same, at guidance 1                         */
    EVAL_TAKES
} eval_take;

typedef struct {
    const atm_eval_options *options;
    const char *measure;                /* the one being taken */
    atm_device *device;
    atm_model_dir model;
    atm_dataset *data, *sounds;         /* the same one when no sounds are given */
    atm_model *engine;                  /* opened by the first generation */
    eval_items artworks;                /* that music is generated for */
    atm_result *take[EVAL_TAKES];
    atm_eval_report *report;
} eval_job;

/* Tells how far the measure is, and asks whether to go on. */
atm_status eval_tick(eval_job *job, int done, int total);

/* The column, or ATM_E_DATA with what to run `arttomus prepare` for. */
atm_status eval_find(const atm_dataset *dataset, const char *column, const atm_column **out);

/* A row of floats, whatever the column's dtype. */
atm_status eval_read(const atm_dataset *dataset, const atm_column *column, size_t row, float *out);

/* Were the rows of the dataset that `folder` makes ("vae") made by these weights?  A dataset that
 * does not say counts as yes. */
atm_status eval_made_by(const eval_job *job, const atm_dataset *data, const char *folder,
                        const char *component, bool *out);

/* At most `most` clips of a split of the sounds, each once. */
atm_status eval_choose_sounds(eval_job *job, atm_split split, int most, eval_items *out);

/* ---- measures: measure_NAME.c ---- */

atm_status eval_reconstruction(eval_job *job);
atm_status eval_decoders(eval_job *job);
atm_status eval_statistics(eval_job *job);
atm_status eval_difference(eval_job *job);
atm_status eval_retrieval(eval_job *job);
atm_status eval_conditioning(eval_job *job);

/* ---- generated.c ---- */

/* Fills job->artworks, once. */
atm_status eval_choose_artworks(eval_job *job);
/* Clips of job->artworks, made once and kept: job->take[take]. */
atm_status eval_generate(eval_job *job, eval_take take);
void       eval_forget_generated(eval_job *job);

/* ---- embeddings.c: unit vectors [n, E], E of the model ---- */

/* Of rows of its artworks: the column `embedding` when these weights made it, else from pixels. */
atm_status eval_embed_artworks(eval_job *job, const atm_dataset *data, int n, const int32_t *row, float *out);
/* Of rows of its clips, from their audio: the mean over three clips of 2 s (data/audio_clips.h). */
atm_status eval_embed_clips(eval_job *job, const atm_dataset *data, int n, const int32_t *row, float *out);

#endif
