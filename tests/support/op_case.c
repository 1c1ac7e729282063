#include "support/op_case.h"

#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"

/* ------------------------------------------------------------------ variables */

typedef struct { char name[16]; double value; bool used; } variable;

typedef struct {
    variable item[64];
    int n;
    int rank, shape[ATM_MAX_RANK];
    const char *error;
} variables;

static variable *find(variables *v, const char *name)
{
    for (int i = 0; i < v->n; i++)
        if (strcmp(v->item[i].name, name) == 0) return &v->item[i];
    return NULL;
}

static void set(variables *v, const char *name, double value, bool used)
{
    variable *old = find(v, name);
    if (!old && v->n == (int)(sizeof v->item / sizeof *v->item)) { v->error = "too many keys"; return; }
    variable *to = old ? old : &v->item[v->n++];
    snprintf(to->name, sizeof to->name, "%s", name);
    to->value = value;
    to->used |= used;
}

static double get_or(variables *v, const char *name, double otherwise)
{
    variable *found = find(v, name);
    if (!found) return otherwise;
    found->used = true;
    return found->value;
}

static int get(variables *v, const char *name)
{
    if (isdigit((unsigned char)*name)) return atoi(name);
    if (!find(v, name)) v->error = "a size is missing";
    return (int)get_or(v, name, 1);
}

/* ------------------------------------------------------------------ the line */

/* "2x5x24" -> 2 5 24.  Not by strtod alone: it takes 0x3 for a hexadecimal number. */
static int numbers(const char *text, double *out, int most)
{
    char copy[64], *at = copy, *end;
    int n = 0;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *s = copy; *s; s++) if (*s == 'x') *s = ' ';
    for (; n < most; n++, at = end) {
        out[n] = strtod(at, &end);
        if (end == at) break;
    }
    return n;
}

static void set_pair(variables *v, const char *first, const char *second, const double *x, int n)
{
    set(v, first, x[0], false);
    set(v, second, x[n > 1], false);
}

static void set_shape(variables *v, const double *x, int n)
{
    v->rank = n;
    for (int i = 0; i < n; i++) v->shape[i] = (int)x[i];
}

static void set_key(variables *v, const char *key, const char *text)
{
    static const char *const pair[][3] = {
        { "k", "k_h", "k_w" }, { "stride", "stride_h", "stride_w" }, { "dil", "dil_h", "dil_w" },
        { "pad", "pad_top", "pad_left" }, { "end", "pad_bottom", "pad_right" },
    };
    double x[ATM_MAX_RANK];
    int n = numbers(text, x, ATM_MAX_RANK);
    if (strcmp(key, "act") == 0) { set(v, "act", op_act_by_name(text), false); return; }
    if (n == 0) { v->error = "a value is not a number"; return; }
    if (strcmp(key, "shape") == 0) { set_shape(v, x, n); return; }
    for (size_t i = 0; i < sizeof pair / sizeof *pair; i++)
        if (strcmp(key, pair[i][0]) == 0) { set_pair(v, pair[i][1], pair[i][2], x, n); return; }
    set(v, key, x[0], false);
}

static void read_words(variables *v, char *words)
{
    char *rest = NULL;
    for (char *word = strtok_r(words, " \t\r\n", &rest); word; word = strtok_r(NULL, " \t\r\n", &rest)) {
        char *equals = strchr(word, '=');
        if (equals) *equals = '\0';
        if (equals) set_key(v, word, equals + 1);
        else set(v, word, 1, false);
    }
}

/* ------------------------------------------------------------------ derived sizes */

