/* run_log.c - see run_log.h. */
#include "train/run_log.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory_stream.h"
#include "data/audio.h"
#include "io/append_file.h"
#include "io/read_file.h"
#include "train/tensorboard.h"

enum { MAX_PICTURE = 64 << 20 };        /* bytes */

struct atm_run_log {
    atm_append_file metrics;
    atm_tensorboard *board;
};

void atm_run_log_close(atm_run_log *log)
{
    if (!log) return;
    atm_append_close(&log->metrics);
    atm_tensorboard_close(log->board);
    free(log);
}

atm_status atm_run_log_open(const char *run_folder, int64_t metrics_bytes, uint64_t step, atm_run_log **out)
{
    char path[PATH_MAX];
    atm_status status = ATM_OK;
    atm_run_log *log = calloc(1, sizeof *log);
    if (!log) return atm_fail(ATM_E_MEMORY, "no memory for the log of a run");
    if (snprintf(path, sizeof path, "%s/metrics.jsonl", run_folder) >= (int)sizeof path)
        TRY(atm_fail(ATM_E_IO, "%s: the path is too long", run_folder));
    TRY(atm_append_open(path, metrics_bytes, &log->metrics));
    TRY(atm_tensorboard_open(run_folder, step ? step + 1 : 0, &log->board));
    *out = log;
    return ATM_OK;
done:
    atm_run_log_close(log);
    return status;
}

/* ------------------------------------------------------------------ metrics.jsonl */

/* Nine digits bring a float back as it was.  JSON has neither NaN nor infinity. */
static void print_values(FILE *out, int n, const char *const *name, const double *value)
{
    for (int i = 0; i < n; i++) {
        fprintf(out, "%s\"%s\":", i ? "," : "", name[i]);
        if (isfinite(value[i])) fprintf(out, "%.9g", value[i]);
        else fputs("null", out);
    }
}

static atm_status write_line(atm_run_log *log, uint64_t step, const char *kind,
                             int n, const char *const *name, const double *value,
                             int n_timing, const char *const *timing_name, const double *timing)
{
    char *line = NULL;
    size_t bytes = 0;
    FILE *out = atm_memory_stream(&line, &bytes);
    if (!out) return atm_fail(ATM_E_MEMORY, "no memory for a line of metrics");
    fprintf(out, "{\"step\":%" PRIu64 ",\"kind\":\"%s\"%s", step, kind, n ? "," : "");
    print_values(out, n, name, value);
    if (n_timing) fputs(",\"timing\":{", out);
    print_values(out, n_timing, timing_name, timing);
    fputs(n_timing ? "}}\n" : "}\n", out);
    const atm_status status = fclose(out) == 0 ? atm_append_write(&log->metrics, line, bytes)
                            : atm_fail(ATM_E_MEMORY, "no memory for a line of metrics");
    free(line);
    return status;
}

atm_status atm_run_log_metrics(atm_run_log *log, uint64_t step, const char *kind,
                               int n, const char *const *name, const double *value,
                               int n_timing, const char *const *timing_name, const double *timing)
{
    if (!log) return ATM_OK;
    TRY_RETURN(write_line(log, step, kind, n, name, value, n_timing, timing_name, timing));
    TRY_RETURN(atm_tensorboard_scalars(log->board, step, kind, n, name, value));
    return n_timing ? atm_tensorboard_scalars(log->board, step, kind, n_timing, timing_name, timing) : ATM_OK;
}

/* ------------------------------------------------------------------ pictures, sounds, texts */

atm_status atm_run_log_image(atm_run_log *log, uint64_t step, const char *tag, const char *png_path)
{
    char *png;
    size_t bytes;
    if (!log) return ATM_OK;
    TRY_RETURN(atm_read_file(png_path, MAX_PICTURE, &png, &bytes));
    const atm_status status = atm_tensorboard_image(log->board, step, tag, png, bytes);
    free(png);
    return status;
}

atm_status atm_run_log_audio(atm_run_log *log, uint64_t step, const char *tag, const float *samples, int n,
                             int rate)
{
    if (!log) return ATM_OK;
    atm_bytes wav = { 0 };
    atm_status status = ATM_OK;
    const atm_audio audio = { .rate = rate, .channels = 1, .frames = (size_t)n, .samples = (float *)samples };
    TRY(atm_audio_encode(ATM_AUDIO_WAV16, &audio, &wav));
    TRY(atm_tensorboard_audio(log->board, step, tag, wav.data, wav.size, n, rate));
done:
    atm_bytes_free(&wav);
    return status;
}

atm_status atm_run_log_text(atm_run_log *log, uint64_t step, const char *tag, const char *text)
{
    return log ? atm_tensorboard_text(log->board, step, tag, text) : ATM_OK;
}

atm_status atm_run_log_sync(atm_run_log *log, int64_t *metrics_bytes)
{
    *metrics_bytes = log ? log->metrics.size : 0;
    if (!log) return ATM_OK;
    TRY_RETURN(atm_append_sync(&log->metrics));
    return atm_tensorboard_sync(log->board);
}
