/* fft.h - real FFT of a power of two, in double.
 *     forward:  y_k = sum_j x_j e^(-2 pi i j k / n),  k = 0 .. n/2
 *     inverse:  x, with the factor 1/n, so that inverse(forward(x)) = x
 * A plan is read-only after creation: threads may share it. */
#ifndef ATM_DATA_FFT_H
#define ATM_DATA_FFT_H
#include "base/status.h"

typedef struct { double re, im; } atm_complex;
typedef struct atm_fft atm_fft;

atm_status atm_fft_create(int n, atm_fft **out);      /* n = 4, 8, 16 ... 2^20 */
void       atm_fft_destroy(atm_fft *fft);             /* NULL is allowed */
void       atm_fft_forward(const atm_fft *fft, const double *x, atm_complex *y);   /* [n] -> [n/2 + 1] */
void       atm_fft_inverse(const atm_fft *fft, const atm_complex *y, double *x);   /* [n/2 + 1] -> [n] */

#endif
