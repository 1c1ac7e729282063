/* sounds.c - tracks to clips: the waveform and the log-mel of each window.
 *
 * A row of the sounds store is mel [T, 64], and audio [160 T] when that is wanted. */
#include <stdlib.h>
#include <string.h>

#include "data/mel.h"
#include "data/waveform.h"
#include "io/read_file.h"
#include "prepare/job.h"

enum { MAX_FILE_BYTES = 1 << 30 };

/* Below -60 dB of full scale: normalised, it would be loud noise. */
static const float SILENT = 1e-3f;

/* ------------------------------------------------------------------ windows of a track */

typedef atm_status (*window_work)(atm_job *job, int track, int64_t start, void *user);

static atm_status windows_of_match(atm_job *job, const atm_match *m, window_work work, void *user)
{
    const int64_t length = job->collection.track[m->track].length;
    const int64_t n = atm_window_count(&job->windows, length, m->start);
    for (int64_t k = 0; k < n; k++)
        TRY_RETURN(work(job, m->track, atm_window_start(&job->windows, length, m->start, k), user));
    return ATM_OK;
}

/* Each start of the track's matches once; windows of two starts may still be the same. */
static atm_status each_window(atm_job *job, int track, window_work work, void *user)
{
    const atm_collection *c = &job->collection;
    int64_t last = -1;
    for (int i = c->first_of_track[track]; i < c->first_of_track[track + 1]; i++) {
        const atm_match *m = c->by_track[i];
        if (m->split == ATM_SPLITS || m->start == last) continue;
        last = m->start;
        TRY_RETURN(windows_of_match(job, m, work, user));
    }
    return ATM_OK;
}

static bool has_window(atm_job *job, int track, int64_t start)
{
    return atm_parts_has(job->store[JOB_SOUNDS],
                         atm_part_key_of(job->collection.track[track].fingerprint, start));
}

static atm_status count_missing(atm_job *job, int track, int64_t start, void *user)
{
    *(int *)user += !has_window(job, track, start);
    return ATM_OK;
}

/* ------------------------------------------------------------------ one window */

/* A track in memory.  `mono` is the first channel at 16 kHz, made once where the framing
 * normalises the whole track; empty otherwise. */
typedef struct { atm_audio audio, mono; float *row; } track_sound;

static float range_of(const atm_audio *a, double from, double seconds)
{
    const double first = from * a->rate, end = first + seconds * a->rate;
    float least = 0, most = 0;
    for (size_t i = (size_t)first; i < a->frames && (double)i < end; i++) {
        const float x = a->samples[i * (size_t)a->channels];
        if (i == (size_t)first) least = most = x;
        if (x < least) least = x;
        if (x > most) most = x;
    }
    return most - least;
}

static atm_status make_window(atm_job *job, int track, int64_t start, void *user)
{
    const track_sound *sound = user;
    const atm_source *source = &job->collection.track[track];
    const atm_audio *audio = sound->mono.samples ? &sound->mono : &sound->audio;
    float *wave = sound->row + job_mel_floats(job);
    const double at = job_seconds(start);
    if (atomic_load(&job->stop)) return atm_fail(ATM_E_CANCELLED, "stopped");
    if (has_window(job, track, start)) return ATM_OK;
    if (range_of(audio, at, job_seconds(job->windows.step)) < 2 * SILENT)
        return atm_skips_add(&job->skips, "clip", source->name, source->line, "silent from %.2f s on", at);
    TRY_RETURN(atm_waveform_prepare(audio, job->options->framing, at, wave, (size_t)job->samples));
    TRY_RETURN(atm_mel(wave, (size_t)job->samples, job->options->framing, sound->row));
    return atm_parts_add(job->store[JOB_SOUNDS], atm_part_key_of(source->fingerprint, start), sound->row);
}

/* ------------------------------------------------------------------ one track */

static atm_status first_channel_at_16_khz(const atm_audio *audio, atm_audio *mono)
{
    *mono = (atm_audio){ .rate = ATM_STFT_RATE, .channels = 1 };
    return atm_waveform_first_channel(audio, 0, audio->frames, &mono->samples, &mono->frames);
}

static atm_status keep_length(atm_job *job, atm_source *track, const atm_audio *audio)
{
    track->length = (int64_t)((double)audio->frames * ATM_STFT_RATE / audio->rate);
    return atm_parts_add(job->store[JOB_LENGTHS], atm_part_key_of(track->fingerprint, 0), &track->length);
}

