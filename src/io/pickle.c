/* pickle.c - the steps of the stack machine: a table by opcode, a few lines each. */
#include "io/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "io/pickle_machine.h"

enum { MAX_NAME = 200 };

typedef atm_pickle_value value;
typedef atm_pickle_machine machine;
typedef struct { const char *text; size_t n; } slice;

/* ------------------------------------------------------------- plain values */


typedef bool step(machine *m, int arg);

static bool do_protocol(machine *m, int arg)
{
    uint64_t version;
    (void)arg;
    if (!atm_pickle_number(m, 1, &version)) return false;
    return (version >= 2 && version <= 5) || atm_pickle_fail(m, "unknown protocol");
}

static bool do_frame(machine *m, int arg)
{
    (void)arg;
    return atm_pickle_take(m, 8) != NULL;
}

/* Also the empty tuple, list and dict. */
static bool do_new(machine *m, int kind) { return atm_pickle_push_new(m, (atm_pickle_kind)kind) != NULL; }

static bool do_bool(machine *m, int arg)
{
    value *v = atm_pickle_push_new(m, ATM_PICKLE_BOOL);
    if (v) v->integer = arg;
    return v != NULL;
}

/* Of 1, 2 or 4 bytes; only the widest is signed. */
static bool do_int(machine *m, int bytes)
{
    uint64_t bits;
    value *v = atm_pickle_number(m, bytes, &bits) ? atm_pickle_push_new(m, ATM_PICKLE_INT) : NULL;
    if (v) v->integer = bytes == 4 ? (int32_t)(uint32_t)bits : (int64_t)bits;
    return v != NULL;
}

/* The `width`-byte length and that many bytes after it. */
static value *push_slice(machine *m, int width, atm_pickle_kind kind)
{
    uint64_t bytes;
    if (!atm_pickle_number(m, width, &bytes)) return NULL;
    const char *text = (const char *)atm_pickle_take(m, bytes);
    value *v = text ? atm_pickle_push_new(m, kind) : NULL;
    if (!v) return NULL;
    v->text = text;
    v->n = (size_t)bytes;
    return v;
}

static bool do_text(machine *m, int width) { return push_slice(m, width, ATM_PICKLE_TEXT) != NULL; }

static int64_t sign_extended(const unsigned char *p, size_t bytes)
{
    uint64_t bits = bytes && p[bytes - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = bytes; i-- > 0; ) bits = bits << 8 | p[i];
    return (int64_t)bits;
}

static bool do_long(machine *m, int width)
{
    value *v = push_slice(m, width, ATM_PICKLE_LONG);
    if (!v || v->n > 8) return v != NULL;
    v->kind = ATM_PICKLE_INT;
    v->integer = sign_extended((const unsigned char *)v->text, v->n);
    return true;
}

static bool do_real(machine *m, int arg)
{
    uint64_t bits = 0;
    const unsigned char *p = atm_pickle_take(m, 8);
    value *v = p ? atm_pickle_push_new(m, ATM_PICKLE_REAL) : NULL;
    (void)arg;
    if (!v) return false;
    for (int i = 0; i < 8; i++) bits = bits << 8 | p[i];        /* the one big-endian number */
    memcpy(&v->real, &bits, sizeof bits);
    return true;
}

/* --------------------------------------------------------- containers */

static bool do_mark(machine *m, int arg)
{
    static value mark = { .kind = ATM_PICKLE_MARK };
    (void)arg;
    return atm_pickle_push(m, &mark);
}

static bool do_pop(machine *m, int arg)
{
    (void)arg;
    if (!m->stack.n) return atm_pickle_fail(m, "empty stack");
    m->stack.n--;
    return true;
}

static bool do_pop_mark(machine *m, int arg)
{
    size_t n;
    (void)arg;
    if (!atm_pickle_count_above_mark(m, &n)) return false;
    m->stack.n -= n + 1;
    return true;
}

/* The top n values, and `marks` below them, become one value. */
static bool collect(machine *m, atm_pickle_kind kind, size_t n, size_t marks)
{
    value *made = atm_pickle_new_value(m, kind);
    if (!made || !atm_pickle_extend(m, made, m->stack.item + m->stack.n - n, n)) return false;
    m->stack.n -= n + marks;
    return atm_pickle_push(m, made);
}

static bool do_tuple(machine *m, int n)
{
    return atm_pickle_have(m, (size_t)n) && collect(m, ATM_PICKLE_TUPLE, (size_t)n, 0);
}

static bool do_collect(machine *m, int kind)
{
    size_t n;
    if (!atm_pickle_count_above_mark(m, &n)) return false;
    if (kind == ATM_PICKLE_DICT && n % 2) return atm_pickle_fail(m, "a key without value");
    return collect(m, (atm_pickle_kind)kind, n, 1);
}

