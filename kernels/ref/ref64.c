/* ref64.c - the reference kernels in double: the oracle of every test. */
typedef double real;

#define BACKEND       atm_backend_ref64
#define BACKEND_NAME  "ref64"
#define BACKEND_DTYPE ATM_F64
#include "kernels/ref/ref.inc"
