/* op_fixture.h - one op problem with PyTorch's answer: tests/fixtures/ops/NAME.safetensors,
 * written by scripts/fixtures/ops.py, which says what is in it. */
#ifndef ATM_TEST_OP_FIXTURE_H
#define ATM_TEST_OP_FIXTURE_H

#include "io/tensor_file.h"
#include "support/op_case.h"

typedef struct {
    op_case c;                              /* inputs filled; outputs in the file present */
    atm_tensor_file *file;
} op_fixture;

atm_status op_fixture_open(const char *path, op_fixture *out);
void       op_fixture_close(op_fixture *f);

/* "prefix" + the name of the slot as doubles, malloc'd; NULL when the file has no such tensor. */
double *op_fixture_read(const op_fixture *f, const char *prefix, int slot);

#endif
