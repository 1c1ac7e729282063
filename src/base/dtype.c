#include "base/dtype.h"

#include <math.h>

static const struct { const char *name; size_t size; int is_float; } type[ATM_DTYPE_COUNT] = {
    [ATM_F32]  = { "F32", 4, 1 },  [ATM_F64]  = { "F64", 8, 1 },
    [ATM_F16]  = { "F16", 2, 1 },  [ATM_BF16] = { "BF16", 2, 1 },
    [ATM_I64]  = { "I64", 8, 0 },  [ATM_I32]  = { "I32", 4, 0 },
    [ATM_U8]   = { "U8", 1, 0 },   [ATM_BOOL] = { "BOOL", 1, 0 },
};

size_t atm_dtype_size(atm_dtype dtype) { return type[dtype].size; }
const char *atm_dtype_name(atm_dtype dtype) { return type[dtype].name; }
int atm_dtype_is_float(atm_dtype dtype) { return type[dtype].is_float; }

float atm_f16_to_f32(uint16_t x)
{
    unsigned exponent = (x >> 10) & 31u, fraction = x & 1023u;
    float magnitude = exponent == 31 ? (fraction ? NAN : INFINITY)
                    : exponent == 0  ? ldexpf((float)fraction, -24)
                                     : ldexpf((float)(fraction + 1024u), (int)exponent - 25);
    return x & 0x8000u ? -magnitude : magnitude;
}

uint16_t atm_f32_to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x) return (uint16_t)(bits >> 16 | 64u);              /* keep NaN a NaN */
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

uint16_t atm_f32_to_f16(float x)
{
    uint16_t sign = signbit(x) ? 0x8000u : 0;
    float a = fabsf(x);
    if (a != a) return (uint16_t)(sign | 0x7e00u);
    if (a >= 65520.0f) return (uint16_t)(sign | 0x7c00u);         /* rounds to infinity */
    if (a == 0) return sign;                                      /* frexp says 2^0 */
    int exponent = 0;
    frexpf(a, &exponent);                                         /* a = f * 2^exponent, f in [.5, 1) */
    int unit = (exponent < -13 ? -13 : exponent) - 11;            /* weight of the last bit */
    uint32_t steps = (uint32_t)rintf(ldexpf(a, -unit));           /* nearest even, <= 2048 */
    return (uint16_t)(sign + steps + (exponent < -13 ? 0 : (uint32_t)(exponent + 13) << 10));
}

static double load(const void *p, atm_dtype dtype, size_t i)
{
    switch (dtype) {
    case ATM_F32:  return ((const float *)p)[i];
    case ATM_F64:  return ((const double *)p)[i];
    case ATM_F16:  return atm_f16_to_f32(((const uint16_t *)p)[i]);
    case ATM_BF16: return atm_bf16_to_f32(((const uint16_t *)p)[i]);
    case ATM_I64:  return (double)((const int64_t *)p)[i];
    case ATM_I32:  return ((const int32_t *)p)[i];
    default:       return ((const uint8_t *)p)[i];
    }
}

static void store(void *p, atm_dtype dtype, size_t i, double x)
{
    switch (dtype) {
    case ATM_F32:  ((float *)p)[i] = (float)x; break;
    case ATM_F64:  ((double *)p)[i] = x; break;
    case ATM_F16:  ((uint16_t *)p)[i] = atm_f32_to_f16((float)x); break;
    case ATM_BF16: ((uint16_t *)p)[i] = atm_f32_to_bf16((float)x); break;
    case ATM_I64:  ((int64_t *)p)[i] = (int64_t)x; break;
    case ATM_I32:  ((int32_t *)p)[i] = (int32_t)x; break;
    default:       ((uint8_t *)p)[i] = (uint8_t)x; break;
    }
}

void atm_convert(void *to, atm_dtype to_type, const void *from, atm_dtype from_type, size_t n)
{
    if (to_type == from_type) {
        memcpy(to, from, n * type[to_type].size);
        return;
    }
    for (size_t i = 0; i < n; i++) store(to, to_type, i, load(from, from_type, i));
}
