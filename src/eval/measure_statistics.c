/* measure_statistics.c - what generated music has in common with real music, and what with noise.
 *
 * Five sets of clips, measured alike (sound_measures.h):
 *     generated    for artworks of the split, each from noise of its own
 *     real         of the split
 *     training     real clips of the training split: how far real music is from real music
 *     white        noise of the real clips' mean power
 *     shaped       noise with the real clips' mean spectrum: all that a model without time would know */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "eval/job.h"
#include "eval/noise.h"
#include "eval/sound_measures.h"

enum { GENERATED, REAL, TRAINING, WHITE, SHAPED, SETS };

static const char *const set_names[SETS] = { "generated", "real", "other real music", "white noise",
                                             "noise shaped like real music" };

typedef struct {
    int n;
    int *cluster;                       /* [n] */
    atm_sound_measures *sound;          /* [n] */
} sound_set;

typedef struct {
    eval_job *job;
    const atm_column *audio;
    size_t samples;                     /* of a real clip, and of noise */
    float *x;
    sound_set set[SETS];
    int tracks[SETS];
    atm_mean_spectrum spectrum;         /* of the real clips */
    double power;                       /* their mean square */
    int done, total;
} statistics;

/* ------------------------------------------------------------------ sets */

static atm_status allocate_set(statistics *s, int which, int n)
{
    sound_set *set = &s->set[which];
    *set = (sound_set){ n, calloc((size_t)n, sizeof *set->cluster), calloc((size_t)n, sizeof *set->sound) };
    if (!set->cluster || !set->sound) return atm_fail(ATM_E_MEMORY, "no memory for %d clips", n);
    for (int i = 0; i < n; i++) set->cluster[i] = i;
    return ATM_OK;
}

static atm_status measure(statistics *s, int which, int i, const float *x, size_t n)
{
    TRY_RETURN(atm_sound_measure(x, n, &s->set[which].sound[i]));
    return eval_tick(s->job, ++s->done, s->total);
}

static void add_power(statistics *s)
{
    double square = 0;
    for (size_t i = 0; i < s->samples; i++) square += (double)s->x[i] * (double)s->x[i];
    s->power += square / (double)s->samples / s->set[REAL].n;
}

static atm_status measure_real(statistics *s, int which, atm_split split)
{
    eval_items items;
    atm_status status;
    TRY_RETURN(eval_choose_sounds(s->job, split, s->job->options->clips, &items));
    s->tracks[which] = items.tracks;
    TRY(allocate_set(s, which, items.n));
    for (int i = 0; i < items.n; i++) {
        TRY(eval_read(s->job->sounds, s->audio, (size_t)items.item[i].clip, s->x));
        s->set[which].cluster[i] = items.item[i].track;
        if (which == REAL) TRY(atm_mean_spectrum_add(&s->spectrum, s->x, s->samples));
        if (which == REAL) add_power(s);
        TRY(measure(s, which, i, s->x, s->samples));
    }
done:
    eval_items_free(&items);
    return status;
}

static atm_status measure_noise(statistics *s, int which)
{
    const uint64_t seed = s->job->options->seed;
    TRY_RETURN(allocate_set(s, which, s->set[REAL].n));
    for (int i = 0; i < s->set[which].n; i++) {
        if (which == WHITE) atm_white_noise(seed, (uint32_t)i, s->power, s->x, s->samples);
        else TRY_RETURN(atm_shaped_noise(seed, (uint32_t)i, &s->spectrum, s->x, s->samples));
        TRY_RETURN(measure(s, which, i, s->x, s->samples));
    }
    return ATM_OK;
}

static atm_status measure_generated(statistics *s)
{
    TRY_RETURN(eval_generate(s->job, EVAL_OWN_NOISE));
    const atm_result *music = s->job->take[EVAL_OWN_NOISE];
    TRY_RETURN(allocate_set(s, GENERATED, atm_result_clips(music)));
    for (int i = 0; i < s->set[GENERATED].n; i++) {
        const atm_samples sound = atm_result_audio(music, i);
        TRY_RETURN(measure(s, GENERATED, i, sound.data, sound.n));
    }
    return ATM_OK;
}