static void derive_from_shape(variables *v)
{
    int last = v->rank - 1, c = v->shape[last], rows = 1;
    for (int i = 0; i < last; i++) rows *= v->shape[i];
    int axis = (int)get_or(v, "axis", last);
    set(v, "axis", axis, true);
    set(v, "n", v->shape[0], true);
    set(v, "c", c, true);
    set(v, "rows", rows, true);
    set(v, "half", c / 2, true);
    set(v, "last", get_or(v, "last", v->rank), true);
    set(v, "total", v->shape[axis] + get_or(v, "more", 0), true);
    bool transposed = get_or(v, "transposed", 0) != 0;
    double out = get_or(v, "out", 1);
    set(v, "w0", transposed ? c : out, true);
    set(v, "w1", transposed ? out : c, true);
}

static int conv_size(int in, int k, int stride, int dil, double pads)
{
    return (in + (int)pads - dil * (k - 1) - 1) / stride + 1;
}

static void derive_conv(variables *v)
{
    double top = get_or(v, "pad_top", 0), left = get_or(v, "pad_left", 0);
    double bottom = get_or(v, "pad_bottom", top), right = get_or(v, "pad_right", left);
    set(v, "p", conv_size(get(v, "h"), get(v, "k_h"), (int)get_or(v, "stride_h", 1),
                          (int)get_or(v, "dil_h", 1), top + bottom), true);
    set(v, "q", conv_size(get(v, "w"), get(v, "k_w"), (int)get_or(v, "stride_w", 1),
                          (int)get_or(v, "dil_w", 1), left + right), true);
}

static void derive(variables *v)
{
    static const char *const ones[] = { "n", "h", "w" };
    for (size_t i = 0; i < sizeof ones / sizeof *ones; i++)
        if (!find(v, ones[i])) set(v, ones[i], 1, true);
    if (v->rank) derive_from_shape(v);
    if (find(v, "k_h")) derive_conv(v);
    if (find(v, "lq") && find(v, "d")) set(v, "c", get(v, "heads") * get(v, "d"), true);
    if (find(v, "lq") && !find(v, "scale")) set(v, "scale", (float)(1 / sqrt(get(v, "d"))), true);
}

/* ------------------------------------------------------------------ shapes */

static void shape_dims(atm_tensor *t, variables *v, const char *dims)
{
    int last = dims[0] == 'L' ? get(v, dims + 2) : v->rank;
    t->rank = last;
    for (int i = 0; i < last; i++) t->dim[i] = v->shape[v->rank - last + i];
    if (dims[0] == 'S' && dims[1] == '/') t->dim[get(v, "axis")] = get(v, dims + 2);
    if (dims[0] == 'T') {
        t->dim[last - 2] = v->shape[last - 1];
        t->dim[last - 1] = v->shape[last - 2];
    }
}

static void list_dims(atm_tensor *t, variables *v, char *dims)
{
    char *rest = NULL;
    for (char *d = strtok_r(dims, ",", &rest); d; d = strtok_r(NULL, ",", &rest))
        t->dim[t->rank++] = get(v, d);
}

static void make_tensor(atm_tensor *t, variables *v, atm_op op, int slot)
{
    op_slot s = op_slot_of(op, slot);
    if (*s.flag && get_or(v, s.flag, 0) == 0) return;
    *t = (atm_tensor){ .id = slot + 1, .dtype = s.fill == OP_FILL_INDEX ? ATM_I32 : ATM_F32,
                       .constant = s.fill == OP_FILL_PARAM && !get_or(v, "trainable", 0) };
    if (strchr("STL", s.dims[0])) shape_dims(t, v, s.dims);
    else list_dims(t, v, s.dims);
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i] < 1) v->error = "a dimension is not positive";
}

static void set_scalars(variables *v, op_case *c)
{
    for (int i = 0; i < op_n_scalars; i++)
        if (op_scalars[i].op == c->op)
            op_scalar_set(&op_scalars[i], &c->args, get_or(v, op_scalars[i].name, op_scalars[i].otherwise));
    if (c->op == op_forward_of(c->op)) return;
    get_or(v, "act", 0);                    /* a gradient op may do without these */
    get_or(v, "eps", 0);
}