/* Moves the top n values into the container below them and `marks`. */
static bool move_into(machine *m, int kind, size_t n, size_t marks)
{
    size_t taken = n + marks;
    value *to = m->stack.n > taken ? m->stack.item[m->stack.n - taken - 1] : NULL;
    if (!to || (int)to->kind != kind) return atm_pickle_fail(m, "no list or dict to add to");
    if (kind == ATM_PICKLE_DICT && n % 2) return atm_pickle_fail(m, "a key without value");
    if (!atm_pickle_extend(m, to, m->stack.item + m->stack.n - n, n)) return false;
    m->stack.n -= taken;
    return true;
}

static bool do_add_one(machine *m, int kind)
{
    size_t n = kind == ATM_PICKLE_DICT ? 2 : 1;
    return atm_pickle_have(m, n) && move_into(m, kind, n, 0);
}

static bool do_add_many(machine *m, int kind)
{
    size_t n;
    return atm_pickle_count_above_mark(m, &n) && move_into(m, kind, n, 1);
}

/* ----------------------------------------------------------- the memo */

static bool do_put(machine *m, int width)
{
    uint64_t index;
    return atm_pickle_number(m, width, &index) && atm_pickle_remember(m, index);
}

static bool do_memoize(machine *m, int arg)
{
    (void)arg;
    return atm_pickle_remember(m, m->memo.n);
}

static bool do_get(machine *m, int width)
{
    uint64_t index;
    if (!atm_pickle_number(m, width, &index)) return false;
    if (index >= m->memo.n) return atm_pickle_fail(m, "unknown memo number");
    return atm_pickle_push(m, m->memo.item[index]);
}

/* ------------------------------------------------- what could be evil */

static bool name_is(const char *full, slice module, slice name)
{
    return strlen(full) == module.n + 1 + name.n && memcmp(full, module.text, module.n) == 0 &&
           full[module.n] == '.' && memcmp(full + module.n + 1, name.text, name.n) == 0;
}

/* For a message: the file must not be able to send control codes to a terminal. */
static void append_printable(char *to, size_t *at, slice text)
{
    for (size_t i = 0; i < text.n && *at < MAX_NAME - 1; i++)
        to[(*at)++] = text.text[i] >= ' ' && text.text[i] <= '~' ? text.text[i] : '?';
    to[*at] = '\0';
}

static bool refuse_name(machine *m, slice module, slice name)
{
    char text[MAX_NAME];
    size_t at = 0;
    append_printable(text, &at, module);
    append_printable(text, &at, (slice){ ".", 1 });
    append_printable(text, &at, name);
    m->status = atm_fail(ATM_E_DATA, "refuses %s: no tensor needs it (save the state_dict alone)", text);
    return false;
}

static bool push_global(machine *m, slice module, slice name)
{
    size_t i = 0;
    while (i < m->n_allowed && !name_is(m->allowed[i].name, module, name)) i++;
    if (i == m->n_allowed) return refuse_name(m, module, name);
    value *v = atm_pickle_push_new(m, ATM_PICKLE_GLOBAL);
    if (v) v->global = (uint16_t)i;
    return v != NULL;
}

static bool take_line(machine *m, slice *out)
{
    const unsigned char *first = m->p, *newline = memchr(first, '\n', (size_t)(m->end - first));
    if (!newline) return atm_pickle_fail(m, "truncated");
    *out = (slice){ (const char *)first, (size_t)(newline - first) };
    m->p = newline + 1;
    return true;
}

static bool do_global(machine *m, int arg)
{
    slice module, name;
    (void)arg;
    return take_line(m, &module) && take_line(m, &name) && push_global(m, module, name);
}

static bool do_stack_global(machine *m, int arg)
{
    (void)arg;
    if (!atm_pickle_have(m, 2)) return false;
    const value *name = atm_pickle_pop(m), *module = atm_pickle_pop(m);
    if (module->kind != ATM_PICKLE_TEXT || name->kind != ATM_PICKLE_TEXT)
        return atm_pickle_fail(m, "a name that is no text");
    return push_global(m, (slice){ module->text, module->n }, (slice){ name->text, name->n });
}

static bool do_call(machine *m, int arg)
{
    (void)arg;
    if (!atm_pickle_have(m, 2)) return false;
    const value *args = atm_pickle_pop(m), *function = atm_pickle_pop(m);
    if (function->kind != ATM_PICKLE_GLOBAL || args->kind != ATM_PICKLE_TUPLE)
        return atm_pickle_fail(m, "a call of no function");
    const atm_pickle_global *global = &m->allowed[function->global];
    bool dict = global->use == ATM_PICKLE_MAKES_DICT;
    if (global->use == ATM_PICKLE_MERE_NAME || (dict && args->n)) {
        m->status = atm_fail(ATM_E_DATA, "refuses to call %s with %zu arguments", global->name, args->n);
        return false;
    }
    value *made = atm_pickle_push_new(m, dict ? ATM_PICKLE_DICT : ATM_PICKLE_CALL);
    if (made) made->global = function->global;
    return made && atm_pickle_extend(m, made, args->item, args->n);
}

