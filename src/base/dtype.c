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

/* The exponent is rebased by a multiplication, which also makes subnormals
 * normal; what then is 65536 or more was an infinity or a NaN.  No branches: the
 * loops below become vector code. */
float atm_f16_to_f32(uint16_t x)
{
    uint32_t bits = (uint32_t)(x & 0x7fffu) << 13;
    float y;
    memcpy(&y, &bits, sizeof y);
    y *= 0x1p112f;
    memcpy(&bits, &y, sizeof bits);
    bits |= (y >= 65536.0f ? 0x7f800000u : 0u) | (uint32_t)(x & 0x8000u) << 16;
    memcpy(&y, &bits, sizeof y);
    return y;
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

/* The pairs that whole checkpoints are made of; false: not one of them. */
static int convert_fast(void *to, atm_dtype to_type, const void *from, atm_dtype from_type, size_t n)
{
    const uint16_t *half = from;
    const float *single = from;
    if (from_type == ATM_F16 && to_type == ATM_F32)
        for (size_t i = 0; i < n; i++) ((float *)to)[i] = atm_f16_to_f32(half[i]);
    else if (from_type == ATM_BF16 && to_type == ATM_F32)
        for (size_t i = 0; i < n; i++) ((float *)to)[i] = atm_bf16_to_f32(half[i]);
    else if (from_type == ATM_F32 && to_type == ATM_BF16)
        for (size_t i = 0; i < n; i++) ((uint16_t *)to)[i] = atm_f32_to_bf16(single[i]);
    else if (from_type == ATM_F32 && to_type == ATM_F64)
        for (size_t i = 0; i < n; i++) ((double *)to)[i] = single[i];
    else
        return 0;
    return 1;
}

void atm_convert(void *to, atm_dtype to_type, const void *from, atm_dtype from_type, size_t n)
{
    if (to_type == from_type) memcpy(to, from, n * type[to_type].size);
    else if (!convert_fast(to, to_type, from, from_type, n))
        for (size_t i = 0; i < n; i++) store(to, to_type, i, load(from, from_type, i));
}
