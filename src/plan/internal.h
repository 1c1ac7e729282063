/* internal.h - what the files of src/plan share. */
#ifndef ATM_PLAN_INTERNAL_H
#define ATM_PLAN_INTERNAL_H

#include "base/arena.h"
#include "plan/plan.h"

/* Lifetimes are step indices; FOREVER outlives every run. */
enum { BEFORE_ALL = -1, FOREVER = 1 << 30 };

typedef enum { VALUE_RESULT, VALUE_INPUT, VALUE_PARAM } value_kind;

typedef struct {
    atm_tensor t;               /* canonical shape; a view has the same id and other dims  */
    value_kind kind;
    const char *name;           /* of inputs and parameters                                */
    uint64_t hash;              /* of a parameter's name                                   */
    bool needs_grad;            /* depends on something whose gradient is wanted           */
    bool varies;                /* may differ from run to run                              */
    bool keep;                  /* read by the caller after a run                          */
    int origin;                 /* a recomputed copy shares the gradient of its origin     */
    int grad;                   /* id of the gradient so far, 0: none                      */
    int first, last;            /* first and last step that touches it                     */
    size_t bytes, offset;
} atm_value;

typedef struct {
    atm_op op;
    atm_op_args args;
    const char *scope;
    int segment;                /* 0: none */
    atm_prepared prepared;
    double seconds;             /* profile */
} atm_step;

struct atm_plan {
    atm_device *device;
    atm_param_source *source;
    atm_arena arena;            /* names */

    atm_value *value;           /* value[0] is the absent tensor */
    int n_values, cap_values;
    atm_step *step;
    int n_steps, cap_steps, n_prologue, n_removed;
    int segment, n_segments;

    struct { char text[512]; size_t length[32]; int depth; const char *name; } scope;
    struct { atm_named_tensor *item; int n, cap; } outputs, params;

    atm_status status;          /* first building error; later calls do nothing */
    const char *message;

    atm_plan_options options;
    bool finished, prologue_done;
    void *block;
    size_t block_bytes, tensor_bytes, workspace_bytes;
    long runs;                  /* profile */
};

/* build.c */
atm_tensor plan_emit(atm_plan *p, atm_op op, atm_op_args *args);   /* gives outputs ids, returns the first */
atm_tensor plan_new(atm_plan *p, int rank, const int *dim);        /* shape for an output; no id yet        */
atm_tensor plan_like(atm_tensor t);                                /* the same shape, no id                 */
bool plan_same_shape(atm_tensor a, atm_tensor b);
const char *plan_shape_text(atm_tensor t);                         /* "[2, 3]"; a few live at a time        */

/* ops_point.c */
bool plan_activation_fits(atm_plan *p, atm_act act, double slope);  /* records what is wrong            */

static inline int plan_n_tensors(atm_op op) { return atm_op_table[op].n_in + atm_op_table[op].n_out; }

/* Whether an op's builder may go on: no error so far. */
static inline bool plan_ok(const atm_plan *p) { return p->status == ATM_OK; }

/* gradients.c */
typedef void (*plan_rule)(atm_plan *p, const atm_op_args *a, atm_tensor dy);
bool plan_wants(const atm_plan *p, atm_tensor t);
void plan_accumulate(atm_plan *p, atm_tensor x, atm_tensor dx);

/* One gradient rule per differentiable op, beside its builder in ops_*.c. */
#define X(name, n_in, n_out, gradient) DECLARE_##gradient(name)
#define DECLARE_HAS_GRADIENT(name) void rule_##name(atm_plan *p, const atm_op_args *a, atm_tensor dy);
#define DECLARE_NO_GRADIENT(name)
ATM_OPS(X)
#undef X

/* passes.c, layout.c */
atm_status plan_remove_dead_steps(atm_plan *p);
atm_status plan_hoist(atm_plan *p);
atm_status plan_layout(atm_plan *p);

#endif