static atm_status no_window(const atm_job *job, const atm_source *track)
{
    return atm_fail(ATM_E_DATA, "%.3g s long: too short for a clip of %g s", job_seconds(track->length),
                    job_seconds(job->windows.step));
}

static atm_status make_windows(atm_job *job, int track, const char *bytes, size_t n)
{
    atm_source *source = &job->collection.track[track];
    track_sound sound = { 0 };
    int missing = 0;
    atm_status status = ATM_OK;
    TRY(atm_audio_decode(bytes, n, 0, &sound.audio));
    TRY(keep_length(job, source, &sound.audio));
    TRY(each_window(job, track, count_missing, &missing));
    if (!missing) goto done;
    if (job->options->framing == ATM_FRAMING_ART2MUS) TRY(first_channel_at_16_khz(&sound.audio, &sound.mono));
    sound.row = malloc((job_mel_floats(job) + (size_t)job->samples) * sizeof *sound.row);
    if (!sound.row) TRY(atm_fail(ATM_E_MEMORY, "no memory for a clip of %d samples", job->samples));
    TRY(each_window(job, track, make_window, &sound));
done:
    atm_audio_free(&sound.audio);
    atm_audio_free(&sound.mono);
    free(sound.row);
    return status;
}

/* Is all there from an earlier run? */
static bool is_made(atm_job *job, int track)
{
    atm_source *source = &job->collection.track[track];
    int missing = 0;
    const atm_part_key key = atm_part_key_of(source->fingerprint, 0);
    if (!atm_parts_has(job->store[JOB_LENGTHS], key)
        || atm_parts_read(job->store[JOB_LENGTHS], key, &source->length) != ATM_OK) return false;
    each_window(job, track, count_missing, &missing);
    return missing == 0;
}

static atm_status count_windows(atm_job *job, int track, int64_t start, void *user)
{
    (void)job;
    (void)track;
    (void)start;
    ++*(int *)user;
    return ATM_OK;
}

static atm_status make_track(atm_job *job, int track)
{
    atm_source *source = &job->collection.track[track];
    char *bytes = NULL;
    size_t n;
    int windows = 0;
    atm_status status = atm_read_file(source->file, MAX_FILE_BYTES, &bytes, &n);
    if (status == ATM_OK) {
        atm_fingerprint_bytes(bytes, n, source->fingerprint);
        if (!is_made(job, track)) status = make_windows(job, track, bytes, n);
        free(bytes);
    }
    if (status == ATM_OK) status = each_window(job, track, count_windows, &windows);
    if (status == ATM_OK && !windows) status = no_window(job, source);
    return status == ATM_OK ? ATM_OK : job_skip(job, "track", source, status);
}

/* ------------------------------------------------------------------ all tracks */

static atm_status add_clip(atm_job *job, int track, int64_t start, void *user)
{
    int *capacity = user;
    if (!has_window(job, track, start)) return ATM_OK;
    if (job->n_clips == *capacity) {
        atm_job_clip *grown = reallocarray(job->clip, 2 * (size_t)*capacity + 64, sizeof *grown);
        if (!grown) return atm_fail(ATM_E_MEMORY, "no memory for %d clips", 2 * *capacity + 64);
        job->clip = grown;
        *capacity = 2 * *capacity + 64;
    }
    job->clip[job->n_clips++] = (atm_job_clip){ .track = track, .start = start, .row = -1 };
    return ATM_OK;
}

static int by_start(const void *a, const void *b)
{
    const atm_job_clip *x = a, *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

/* Windows of several starts come out of order, and some twice. */
static void sort_clips(atm_job *job, int first)
{
    int kept = first;
    qsort(job->clip + first, (size_t)(job->n_clips - first), sizeof *job->clip, by_start);
    for (int i = first; i < job->n_clips; i++)
        if (i == first || job->clip[i].start != job->clip[kept - 1].start) job->clip[kept++] = job->clip[i];
    job->n_clips = kept;
}

static atm_status collect_clips(atm_job *job)
{
    int capacity = 0;
    for (int t = 0; t < job->collection.n_tracks; t++) {
        const int first = job->n_clips;
        TRY_RETURN(each_window(job, t, add_clip, &capacity));
        if (job->n_clips > first) sort_clips(job, first);
    }
    return ATM_OK;
}

atm_status job_sounds(atm_job *job)
{
    TRY_RETURN(job_each_source(job, "tracks", job->collection.track, job->collection.n_tracks, make_track));
    return collect_clips(job);
}
