/* op_spec.h - the argument structs of kernels/ops.h as data: names and shapes of
 * the tensors, names and places of the scalars.  What reads case files and
 * fixtures goes by these tables, so a new op is a row in each. */
#ifndef ATM_TEST_OP_SPEC_H
#define ATM_TEST_OP_SPEC_H

#include "kernels/ops.h"

typedef enum { OP_INT, OP_DOUBLE, OP_BOOL, OP_ACT } op_scalar_type;

typedef struct {
    atm_op op;
    const char *name;
    op_scalar_type type;
    size_t offset;              /* in atm_op_args */
    double otherwise;           /* when nobody sets it */
} op_scalar;

extern const op_scalar op_scalars[];
extern const int op_n_scalars;

void op_scalar_set(const op_scalar *s, atm_op_args *args, double value);

/* How an input is filled. */
typedef enum {
    OP_FILL_NORMAL,             /* N(0, 1)                                                  */
    OP_FILL_PARAM,              /* N(0, 1 / fan-in): a weight                               */
    OP_FILL_INDEX,              /* integers in [0, r)                                       */
    OP_FILL_TIME,               /* integers in [0, 1000)                                    */
    OP_FILL_MASK,               /* 0, and -10000 at some keys but never the first           */
    OP_FILL_POSITIVE,           /* a weight of the loss                                     */
    OP_FILL_GIVEN,              /* N(0, 1), and the op has no gradient by it: noise, coef   */
    OP_FILL_FORWARD             /* what the forward op gives: mean, rstd, lse, y            */
} op_fill;

/* One tensor of an op: "b?bias:out@param". */
typedef struct {
    char name[12];              /* the field's name                                         */
    char flag[12];              /* present only when this variable is not 0; "": always     */
    char dims[24];              /* see op_spec.c                                            */
    op_fill fill;
} op_slot;

op_slot op_slot_of(atm_op op, int slot);
int     op_n_slots(atm_op op);
int     op_slot_named(atm_op op, const char *name);        /* -1: none */
int     op_by_name(const char *name);                      /* -1: none */
int     op_act_by_name(const char *name);                  /* -1: none */
atm_op  op_forward_of(atm_op op);                          /* group_norm of group_norm_dx; op itself */

#endif
