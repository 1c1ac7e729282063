/* ref.c - the reference kernels in float: what a naive implementation in the
 * same precision achieves, the yardstick for the error of every fast kernel. */
typedef float real;

#define BACKEND       atm_backend_ref
#define BACKEND_NAME  "ref"
#define BACKEND_DTYPE ATM_F32
#include "kernels/ref/ref.inc"
