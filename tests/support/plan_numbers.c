#include "support/support.h"

#include <math.h>
#include <stdlib.h>

#include "support/plan_fixture.h"
#include "support/plan_numbers.h"

void plan_put(atm_plan *p, atm_tensor t, const double *numbers)
{
    void *host = malloc(atm_count(t) * atm_dtype_size(t.dtype));
    assert_non_null(host);
    atm_convert(host, t.dtype, numbers, ATM_F64, atm_count(t));
    must(atm_plan_write(p, t, host));
    free(host);
}

void plan_get(atm_plan *p, atm_tensor t, double *numbers)
{
    void *host = malloc(atm_count(t) * atm_dtype_size(t.dtype));
    assert_non_null(host);
    must(atm_plan_read(p, t, host));
    atm_convert(numbers, ATM_F64, host, t.dtype, atm_count(t));
    free(host);
}

double plan_get_one(atm_plan *p, atm_tensor t)
{
    double number;
    assert_int_equal(atm_count(t), 1);
    plan_get(p, t, &number);
    return number;
}

double distance_of(const double *a, const double *b, size_t n)
{
    double worst = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(a[i])) return INFINITY;
        worst = fmax(worst, fabs(a[i] - b[i]));
        largest = fmax(largest, fabs(b[i]));
    }
    return worst / largest;
}

const double *fixture_doubles(const atm_tensor_file *file, const char *name, size_t *n)
{
    const atm_file_tensor *t = atm_tensor_file_find(file, name);
    if (!t || t->dtype != ATM_F64) fail_msg("%s has no doubles %s", atm_tensor_file_path(file), name);
    if (n) *n = t->bytes / sizeof(double);
    return t->data;
}
