/* checkpoint.h - everything a run needs to go on, bit for bit.
 *
 *     checkpoints/step_00000500/
 *         group0.safetensors   p.NAME, m.NAME, v.NAME, ema.NAME of every parameter, F32
 *         state.json           version, stage, step, counters, size of the log, fingerprint
 *         config.yaml          the resolved configuration, for people
 *         manifest.json        size, XXH3-128 and SHA-256 of each file; written last
 *
 * Written into step_N.tmp, every file fsync'd, renamed, parent fsync'd.  A checkpoint is valid
 * when its manifest verifies, and for no other reason.
 *
 * checkpoint_save.c writes, checkpoint_resume.c reads, checkpoint_prune.c removes.  To keep more
 * of a run: a row of the table in checkpoint_state.c, and ATM_CHECKPOINT_VERSION + 1 with a
 * new golden file in tests/fixtures/checkpoints; old ones are read for ever. */
#ifndef ATM_TRAIN_CHECKPOINT_H
#define ATM_TRAIN_CHECKPOINT_H

#include "train/stage.h"

enum { ATM_CHECKPOINT_VERSION = 1 };

typedef struct {
    uint64_t step;                      /* updates done                                      */
    uint64_t optimizer_steps[ATM_STAGE_GROUPS];     /* t of AdamW: skipped updates do not count */
    uint64_t bad_steps, bad_in_a_row;
    int64_t metrics_bytes;              /* of metrics.jsonl when saved: a resume cuts it there */
    double sum[ATM_STAGE_METRICS + 1];  /* of metrics, then of the norm: what the next line of the log averages */
    uint64_t summed;                    /* updates in those sums                             */
    double seconds;                     /* of training, all sessions                         */
    char dataset[33];                   /* fingerprint                                       */
} atm_train_state;

/* Saves as step `state->step`; one that lies there already is replaced.
 * ATM_E_IO with the file and the reason: what was saved before stays whole.
 * ATM_E_DATA: a number to be saved is NaN or Inf. */
atm_status atm_checkpoint_save(const char *run_folder, const atm_stage *stage, const atm_train_state *state,
                               const char *config_yaml);

/* `which`: "latest" (the newest valid one; invalid ones are logged and passed over), or the folder of a
 * checkpoint, or its name alone when it is one of this run.  Fills the groups of `stage`, or, after an
 * error, nothing of them.
 * "latest", and nothing was ever saved: ATM_OK, and *state stays as it is.
 * ATM_E_DATA: the checkpoint named does not verify, or none of those there; it is of another stage or its
 * tensors are not the stage's; a newer version of this program has written it. */
atm_status atm_checkpoint_resume(const char *run_folder, const char *which, atm_stage *stage, atm_train_state *state);

/* Removes all but the newest `limit` (0: keep all) and those whose step is a multiple of `milestone` (0: none),
 * but never the only valid one; and what killed runs have left behind.  The caller has locked the run folder. */
atm_status atm_checkpoint_prune(const char *run_folder, int limit, int milestone);

#endif
