/* vmath.h - exp, tanh, erf, log and the activations on vectors.
 *
 * Largest errors over every 37th float: exp 0.98 ulp, tanh 1.31, erf 1.21, sigmoid
 * 2.44.  Infinities give the limits, NaN stays NaN.  The polynomials are minimax
 * fits (Lawson's iteration on Chebyshev nodes) with errors below 2^-28. */
#ifndef ATM_CPU_VMATH_H
#define ATM_CPU_VMATH_H

#include "kernels/cpu/simd/vec.h"
#include "kernels/ops.h"

#define POLY_STEP(p, x, c) (p) = v_fma((p), (x), v_splat(c))

/* 2^n for n in [-126, 127], integral. */
INLINE vf v_exp2i(vi n) { return (vf)((n + 127) << 23); }

/* exp(x) = 2^n exp(r), |r| <= ln2 / 2.  2^n is applied in two halves, so that
 * results down to the smallest denormal and up to the largest float are right. */
INLINE vf v_exp(vf x)
{
    x = v_min(v_max(x, v_splat(-104.0f)), v_splat(89.0f));
    const vf magic = v_splat(0x1.8p23f);                      /* adding it rounds to an integer */
    vf n = v_fma(x, v_splat(1.44269504f), magic) - magic;
    vf r = v_fma(n, v_splat(-0x1.62e4p-1f), x);               /* ln 2 in two parts: the first   */
    r = v_fma(n, v_splat(-1.42860677e-6f), r);                /* times n is exact               */
    vf p = v_splat(1.979029867e-04f);
    POLY_STEP(p, r, 1.394470378e-03f);
    POLY_STEP(p, r, 8.333497341e-03f);
    POLY_STEP(p, r, 4.166629436e-02f);
    POLY_STEP(p, r, 1.666666587e-01f);
    POLY_STEP(p, r, 5.000000068e-01f);
    p = v_fma(p, r * r, r) + 1.0f;
    const vi whole = __builtin_convertvector(v_select(n == n, n, v_splat(0.0f)), vi), half = whole >> 1;
    return p * v_exp2i(half) * v_exp2i(whole - half);
}

INLINE vf v_sigmoid(vf x) { return 1.0f / (1.0f + v_exp(-x)); }

INLINE vf v_tanh(vf x)
{
    const vf a = v_abs(x), s = x * x;
    vf p = v_splat(2.127580527e-03f);
    POLY_STEP(p, s, -8.161476860e-03f);
    POLY_STEP(p, s, 2.169466619e-02f);
    POLY_STEP(p, s, -5.394574475e-02f);
    POLY_STEP(p, s, 1.333319872e-01f);
    POLY_STEP(p, s, -3.333333064e-01f);
    const vf small = v_fma(p * s, x, x);
    const vf large = v_copysign(1.0f - 2.0f / (v_exp(a + a) + 1.0f), x);
    return v_select(a < 0.625f, small, large);
}

/* erf(x) = x P(x^2) near 0, else 1 - exp(-Q(|x|)) with Q a fit of -log erfc;
 * beyond 3.95 the result rounds to 1. */
INLINE vf v_erf(vf x)
{
    const vf s = x * x, t = v_min(v_abs(x), v_splat(3.95f));
    vf p = v_splat(8.184473487e-05f);
    POLY_STEP(p, s, -8.097549991e-04f);
    POLY_STEP(p, s, 5.196938021e-03f);
    POLY_STEP(p, s, -2.685769926e-02f);
    POLY_STEP(p, s, 1.128366389e-01f);
    POLY_STEP(p, s, -3.761263161e-01f);
    POLY_STEP(p, s, 1.283791664e-01f);
    vf q = v_splat(2.138993820e-05f);
    POLY_STEP(q, t, -4.378684437e-04f);
    POLY_STEP(q, t, 4.187553564e-03f);
    POLY_STEP(q, t, -2.516283611e-02f);
    POLY_STEP(q, t, 1.083472166e-01f);
    POLY_STEP(q, t, 6.332858873e-01f);
    POLY_STEP(q, t, 1.129545141e+00f);
    POLY_STEP(q, t, -1.809738590e-04f);
    return v_select(t < 0.95f, v_fma(p, x, x), v_copysign(1.0f - v_exp(-q), x));
}