static atm_status measure_all(statistics *s)
{
    s->total = 5 * s->job->options->clips;
    TRY_RETURN(measure_generated(s));
    TRY_RETURN(measure_real(s, REAL, s->job->options->split));
    TRY_RETURN(measure_real(s, TRAINING, ATM_SPLIT_TRAIN));
    TRY_RETURN(measure_noise(s, WHITE));
    return measure_noise(s, SHAPED);
}

/* ------------------------------------------------------------------ numbers of one clip each */

static double onset_rate(const atm_sound_measures *m) { return m->onset_rate; }
static double flatness(const atm_sound_measures *m) { return m->flatness; }
static double loudness(const atm_sound_measures *m) { return m->loudness; }

static const struct {
    const char *name, *unit, *meaning;
    double (*of)(const atm_sound_measures *m);
} quantities[] = {
    { "onset rate", "1/s", "attacks: peaks of the spectral flux", onset_rate },
    { "spectral flatness", "1",
      "geometric over arithmetic mean of the power spectrum: 0 a sine, 0.56 white noise", flatness },
    { "loudness", "dB", "root mean square, of full scale", loudness }
};

static atm_status mean_of(const statistics *s, int which, double (*of)(const atm_sound_measures *),
                          atm_estimate *out)
{
    const sound_set *set = &s->set[which];
    double *x = calloc((size_t)set->n, sizeof *x);
    if (!x) return atm_fail(ATM_E_MEMORY, "no memory for %d clips", set->n);
    for (int i = 0; i < set->n; i++) x[i] = of(&set->sound[i]);
    const atm_status status = atm_bootstrap_mean(set->n, x, set->cluster, s->job->options->seed, out);
    free(x);
    return status;
}

static atm_eval_row row_for(const statistics *s, const char *name, const char *unit, const char *meaning)
{
    atm_eval_row row = { .measure = s->job->measure, .unit = unit, .meaning = meaning,
                         .n = s->set[GENERATED].n, .of = "generated clips" };
    snprintf(row.name, sizeof row.name, "%s", name);
    return row;
}

static void add_control(atm_eval_row *row, int which, atm_estimate is)
{
    row->control[row->n_controls++] = (atm_eval_control){ set_names[which], is };
}

static atm_status report_quantities(const statistics *s)
{
    for (size_t q = 0; q < sizeof quantities / sizeof *quantities; q++) {
        atm_eval_row row = row_for(s, quantities[q].name, quantities[q].unit, quantities[q].meaning);
        TRY_RETURN(mean_of(s, GENERATED, quantities[q].of, &row.is));
        for (int which = REAL; which < SETS; which++) {
            atm_estimate is;
            TRY_RETURN(mean_of(s, which, quantities[q].of, &is));
            add_control(&row, which, is);
        }
        TRY_RETURN(atm_eval_add_row(s->job->report, &row));
    }
    return ATM_OK;
}

/* ------------------------------------------------------------------ distances of sets */

typedef struct {
    const atm_sound_measures *track;
    const atm_band_statistics *real;
    double (*distance)(const atm_band_statistics *a, const atm_band_statistics *b);
} distance_query;

static double set_distance(const int *unit, int n, const void *user)
{
    const distance_query *q = user;
    const atm_band_statistics mine = atm_bands_of(q->track, unit, n);
    return q->distance(&mine, q->real);
}

static void add_sound(atm_sound_measures *to, const atm_sound_measures *sound)
{
    to->frames += sound->frames;
    for (int b = 0; b < ATM_MEL_BANDS; b++) {
        to->sum[b] += sound->sum[b];
        to->square[b] += sound->square[b];
    }
}

