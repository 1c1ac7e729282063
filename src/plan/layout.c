/* layout.c - one block of memory: tensors that never live together share it.
 *
 * Greedy, largest first, each at the lowest offset that is free during its
 * whole life.  On our networks it ends within a few percent of the largest sum
 * of live tensors, which is the lower bound. */
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "plan/internal.h"

enum { ALIGN = 256 };

static void touch(atm_plan *p, atm_tensor t, int step)
{
    atm_value *v = &p->value[t.id];
    if (step < v->first) v->first = step;
    if (step > v->last) v->last = step;
}

/* Inputs live always: the caller writes them between runs, and state stays.
 * What the prologue leaves to the steps lives for ever after. */
static void find_lifetimes(atm_plan *p)
{
    for (int i = 0; i < p->n_steps; i++)
        for (int k = 0; k < plan_n_tensors(p->step[i].op); k++)
            if (p->step[i].args.t[k].id) touch(p, p->step[i].args.t[k], i);
    for (int i = 1; i < p->n_values; i++) {
        atm_value *v = &p->value[i];
        bool outlives_prologue = v->first < p->n_prologue && v->last >= p->n_prologue;
        if (v->kind == VALUE_INPUT) v->first = BEFORE_ALL;
        if (v->kind == VALUE_INPUT || v->keep || outlives_prologue) v->last = FOREVER;
    }
}

static bool needs_memory(const atm_value *v)
{
    return v->kind == VALUE_INPUT || (v->kind == VALUE_RESULT && v->first != FOREVER);
}

static int by_size(const void *a, const void *b)
{
    const atm_value *x = *(atm_value *const *)a, *y = *(atm_value *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->t.id - y->t.id;
}

static size_t aligned(size_t bytes) { return (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1); }

static bool live_together(const atm_value *a, const atm_value *b) { return a->first <= b->last && b->first <= a->last; }

/* The lowest gap among `placed`, which is sorted by offset. */
static size_t find_gap(const atm_plan *p, atm_value *const *placed, int n, const atm_value *v)
{
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        const atm_value *other = placed[i];
        if (!p->options.no_reuse && !live_together(v, other)) continue;
        if (other->offset >= at + aligned(v->bytes)) break;
        size_t end = other->offset + aligned(other->bytes);
        if (end > at) at = end;
    }
    return at;
}

static void insert_by_offset(atm_value **placed, int n, atm_value *v)
{
    int i = n;
    for (; i > 0 && placed[i - 1]->offset > v->offset; i--) placed[i] = placed[i - 1];
    placed[i] = v;
}

static bool place_all(atm_plan *p, atm_value **todo, atm_value **placed, int n)
{
    for (int i = 0; i < n; i++) {
        atm_value *v = todo[i];
        size_t end;
        v->offset = find_gap(p, placed, i, v);
        if (!atm_add_size(v->offset, aligned(v->bytes), &end)) return false;
        insert_by_offset(placed, i, v);
        if (end > p->block_bytes) p->block_bytes = end;
        p->tensor_bytes += v->bytes;
    }
    return true;
}

atm_status plan_layout(atm_plan *p)
{
    find_lifetimes(p);
    atm_value **todo = malloc(2 * (size_t)p->n_values * sizeof *todo);
    if (!todo) return atm_fail(ATM_E_MEMORY, "no memory to lay out a plan");
    int n = 0;
    for (int i = 1; i < p->n_values; i++)
        if (needs_memory(&p->value[i])) todo[n++] = &p->value[i];
    qsort(todo, (size_t)n, sizeof *todo, by_size);
    bool fits = place_all(p, todo, todo + p->n_values, n);
    free(todo);
    return fits ? ATM_OK : atm_fail(ATM_E_MEMORY, "the tensors of the plan exceed the address space");
}
