/* print.c - what a plan looks like: memory, steps, where the time went. */
#include <stdlib.h>
#include <string.h>

#include "plan/internal.h"

atm_plan_stats atm_plan_get_stats(const atm_plan *p)
{
    atm_plan_stats s = { .steps = p->n_steps - p->n_prologue, .prologue_steps = p->n_prologue,
                         .removed_steps = p->n_removed, .block_bytes = p->block_bytes + p->workspace_bytes,
                         .tensor_bytes = p->tensor_bytes, .workspace_bytes = p->workspace_bytes };
    for (int i = 1; i < p->n_values; i++)
        if (p->value[i].kind == VALUE_PARAM) s.param_bytes += p->value[i].bytes;
    for (int i = p->n_prologue; i < p->n_steps; i++) s.flops += atm_op_flops(p->step[i].op, &p->step[i].args);
    return s;
}

/* ------------------------------------------------------------------ memory */

static const char *name_of(const atm_plan *p, const atm_value *v)
{
    return v->name ? v->name : v->first >= 0 && v->first < p->n_steps ? p->step[v->first].scope : "";
}

static int by_bytes(const void *a, const void *b)
{
    const atm_value *x = *(const atm_value *const *)a, *y = *(const atm_value *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->t.id - y->t.id;
}

static void print_value(const atm_plan *p, const atm_value *v, FILE *to)
{
    char life[32];
    int last = v->last == FOREVER ? p->n_steps : v->last;
    snprintf(life, sizeof life, "%d..%d", v->first, last);
    fprintf(to, "%10.2f  %10.2f  %-11s  %-22s  %s\n", (double)v->bytes / 0x1p20, (double)v->offset / 0x1p20, life,
            plan_shape_text(v->t), name_of(p, v));
}

void atm_plan_print_memory(const atm_plan *p, FILE *to, int largest)
{
    atm_plan_stats s = atm_plan_get_stats(p);
    fprintf(to, "block %.2f MiB (without reuse %.2f), of it workspace %.2f; parameters %.2f MiB\n",
            (double)s.block_bytes / 0x1p20, (double)s.tensor_bytes / 0x1p20, (double)s.workspace_bytes / 0x1p20,
            (double)s.param_bytes / 0x1p20);
    const atm_value **sorted = malloc((size_t)p->n_values * sizeof *sorted);
    if (!sorted) return;
    int n = 0;
    for (int i = 1; i < p->n_values; i++)
        if (p->value[i].kind != VALUE_PARAM && p->value[i].first != FOREVER) sorted[n++] = &p->value[i];
    qsort(sorted, (size_t)n, sizeof *sorted, by_bytes);
    if (largest) fprintf(to, "%10s  %10s  %-11s  %-22s  %s\n", "MiB", "at MiB", "steps", "shape", "made in");
    for (int i = 0; i < n && i < largest; i++) print_value(p, sorted[i], to);
    free(sorted);
}

/* ------------------------------------------------------------------ steps */

static void print_tensors(const atm_op_args *a, int from, int to_index, FILE *to)
{
    for (int k = from; k < to_index; k++)
        if (a->t[k].id) fprintf(to, " %%%d%s", a->t[k].id, plan_shape_text(a->t[k]));
}

void atm_plan_print_steps(const atm_plan *p, FILE *to)
{
    for (int i = 0; i < p->n_steps; i++) {
        const atm_step *s = &p->step[i];
        const atm_op_info *info = &atm_op_table[s->op];
        fprintf(to, "%c%5d  %-18s", i < p->n_prologue ? 'p' : ' ', i, info->name);
        print_tensors(&s->args, info->n_in, plan_n_tensors(s->op), to);
        fprintf(to, " =");
        print_tensors(&s->args, 0, info->n_in, to);
        fprintf(to, "  # %s\n", s->scope);
    }
}

/* ------------------------------------------------------------------ profile */

typedef struct { const char *name; int calls; double seconds, flops, bytes; } tally;

static int by_seconds(const void *a, const void *b)
{
    double x = ((const tally *)a)->seconds, y = ((const tally *)b)->seconds;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void print_tally(tally *t, int n, int most, double total, FILE *to)
{
    qsort(t, (size_t)n, sizeof *t, by_seconds);
    for (int i = 0; i < n && i < most && t[i].seconds > 0; i++)
        fprintf(to, "%9.3f ms  %5.1f %%  %6d  %8.1f GFLOP/s  %7.1f GB/s  %s\n", 1e3 * t[i].seconds,
                100 * t[i].seconds / total, t[i].calls, 1e-9 * t[i].flops / t[i].seconds,
                1e-9 * t[i].bytes / t[i].seconds, t[i].name);
}

static void count_step(tally *t, const atm_plan *p, const atm_step *s)
{
    t->calls++;
    t->seconds += s->seconds / (double)p->runs;
    t->flops += atm_op_flops(s->op, &s->args);
    t->bytes += atm_op_bytes(s->op, &s->args);
}

void atm_plan_print_profile(const atm_plan *p, FILE *to)
{
    tally by_op[ATM_OP_COUNT] = { 0 };
    double total = 0;
    if (!p->runs) return;
    for (int i = p->n_prologue; i < p->n_steps; i++) {
        by_op[p->step[i].op].name = atm_op_table[p->step[i].op].name;
        count_step(&by_op[p->step[i].op], p, &p->step[i]);
        total += p->step[i].seconds / (double)p->runs;
    }
    fprintf(to, "%.3f ms a run, by op:\n", 1e3 * total);
    print_tally(by_op, ATM_OP_COUNT, ATM_OP_COUNT, total, to);
    tally *by_step = calloc((size_t)p->n_steps, sizeof *by_step);
    if (!by_step) return;
    for (int i = p->n_prologue; i < p->n_steps; i++) {
        by_step[i].name = p->step[i].scope;
        count_step(&by_step[i], p, &p->step[i]);
    }
    fprintf(to, "slowest steps:\n");
    print_tally(by_step, p->n_steps, 20, total, to);
    free(by_step);
}
