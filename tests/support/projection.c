/* projection.c - see projection.h. */
#include "support/projection.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/media.h"

double projection_error(const double *x, size_t n, const char *name, const double truth[2], double floor)
{
    char seed[512];
    double product = 0, squares = 0;
    snprintf(seed, sizeof seed, "direction.%s", name);
    const uint32_t first = (uint32_t)fnv1a(seed, strlen(seed));
    for (size_t i = 0; i < n; i++) {
        product += x[i] * (double)noise_float_at(first + (uint32_t)i);
        squares += x[i] * x[i];
    }
    return fmax(fabs(product - truth[0]), fabs(sqrt(squares) - truth[1])) / fmax(truth[1], floor);
}
