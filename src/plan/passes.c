/* passes.c - what happens to the list of steps before memory is laid out. */
#include <stdlib.h>
#include <string.h>

#include "plan/internal.h"

/* ------------------------------------------------------------------ dead steps */

/* Marks what step s reads and drops its outputs nobody reads; false: no output
 * is left.  A copy into state counts as read: it outlives the run. */
static bool keep_step(atm_step *s, bool *live)
{
    int n_in = atm_op_table[s->op].n_in;
    bool used = s->op == ATM_OP_copy;
    for (int k = n_in; k < plan_n_tensors(s->op); k++) used |= live[s->args.t[k].id];
    if (!used) return false;
    for (int k = n_in; k < plan_n_tensors(s->op) && s->op != ATM_OP_copy; k++)
        if (!live[s->args.t[k].id]) s->args.t[k] = ATM_NONE;
    for (int k = 0; k < n_in; k++)
        if (s->args.t[k].id) live[s->args.t[k].id] = true;
    return true;
}

atm_status plan_remove_dead_steps(atm_plan *p)
{
    bool *live = calloc((size_t)p->n_values, sizeof *live);
    if (!live) return atm_fail(ATM_E_MEMORY, "no memory to prune a plan");
    for (int i = 1; i < p->n_values; i++) live[i] = p->value[i].keep;
    int kept = p->n_steps;
    for (int i = p->n_steps - 1; i >= 0; i--)       /* survivors gather at the end */
        if (keep_step(&p->step[i], live)) p->step[--kept] = p->step[i];
    p->n_removed = kept;
    p->n_steps -= kept;
    memmove(p->step, p->step + kept, (size_t)p->n_steps * sizeof *p->step);
    free(live);
    return ATM_OK;
}

/* ------------------------------------------------------------------ hoisting */

static bool step_varies(const atm_plan *p, const atm_step *s)
{
    for (int k = 0; k < atm_op_table[s->op].n_in; k++)
        if (p->value[s->args.t[k].id].varies) return true;
    return false;
}

static void mark_what_varies(atm_plan *p)
{
    for (int i = 0; i < p->n_steps; i++) {
        const atm_step *s = &p->step[i];
        bool varies = step_varies(p, s);
        for (int k = atm_op_table[s->op].n_in; k < plan_n_tensors(s->op); k++)
            if (s->args.t[k].id) p->value[s->args.t[k].id].varies |= varies;
    }
}

/* State changes when all else is done: a step that reads it and was appended
 * after the assignment still means the value of this run. */
typedef enum { IN_PROLOGUE, IN_RUN, AT_THE_END, N_PLACES } step_place;

static step_place place_of(const atm_plan *p, const atm_step *s)
{
    return s->op == ATM_OP_copy ? AT_THE_END : step_varies(p, s) ? IN_RUN : IN_PROLOGUE;
}

/* Steps that depend on nothing that varies move to the front, in order: the
 * prologue.  In generation that is the keys and values of both contexts and the
 * time-embedding projections of all sampler steps. */
atm_status plan_hoist(atm_plan *p)
{
    size_t bytes = (size_t)p->n_steps * sizeof *p->step;
    atm_step *as_built = malloc(bytes + 1);
    if (!as_built) return atm_fail(ATM_E_MEMORY, "no memory to order a plan");
    if (bytes) memcpy(as_built, p->step, bytes);
    mark_what_varies(p);
    int n = 0;
    for (int place = 0; place < N_PLACES; place++) {
        for (int i = 0; i < p->n_steps; i++)
            if ((int)place_of(p, &as_built[i]) == place) p->step[n++] = as_built[i];
        if (place == IN_PROLOGUE) p->n_prologue = n;
    }
    free(as_built);
    return ATM_OK;
}
