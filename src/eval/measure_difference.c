/* measure_difference.c - does the artwork decide the music?  From the same noise, how far are two
 * artworks' clips apart; beside it, how far two clips of one artwork are from different noise. */
#include <math.h>
#include <stdlib.h>

#include "eval/job.h"
#include "eval/sound_measures.h"

enum { MOST_ARTWORKS = 16 };            /* pairs grow with the square, and say the same */

typedef struct {
    int n;
    double *apart;                      /* [n, n] */
} distances;

/* Mean over pairs of different artworks: one that was drawn twice is not a pair with itself. */
static double mean_apart(const int *unit, int n, const void *user)
{
    const distances *d = user;
    double sum = 0, count = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++) {
            if (unit[i] == unit[j]) continue;
            sum += d->apart[unit[i] * d->n + unit[j]];
            count++;
        }
    return sum / count;
}

static double clip_distance(const atm_result *a, int i, const atm_result *b, int j)
{
    const atm_matrix x = atm_result_mel(a, i), y = atm_result_mel(b, j);
    return atm_mean_distance(x.data, y.data, (size_t)x.rows * (size_t)x.columns);
}

static atm_status between_artworks(const eval_job *job, eval_take take, int n, atm_estimate *out)
{
    distances d = { n, calloc((size_t)n * (size_t)n, sizeof(double)) };
    if (!d.apart) return atm_fail(ATM_E_MEMORY, "no memory for %d artworks", n);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            d.apart[i * n + j] = d.apart[j * n + i] = clip_distance(job->take[take], i, job->take[take], j);
    const atm_status status = atm_bootstrap(n, mean_apart, &d, job->options->seed, out);
    free(d.apart);
    return status;
}

static atm_status between_noises(const eval_job *job, int n, atm_estimate *out)
{
    double *apart = calloc((size_t)n, sizeof *apart);
    if (!apart) return atm_fail(ATM_E_MEMORY, "no memory for %d artworks", n);
    for (int i = 0; i < n; i++)
        apart[i] = clip_distance(job->take[EVAL_SAME_NOISE], i, job->take[EVAL_OWN_NOISE], i);
    const atm_status status = atm_bootstrap_mean(n, apart, NULL, job->options->seed, out);
    free(apart);
    return status;
}

atm_status eval_difference(eval_job *job)
{
    TRY_RETURN(eval_choose_artworks(job));
    const int all = job->artworks.n, n = all < MOST_ARTWORKS ? all : MOST_ARTWORKS;
    if (n < 2)
        return atm_fail(ATM_E_DATA, "%s: two artworks are needed in the %s split, there is one",
                        atm_dataset_path(job->data), atm_split_names[job->options->split]);
    atm_eval_row row = {
        .measure = job->measure, .name = "log-mel L1 between two artworks' clips, same noise", .unit = "nats",
        .meaning = "how much of a clip the artwork decides; 0: the artwork is not heard at all",
        .n = n * (n - 1) / 2, .of = "pairs", .units = n, .units_of = "artworks", .n_controls = 2,
        .control = { { .name = "one artwork, different noise" },
                     { .name = "two artworks, same noise, guidance 1" } }
    };
    for (int take = 0; take < EVAL_TAKES; take++) TRY_RETURN(eval_generate(job, (eval_take)take));
    TRY_RETURN(between_artworks(job, EVAL_SAME_NOISE, n, &row.is));
    TRY_RETURN(between_noises(job, n, &row.control[0].is));
    TRY_RETURN(between_artworks(job, EVAL_SAME_NOISE_UNGUIDED, n, &row.control[1].is));
    return atm_eval_add_row(job->report, &row);
}
