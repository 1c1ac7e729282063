/* run_log.h - what a run leaves for people: metrics.jsonl (the truth), TensorBoard
 * events, samples.  Rank 0 writes; a NULL log takes everything and does nothing. */
#ifndef ATM_TRAIN_RUN_LOG_H
#define ATM_TRAIN_RUN_LOG_H

#include <stdint.h>

#include "base/status.h"

typedef struct atm_run_log atm_run_log;

/* Opens for appending, after cutting metrics.jsonl to `metrics_bytes` (what a resumed run had written when
 * its checkpoint was made; 0: begin anew) and starting a new event file, before which TensorBoard
 * forgets what it has of later steps.  ATM_E_DATA: metrics.jsonl is shorter than that. */
atm_status atm_run_log_open(const char *run_folder, int64_t metrics_bytes, uint64_t step, atm_run_log **out);
void       atm_run_log_close(atm_run_log *log);

/* One line {"step":N,"kind":"train","loss":...,...,"seconds":...} and one scalar event each, tag kind/name.
 * `timing` values go last, under "timing": the rest of the line is the same in a resumed run.
 * NaN and infinity become null, which is all that JSON has for them.  Names are plain words. */
atm_status atm_run_log_metrics(atm_run_log *log, uint64_t step, const char *kind,
                               int n, const char *const *name, const double *value,
                               int n_timing, const char *const *timing_name, const double *timing);
atm_status atm_run_log_image(atm_run_log *log, uint64_t step, const char *tag, const char *png_path);
atm_status atm_run_log_audio(atm_run_log *log, uint64_t step, const char *tag, const float *samples, int n,
                             int rate);
atm_status atm_run_log_text(atm_run_log *log, uint64_t step, const char *tag, const char *text);
/* fsyncs; returns the size of metrics.jsonl, for a checkpoint. */
atm_status atm_run_log_sync(atm_run_log *log, int64_t *metrics_bytes);

#endif