static void check_all_used(variables *v)
{
    static _Thread_local char text[64];
    for (int i = 0; i < v->n; i++)
        if (!v->item[i].used) {
            snprintf(text, sizeof text, "unknown key '%s'", v->item[i].name);
            v->error = text;
        }
}

const char *op_case_parse(const char *line, op_case *out)
{
    char words[OP_LINE], *name = words;
    variables v = { 0 };
    if (strlen(line) >= OP_LINE) return "the line is too long";
    snprintf(words, sizeof words, "%s", line);
    char *rest = words + strcspn(words, " \t\r\n");
    if (*rest) *rest++ = '\0';
    *out = (op_case){ 0 };
    snprintf(out->line, sizeof out->line, "%.*s", (int)strcspn(line, "\r\n"), line);
    int op = op_by_name(name);
    if (op < 0) return "unknown op";
    out->op = (atm_op)op;
    read_words(&v, rest);
    if (!v.error) derive(&v);
    out->bench = get_or(&v, "bench", 0) != 0;
    out->offset = get_or(&v, "offset", 0);
    out->gain = get_or(&v, "gain", 1);
    get_or(&v, "trainable", 0);
    for (int i = 0; i < op_n_slots(out->op) && !v.error; i++) make_tensor(&out->args.t[i], &v, out->op, i);
    if (!v.error) set_scalars(&v, out);
    if (!v.error) check_all_used(&v);
    return v.error;
}

/* ------------------------------------------------------------------ inputs */

bool op_is_output(atm_op op, int slot) { return slot >= atm_op_table[op].n_in; }

static uint32_t hash_line(const char *s)                /* FNV-1a */
{
    uint32_t h = 2166136261u;
    for (; *s; s++) h = (h ^ (unsigned char)*s) * 16777619u;
    return h;
}

/* What the case's index picks from: rows of a table, classes. */
static int index_range(const op_case *c)
{
    switch (c->op) {
    case ATM_OP_gather:    return c->args.gather.x.dim[0];
    case ATM_OP_gather_dx: return c->args.gather_dx.dx.dim[0];
    default:               return atm_last_dim(c->args.t[0]);
    }
}

static double element(op_fill fill, double normal, uint32_t word, atm_tensor t, size_t i, int rows)
{
    double fan_in = t.rank > 1 ? (double)atm_count(t) / t.dim[0] : 1;
    switch (fill) {
    case OP_FILL_PARAM:    return (float)(normal / sqrt(fan_in));
    case OP_FILL_INDEX:    return word % (unsigned)rows;
    case OP_FILL_TIME:     return word % 1000u;
    case OP_FILL_MASK:     return i % (size_t)atm_last_dim(t) && word % 3 == 0 ? -10000 : 0;
    case OP_FILL_POSITIVE: return fabs(normal);
    default:               return normal;
    }
}

static atm_status fill_slot(op_case *c, int slot, uint64_t seed)
{
    atm_tensor t = c->args.t[slot];
    op_fill fill = op_slot_of(c->op, slot).fill;
    size_t n = atm_count(t);
    atm_rng rng = { seed, ATM_STREAM_TEST, (uint32_t)slot, hash_line(c->line) };
    float *normal = malloc(n * sizeof *normal);
    c->value[slot] = malloc(n * sizeof *c->value[slot]);
    if (!normal || !c->value[slot]) {
        free(normal);
        return atm_fail(ATM_E_MEMORY, "no memory for %s", c->line);
    }
    atm_normal(rng, normal, n);
    rng.step += 100;
    int rows = index_range(c);
    for (size_t i = 0; i < n; i++) {
        uint32_t word = fill == OP_FILL_NORMAL ? 0 : atm_uint32(rng, (uint32_t)i);
        c->value[slot][i] = element(fill, normal[i], word, t, i, rows);
        if (slot == 0 && fill == OP_FILL_NORMAL) c->value[slot][i] = (float)(c->offset + c->gain * normal[i]);
    }
    free(normal);
    return ATM_OK;
}

