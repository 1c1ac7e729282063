/* vec.h - the vectors the kernels are written on: VL floats, GCC's vector
 * extension, so that + - * / and comparisons are the language's own.
 *
 * VL is the native width: 16 on AVX-512, 8 on AVX2, else 4 (SSE2, NEON: every
 * 64-bit CPU).  Wider emulated vectors would spill the micro-kernel's
 * accumulators.  A comparison gives a mask, -1 or 0 in each lane. */
#ifndef ATM_CPU_VEC_H
#define ATM_CPU_VEC_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { VL = 16 };
#elif defined(__AVX2__)
enum { VL = 8 };
#else
enum { VL = 4 };
#endif

typedef float vf __attribute__((vector_size(VL * 4)));
typedef int32_t vi __attribute__((vector_size(VL * 4)));
typedef float vf_unaligned __attribute__((vector_size(VL * 4), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))
#define MAYBE_UNUSED __attribute__((unused))

INLINE vf v_load(const float *p) { return *(const vf_unaligned *)p; }
INLINE void v_store(float *p, vf v) { *(vf_unaligned *)p = v; }
INLINE vf v_splat(float x) { return x - (vf){ 0 }; }

/* The first n lanes only; the others read as 0. */
INLINE vf v_load_n(const float *p, int n)
{
    if (n >= VL) return v_load(p);
    vf v = { 0 };
    memcpy(&v, p, (size_t)n * sizeof *p);
    return v;
}

INLINE void v_store_n(float *p, vf v, int n)
{
    if (n >= VL) v_store(p, v);
    else memcpy(p, &v, (size_t)n * sizeof *p);
}

/* a * b + c: one rounding where the CPU has FMA, two where not. */
INLINE vf v_fma(vf a, vf b, vf c)
{
#if defined(__AVX512F__)
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

INLINE vf v_select(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }

/* A NaN in `a` stays a NaN: the comparison is false and `a` is kept. */
INLINE vf v_max(vf a, vf b) { return v_select(a < b, b, a); }
INLINE vf v_min(vf a, vf b) { return v_select(a > b, b, a); }
INLINE vf v_abs(vf a) { return (vf)((vi)a & INT32_MAX); }
INLINE vf v_copysign(vf a, vf sign) { return (vf)(((vi)a & INT32_MAX) | ((vi)sign & INT32_MIN)); }

/* Horizontal results, lanes combined in pairs: a fixed order. */
INLINE float v_sum(vf v)
{
    float lane[VL];
    memcpy(lane, &v, sizeof lane);
    for (int n = VL / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++) lane[i] += lane[i + n];
    return lane[0];
}

INLINE float v_max_lane(vf v)
{
    float lane[VL];
    memcpy(lane, &v, sizeof lane);
    for (int n = VL / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++) lane[i] = lane[i] < lane[i + n] ? lane[i + n] : lane[i];
    return lane[0];
}

#endif