static atm_band_statistics bands_of_all(const sound_set *set)
{
    atm_sound_measures all = { 0 };
    for (int i = 0; i < set->n; i++) add_sound(&all, &set->sound[i]);
    return atm_bands_of(&all, (int[]){ 0 }, 1);
}

static int largest_cluster(const sound_set *set)
{
    int most = 0;
    for (int i = 0; i < set->n; i++) if (set->cluster[i] > most) most = set->cluster[i];
    return most;
}

/* Clips of one track as one sound: what is drawn again.  *out is the caller's, also on failure. */
static atm_status join_tracks(const sound_set *set, atm_sound_measures **out, int *n)
{
    const int clusters = largest_cluster(set) + 1;
    atm_sound_measures *joined = *out = calloc((size_t)clusters, sizeof *joined);
    if (!joined) return atm_fail(ATM_E_MEMORY, "no memory for %d tracks", clusters);
    for (int i = 0; i < set->n; i++) add_sound(&joined[set->cluster[i]], &set->sound[i]);
    *n = 0;
    for (int i = 0; i < clusters; i++) if (joined[i].frames > 0) joined[(*n)++] = joined[i];
    return ATM_OK;
}

static const struct {
    const char *name, *meaning;
    double (*of)(const atm_band_statistics *a, const atm_band_statistics *b);
} distances[] = {
    { "distance of band means", "mean over bands of how far the log-mel's mean is from that of real music",
      atm_band_mean_distance },
    { "distance of band deviations", "the same of its standard deviation over time",
      atm_band_deviation_distance }
};

static atm_status distance_to_real(const statistics *s, int which, int distance, atm_estimate *out)
{
    const atm_band_statistics real = bands_of_all(&s->set[REAL]);
    atm_sound_measures *track;
    int n = 0;
    atm_status status = join_tracks(&s->set[which], &track, &n);
    const distance_query query = { track, &real, distances[distance].of };
    if (status == ATM_OK) status = atm_bootstrap(n, set_distance, &query, s->job->options->seed, out);
    free(track);
    return status;
}

static atm_status report_distances(const statistics *s)
{
    static const int controls[] = { TRAINING, WHITE, SHAPED };
    for (int d = 0; d < (int)(sizeof distances / sizeof *distances); d++) {
        atm_eval_row row = row_for(s, distances[d].name, "nats", distances[d].meaning);
        TRY_RETURN(distance_to_real(s, GENERATED, d, &row.is));
        for (size_t k = 0; k < sizeof controls / sizeof *controls; k++) {
            atm_estimate is;
            TRY_RETURN(distance_to_real(s, controls[k], d, &is));
            add_control(&row, controls[k], is);
        }
        TRY_RETURN(atm_eval_add_row(s->job->report, &row));
    }
    return ATM_OK;
}

/* ------------------------------------------------------------------ the whole */

atm_status eval_statistics(eval_job *job)
{
    statistics s = { .job = job };
    atm_status status;
    TRY(eval_find(job->sounds, "clips/audio", &s.audio));
    s.samples = (size_t)s.audio->dim[0];
    s.x = malloc(s.samples * sizeof *s.x);
    if (!s.x) TRY(atm_fail(ATM_E_MEMORY, "no memory for a sound of %zu samples", s.samples));
    TRY(measure_all(&s));
    TRY(report_quantities(&s));
    TRY(report_distances(&s));
    TRY(atm_eval_add_note(job->report, job->measure, "Real: %d clips of %d tracks; other real music: %d "
                          "clips of %d tracks of the training split; %d clips of each noise.", s.set[REAL].n,
                          s.tracks[REAL], s.set[TRAINING].n, s.tracks[TRAINING], s.set[WHITE].n));
done:
    for (int i = 0; i < SETS; i++) {
        free(s.set[i].cluster);
        free(s.set[i].sound);
    }
    free(s.x);
    return status;
}
