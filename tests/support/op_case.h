/* op_case.h - one op problem, from a line of tests/cases or from a fixture.
 *
 *     conv2d n=2 h=25 w=4 c=24 o=40 k=3x3 stride=2 pad=1 act=silu residual e
 *
 * The first word is the op; key=value sets a variable, a bare word sets it to
 * 1.  Which variables an op needs is the table in op_spec.c.  Pairs may be
 * written once: k, stride, pad, dil, and end (bottom and right padding; default:
 * as pad).  `shape=2x5x24` is the main input of ops without a fixed rank.
 * Gradient ops take the line of their forward op.
 * For all ops: offset=A gain=B (the first input is A + B N(0,1)); trainable: the
 * weights may change between runs, so nothing is packed for good; bench: the
 * model's real size, for the benchmark, too large for a quick test.
 * Lines that begin with # are comments. */
#ifndef ATM_TEST_OP_CASE_H
#define ATM_TEST_OP_CASE_H

#include "support/op_spec.h"

enum { OP_LINE = 240 };

typedef struct {
    char line[OP_LINE];                     /* the reproducer                                     */
    atm_op op;
    bool bench;
    double offset, gain;
    atm_op_args args;                       /* shapes and scalars; id = slot + 1; no data         */
    double *value[ATM_MAX_OP_TENSORS];      /* inputs after op_case_fill, float32 numbers         */
} op_case;

/* What is wrong with the line, or NULL.  op_case_free after success. */
const char *op_case_parse(const char *line, op_case *out);

/* Random inputs; the same for the same line and seed.  ATM_E_MEMORY. */
atm_status op_case_fill(op_case *c, uint64_t seed);
void       op_case_free(op_case *c);

typedef struct { op_case *item; int n; } op_case_list;

/* All cases of tests/cases/ *.txt below `folder`, unfilled, or the line that is wrong. */
atm_status op_cases_load(const char *folder, op_case_list *out);
void       op_cases_free(op_case_list *list);

bool op_is_output(atm_op op, int slot);

#endif
