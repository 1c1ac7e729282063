#include "io/pickle_machine.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_VALUES = 1 << 22 };

typedef atm_pickle_value value;
typedef atm_pickle_vector vector;
typedef atm_pickle_machine machine;

bool atm_pickle_fail(machine *m, const char *reason)
{
    m->status = atm_fail(ATM_E_DATA, "pickle, byte %zu: %s", (size_t)(m->p - m->start), reason);
    return false;
}

static bool no_memory(machine *m)
{
    m->status = atm_fail(ATM_E_MEMORY, "no memory for a pickle");
    return false;
}

const unsigned char *atm_pickle_take(machine *m, uint64_t bytes)
{
    const unsigned char *p = m->p;
    if ((uint64_t)(m->end - p) < bytes) {
        atm_pickle_fail(m, "truncated");
        return NULL;
    }
    m->p += bytes;
    return p;
}

/* A little-endian unsigned number of 1, 2, 4 or 8 bytes. */
bool atm_pickle_number(machine *m, int bytes, uint64_t *out)
{
    const unsigned char *p = atm_pickle_take(m, (uint64_t)bytes);
    *out = 0;
    if (!p) return false;
    for (int i = bytes - 1; i >= 0; i--) *out = *out << 8 | p[i];
    return true;
}

static bool vector_push(machine *m, vector *v, value *item)
{
    if (v->n == v->capacity) {
        size_t capacity = v->capacity ? v->capacity * 2 : 256;
        value **bigger = realloc(v->item, capacity * sizeof *bigger);
        if (!bigger) return no_memory(m);
        v->item = bigger;
        v->capacity = capacity;
    }
    v->item[v->n++] = item;
    return true;
}

bool atm_pickle_push(machine *m, value *item) { return item && vector_push(m, &m->stack, item); }

static bool is_mark(const value *v) { return v->kind == ATM_PICKLE_MARK; }

/* Are the top n entries values? */
bool atm_pickle_have(machine *m, size_t n)
{
    if (m->stack.n < n) return atm_pickle_fail(m, "empty stack");
    for (size_t i = m->stack.n - n; i < m->stack.n; i++)
        if (is_mark(m->stack.item[i])) return atm_pickle_fail(m, "empty stack");
    return true;
}

value *atm_pickle_top(machine *m) { return atm_pickle_have(m, 1) ? m->stack.item[m->stack.n - 1] : NULL; }

value *atm_pickle_pop(machine *m)
{
    value *v = atm_pickle_top(m);
    if (v) m->stack.n--;
    return v;
}

/* How many values lie above the topmost mark. */
bool atm_pickle_count_above_mark(machine *m, size_t *n)
{
    for (*n = 0; *n < m->stack.n; ++*n)
        if (is_mark(m->stack.item[m->stack.n - 1 - *n])) return true;
    return atm_pickle_fail(m, "no mark");
}

value *atm_pickle_new_value(machine *m, atm_pickle_kind kind)
{
    value *v = NULL;
    if (m->values++ == MAX_VALUES) atm_pickle_fail(m, "more than 4 million values");
    else if (!(v = atm_arena_alloc(m->arena, 1, sizeof *v))) no_memory(m);
    else v->kind = kind;
    return v;
}

value *atm_pickle_push_new(machine *m, atm_pickle_kind kind)
{
    value *v = atm_pickle_new_value(m, kind);
    return atm_pickle_push(m, v) ? v : NULL;
}

/* Appends items to a list, dict or tuple.  Room doubles, so all growth together
 * costs at most twice the final size. */
bool atm_pickle_extend(machine *m, value *to, value *const *item, size_t n)
{
    if (to->capacity - to->n < n) {
        size_t capacity = to->n + n > 2 * to->capacity ? to->n + n : 2 * to->capacity;
        value **bigger = atm_arena_alloc(m->arena, capacity, sizeof *bigger);
        if (!bigger) return no_memory(m);
        if (to->n) memcpy(bigger, to->item, to->n * sizeof *bigger);
        to->item = bigger;
        to->capacity = capacity;
    }
    if (n) memcpy(to->item + to->n, item, n * sizeof *item);
    to->n += n;
    return true;
}

/* Picklers number the memo from 0 on; insisting keeps it as small as the pickle. */
bool atm_pickle_remember(machine *m, uint64_t index)
{
    value *v = atm_pickle_top(m);
    if (!v) return false;
    if (index > m->memo.n) return atm_pickle_fail(m, "memo numbers with a gap");
    if (index == m->memo.n) return vector_push(m, &m->memo, v);
    m->memo.item[index] = v;
    return true;
}