/* "Set these attributes": state_dicts carry a _metadata that nobody needs. */
static bool do_build(machine *m, int arg)
{
    (void)arg;
    if (!atm_pickle_have(m, 2)) return false;
    atm_pickle_pop(m);
    atm_pickle_kind kind = atm_pickle_top(m)->kind;
    return kind == ATM_PICKLE_DICT || kind == ATM_PICKLE_CALL || atm_pickle_fail(m, "state of no object");
}

static bool do_persistent(machine *m, int arg)
{
    (void)arg;
    if (!atm_pickle_have(m, 1) || !collect(m, ATM_PICKLE_PERSISTENT, 1, 0)) return false;
    value *v = atm_pickle_top(m);
    v->next = m->persistent;
    m->persistent = v;
    return true;
}

static bool do_stop(machine *m, int arg)
{
    (void)arg;
    m->stopped = true;
    return atm_pickle_have(m, 1);
}

/* ------------------------------------------------------------------ the table */

static const struct { step *run; int arg; } opcode[256] = {
    [0x80] = { do_protocol, 0 },  [0x95] = { do_frame, 0 },    ['.']  = { do_stop, 0 },
    ['N']  = { do_new, ATM_PICKLE_NONE },
    [0x88] = { do_bool, 1 },      [0x89] = { do_bool, 0 },
    ['K']  = { do_int, 1 },       ['M']  = { do_int, 2 },      ['J']  = { do_int, 4 },
    [0x8a] = { do_long, 1 },      [0x8b] = { do_long, 4 },     ['G']  = { do_real, 0 },
    ['U']  = { do_text, 1 },      ['T']  = { do_text, 4 },                               /* Python 2 str */
    [0x8c] = { do_text, 1 },      ['X']  = { do_text, 4 },     [0x8d] = { do_text, 8 },  /* str */
    ['C']  = { do_text, 1 },      ['B']  = { do_text, 4 },     [0x8e] = { do_text, 8 },  /* bytes */
    ['(']  = { do_mark, 0 },      ['0']  = { do_pop, 0 },      ['1']  = { do_pop_mark, 0 },
    [0x85] = { do_tuple, 1 },     [0x86] = { do_tuple, 2 },    [0x87] = { do_tuple, 3 },
    [')']  = { do_new, ATM_PICKLE_TUPLE },    ['t'] = { do_collect, ATM_PICKLE_TUPLE },
    [']']  = { do_new, ATM_PICKLE_LIST },     ['l'] = { do_collect, ATM_PICKLE_LIST },
    ['a']  = { do_add_one, ATM_PICKLE_LIST }, ['e'] = { do_add_many, ATM_PICKLE_LIST },
    ['}']  = { do_new, ATM_PICKLE_DICT },     ['d'] = { do_collect, ATM_PICKLE_DICT },
    ['s']  = { do_add_one, ATM_PICKLE_DICT }, ['u'] = { do_add_many, ATM_PICKLE_DICT },
    ['q']  = { do_put, 1 },       ['r']  = { do_put, 4 },      [0x94] = { do_memoize, 0 },
    ['h']  = { do_get, 1 },       ['j']  = { do_get, 4 },
    ['c']  = { do_global, 0 },    [0x93] = { do_stack_global, 0 },
    ['R']  = { do_call, 0 },      [0x81] = { do_call, 0 },     ['b']  = { do_build, 0 },
    ['Q']  = { do_persistent, 0 },
};

static bool run_step(machine *m)
{
    const unsigned char *p = atm_pickle_take(m, 1);
    if (!p) return false;
    if (opcode[*p].run) return opcode[*p].run(m, opcode[*p].arg);
    m->status = atm_fail(ATM_E_DATA, "pickle, byte %zu: refuses opcode 0x%02x", (size_t)(p - m->start), *p);
    return false;
}

atm_status atm_pickle_read(const void *bytes, size_t size, const atm_pickle_global *allowed, size_t n_allowed,
                           atm_arena *arena, atm_pickle *out)
{
    const unsigned char *p = bytes;
    machine m = { .start = p, .p = p, .end = p + size, .allowed = allowed, .n_allowed = n_allowed,
                  .arena = arena };
    while (!m.stopped && run_step(&m)) continue;
    if (m.status == ATM_OK)
        *out = (atm_pickle){ m.stack.item[m.stack.n - 1], m.persistent, (size_t)(m.p - m.start) };
    free(m.stack.item);
    free(m.memo.item);
    return m.status;
}

bool atm_pickle_is_text(const atm_pickle_value *v, const char *text)
{
    return v->kind == ATM_PICKLE_TEXT && v->n == strlen(text) && memcmp(v->text, text, v->n) == 0;
}
