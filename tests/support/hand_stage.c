#include "support/support.h"
#include "support/hand_stage.h"

#include <stdlib.h>
#include <string.h>

enum { PARAMS = 3 };
static const struct { const char *name; int rank, dim[2]; size_t offset, count; } layout[PARAMS] = {
    { "net.first.weight", 2, { 8, 7 }, 0, 56 }, { "net.first.bias", 1, { 8 }, 64, 8 }, { "net.scale", 0, { 0 }, 80, 1 },
};
static const atm_stage_info info = { .name = "vocoder" };

static void make_group(atm_group *g, bool ema)
{
    *g = (atm_group){ .param = calloc(PARAMS, sizeof *g->param), .n_params = PARAMS, .count = HAND_COUNT };
    for (int i = 0; i < PARAMS; i++) {
        g->param[i] = (atm_group_param){ .name = strdup(layout[i].name), .rank = layout[i].rank,
                                         .offset = layout[i].offset, .count = layout[i].count };
        memcpy(g->param[i].dim, layout[i].dim, sizeof layout[i].dim);
    }
    g->p = calloc(5 * HAND_COUNT, sizeof *g->p);
    g->g = g->p + HAND_COUNT;
    g->m = g->g + HAND_COUNT;
    g->v = g->m + HAND_COUNT;
    g->ema = ema ? g->v + HAND_COUNT : NULL;
}

atm_stage hand_stage_make(void)
{
    atm_stage stage = { .info = &info, .n_groups = 2, .metric = { "loss", "mel" } };
    make_group(&stage.group[0], true);
    make_group(&stage.group[1], false);
    return stage;
}

void hand_stage_free(atm_stage *stage)
{
    for (int g = 0; g < 2; g++) {
        for (int i = 0; i < PARAMS; i++) free(stage->group[g].param[i].name);
        free(stage->group[g].param);
        free(stage->group[g].p);
    }
}

/* Never the same at two steps. */
static float number(int step, int group, int array, size_t i)
{
    return (float)step + 0.25f * (float)group + 1e-2f * (float)array + 1e-4f * (float)i;
}

static void for_numbers(const atm_stage *stage, int step, void (*each)(float *x, float expected))
{
    for (int g = 0; g < stage->n_groups; g++) {
        float *const array[] = { stage->group[g].p, stage->group[g].m, stage->group[g].v, stage->group[g].ema };
        for (int a = 0; a < 4 && array[a]; a++)
            for (int p = 0; p < PARAMS; p++)
                for (size_t i = layout[p].offset; i < layout[p].offset + layout[p].count; i++)
                    each(&array[a][i], number(step, g, a, i));
    }
}

static void set(float *x, float value) { *x = value; }
static void check(float *x, float value) { assert_memory_equal(x, &value, sizeof value); }

void hand_stage_set(atm_stage *stage, int step) { for_numbers(stage, step, set); }
void hand_stage_check(const atm_stage *stage, int step) { for_numbers(stage, step, check); }

atm_train_state hand_state(int step)
{
    atm_train_state s = { .step = (uint64_t)step, .optimizer_steps = { (uint64_t)step - 1, (uint64_t)step - 2 },
                          .bad_steps = 3, .bad_in_a_row = 1, .metrics_bytes = 1000 + step, .summed = 2,
                          .seconds = step / 3.0 };
    s.sum[0] = step / 7.0;
    s.sum[1] = -1e-300;
    s.sum[ATM_STAGE_METRICS] = 1e300;
    strcpy(s.dataset, "0123456789abcdef0123456789abcdef");
    return s;
}