/* mean, rstd, lse, y: inputs of a gradient op that must fit the others. */
static atm_status fill_from_forward(op_case *c)
{
    op_case f;
    char line[2 * OP_LINE];
    atm_op forward = op_forward_of(c->op);
    const char *words = c->line + strlen(atm_op_table[c->op].name);
    snprintf(line, sizeof line, "%s%s", atm_op_table[forward].name, words);
    const char *error = op_case_parse(line, &f);
    if (error) return atm_fail(ATM_E_BUG, "%s: %s", line, error);
    for (int i = 0; i < op_n_slots(forward); i++) {
        int same = op_slot_named(c->op, op_slot_of(forward, i).name);
        if (same >= 0 && atm_present(f.args.t[i])) f.args.t[i].data = c->value[same];
        else f.args.t[i] = (atm_tensor){ 0 };
    }
    atm_backend_ref64.kernel[forward].run(&f.args, &(atm_run_env){ 0 });
    for (int i = 0; i < op_n_slots(c->op); i++) {
        size_t n = op_slot_of(c->op, i).fill == OP_FILL_FORWARD ? atm_count(c->args.t[i]) : 0;
        for (size_t k = 0; k < n; k++) c->value[i][k] = (float)c->value[i][k];
    }
    return ATM_OK;
}

atm_status op_case_fill(op_case *c, uint64_t seed)
{
    bool from_forward = false;
    for (int i = 0; i < atm_op_table[c->op].n_in; i++) {
        if (!atm_present(c->args.t[i])) continue;
        from_forward |= op_slot_of(c->op, i).fill == OP_FILL_FORWARD;
        TRY_RETURN(fill_slot(c, i, seed));
    }
    return from_forward ? fill_from_forward(c) : ATM_OK;
}

void op_case_free(op_case *c)
{
    for (int i = 0; i < ATM_MAX_OP_TENSORS; i++) free(c->value[i]);
    memset(c->value, 0, sizeof c->value);
}

/* ------------------------------------------------------------------ files */

static atm_status add_line(op_case_list *list, const char *path, int number, const char *line)
{
    if (line[0] == '#' || line[strspn(line, " \t\r\n")] == '\0') return ATM_OK;
    op_case *more = realloc(list->item, (size_t)(list->n + 1) * sizeof *more);
    if (!more) return atm_fail(ATM_E_MEMORY, "no memory for the cases");
    list->item = more;
    const char *error = op_case_parse(line, &list->item[list->n]);
    if (error) return atm_fail(ATM_E_DATA, "%s:%d: %s: %s", path, number, error, line);
    list->n++;
    return ATM_OK;
}

static atm_status load_file(const char *path, op_case_list *list)
{
    atm_status status = ATM_OK;
    char line[2 * OP_LINE];
    FILE *f = fopen(path, "r");
    if (!f) return atm_fail(ATM_E_NOINPUT, "%s: cannot be read", path);
    for (int number = 1; fgets(line, sizeof line, f); number++) TRY(add_line(list, path, number, line));
done:
    fclose(f);
    return status;
}

static int is_case_file(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && strcmp(dot, ".txt") == 0;
}

atm_status op_cases_load(const char *folder, op_case_list *out)
{
    atm_status status = ATM_OK;
    struct dirent **entry;
    *out = (op_case_list){ 0 };
    int n = scandir(folder, &entry, is_case_file, alphasort);
    if (n < 0) return atm_fail(ATM_E_NOINPUT, "%s: cannot be read", folder);
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entry[i]->d_name);
        if (status == ATM_OK) status = load_file(path, out);
        free(entry[i]);
    }
    free(entry);
    if (status == ATM_OK && out->n == 0) return atm_fail(ATM_E_DATA, "%s: no cases", folder);
    return status;
}

void op_cases_free(op_case_list *list)
{
    for (int i = 0; i < list->n; i++) op_case_free(&list->item[i]);
    free(list->item);
    *list = (op_case_list){ 0 };
}
