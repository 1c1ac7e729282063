/* tiny_gradient.c - see tiny_gradient.h. */
#include "support/support.h"
#include "support/tiny_gradient.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/optimizer.h"
#include "support/plan_fixture.h"
#include "support/tiny_model.h"

static float *copy_of(const float *x, size_t n)
{
    float *copy = malloc(n * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, x, n * sizeof *copy);
    return copy;
}

/* ------------------------------------------------------------------ whole gradients */

tiny_gradient tiny_gradient_of(const atm_train_config *config, int threads)
{
    tiny_stage *s = tiny_try_open(config, "cpu", threads);
    must(s->opened);
    tiny_gradient x = { .groups = s->stage.n_groups };
    tiny_gradients(s, x.metrics);
    for (int i = 0; i < x.groups; i++) {
        x.n[i] = s->stage.group[i].count;
        x.g[i] = copy_of(s->stage.group[i].g, x.n[i]);
    }
    tiny_close(s);
    return x;
}

void tiny_gradient_free(tiny_gradient *x)
{
    for (int i = 0; i < x->groups; i++) free(x->g[i]);
    *x = (tiny_gradient){ 0 };
}

void tiny_same_gradient(const tiny_gradient *a, const atm_train_config *config, int threads)
{
    tiny_gradient b = tiny_gradient_of(config, threads);
    assert_memory_equal(a->metrics, b.metrics, sizeof b.metrics);
    assert_int_equal(a->groups, b.groups);
    for (int i = 0; i < b.groups; i++) {
        assert_int_equal(a->n[i], b.n[i]);
        assert_memory_equal(a->g[i], b.g[i], b.n[i] * sizeof *b.g[i]);
    }
    tiny_gradient_free(&b);
}

double tiny_gradient_distance(const tiny_gradient *a, const tiny_gradient *b, int parts)
{
    double worst = 0;
    assert_int_equal(a->groups, b->groups);
    for (int i = 0; i < a->groups; i++) {
        float *x = copy_of(b->g[i], b->n[i]);
        for (size_t k = 0; k < b->n[i]; k++) x[k] /= (float)parts;
        worst = fmax(worst, relative_error(x, a->g[i], a->n[i]));
        free(x);
    }
    return worst;
}

/* ------------------------------------------------------------------ slopes */

void tiny_gradients_of_batch(tiny_stage *s, const atm_loaded *batch, double *metrics)
{
    for (int i = 0; i < s->stage.n_groups; i++)
        memset(s->stage.group[i].g, 0, s->stage.group[i].count * sizeof(float));
    for (int i = 0; i < s->stage.n_groups; i++) must(s->stage.info->gradients(&s->stage, i, batch, metrics));
}

static void move(atm_group *g, const float *from, const float *direction, double by)
{
    for (size_t i = 0; i < g->count; i++) g->p[i] = (float)((double)from[i] + by * (double)direction[i]);
}

static double metric_at(tiny_stage *s, const atm_loaded *batch, int which)
{
    double metrics[ATM_STAGE_METRICS] = { 0 };
    tiny_gradients_of_batch(s, batch, metrics);
    return metrics[which];
}

double tiny_slope_error(tiny_stage *s, const atm_loaded *batch, int group, int metric)
{
    atm_group *g = &s->stage.group[group];
    const double value = metric_at(s, batch, metric), length = sqrt(atm_sum_of_squares(NULL, g->g, g->count));
    const double h = 2e-3 * value / (length * length);             /* moves the metric by 0.2 % each way */
    float *from = copy_of(g->p, g->count), *direction = copy_of(g->g, g->count);
    move(g, from, direction, h);
    const double above = metric_at(s, batch, metric);
    move(g, from, direction, -h);
    const double slope = (above - metric_at(s, batch, metric)) / (2 * h * length);
    move(g, from, direction, 0);
    free(from);
    free(direction);
    print_message("%s: gradient %.6g, slope %.6g\n", s->stage.metric[metric], length, slope);
    return fabs(slope / length - 1);
}