/* ln(x) of x > 0.  x = 2^n m with m in [sqrt 1/2, sqrt 2); with f = m - 1 and
 * s = f / (2 + f), ln m = 2 artanh s = f - f^2/2 + s (f^2/2 + R(s^2)). */
INLINE vf v_log(vf x)
{
    const vi denormal = x < 0x1p-126f;
    const vi bits = (vi)v_select(denormal, x * 0x1p24f, x);
    const vi n = (bits - 0x3f3504f3) >> 23;                   /* 0x3f3504f3: sqrt 1/2 */
    const vf f = (vf)(bits - (n << 23)) - 1.0f, s = f / (2.0f + f), z = s * s, half = 0.5f * f * f;
    const vf whole = __builtin_convertvector(n, vf) - v_select(denormal, v_splat(24.0f), v_splat(0.0f));
    vf p = v_splat(2.958256602e-01f);
    POLY_STEP(p, z, 3.998870850e-01f);
    POLY_STEP(p, z, 6.666668653e-01f);
    const vf low = v_fma(s, v_fma(p, z, half), whole * 1.42860677e-6f) - half;
    return v_select(x < INFINITY, v_fma(whole, v_splat(0x1.62e4p-1f), f + low), x);
}

/* ------------------------------------------------------------------ activations */

#define SQRT_HALF      0.70710678f
#define INV_SQRT_2PI   0.39894228f
#define SQRT_2_OVER_PI 0.79788456f
#define GELU_CUBIC     0.044715f
#define QUICK_SLOPE    1.702f

INLINE vf v_gelu(vf x) { return 0.5f * x * (1.0f + v_erf(x * SQRT_HALF)); }

/* Phi(x) + x phi(x) */
INLINE vf v_gelu_slope(vf x)
{
    const vf density = INV_SQRT_2PI * v_exp(-0.5f * x * x);
    return v_fma(x, density, 0.5f * (1.0f + v_erf(x * SQRT_HALF)));
}

INLINE vf gelu_tanh_inner(vf x) { return SQRT_2_OVER_PI * x * (1.0f + GELU_CUBIC * x * x); }

static vf v_act(vf x, atm_act act, float slope)
{
    switch (act) {
    case ATM_ACT_SILU:       return x * v_sigmoid(x);
    case ATM_ACT_GELU:       return v_gelu(x);
    case ATM_ACT_GELU_TANH:  return 0.5f * x * (1.0f + v_tanh(gelu_tanh_inner(x)));
    case ATM_ACT_QUICK_GELU: return x * v_sigmoid(QUICK_SLOPE * x);
    case ATM_ACT_TANH:       return v_tanh(x);
    case ATM_ACT_RELU:       return v_max(x, v_splat(0.0f));
    case ATM_ACT_LEAKY_RELU: return v_select(x < 0.0f, slope * x, x);
    case ATM_ACT_LOG:        return v_log(v_max(x, v_splat(slope)));
    default:                 return x;
    }
}

/* d(x f(x))/dx with f = sigmoid(k x): f + k x f (1 - f) */
INLINE vf swish_slope(vf x, float k)
{
    const vf f = v_sigmoid(k * x);
    return f * (1.0f + k * x * (1.0f - f));
}

INLINE vf gelu_tanh_slope(vf x)
{
    const vf t = v_tanh(gelu_tanh_inner(x));
    const vf inner = SQRT_2_OVER_PI * (1.0f + 3.0f * GELU_CUBIC * x * x);
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * inner;
}

/* The derivative at x, the value before the activation. */
static vf v_act_slope(vf x, atm_act act, float slope)
{
    const vf one = v_splat(1.0f);
    switch (act) {
    case ATM_ACT_SILU:       return swish_slope(x, 1.0f);
    case ATM_ACT_GELU:       return v_gelu_slope(x);
    case ATM_ACT_GELU_TANH:  return gelu_tanh_slope(x);
    case ATM_ACT_QUICK_GELU: return swish_slope(x, QUICK_SLOPE);
    case ATM_ACT_TANH:       return 1.0f - v_tanh(x) * v_tanh(x);
    case ATM_ACT_RELU:       return v_select(x > 0.0f, one, v_splat(0.0f));
    case ATM_ACT_LEAKY_RELU: return v_select(x > 0.0f, one, v_splat(slope));
    case ATM_ACT_LOG:        return v_select(x > slope, one / x, v_splat(0.0f));
    default:                 return one;
    }
}

#endif
