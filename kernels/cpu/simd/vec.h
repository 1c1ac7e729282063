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

INLINE vf v_load(const float *p) { return *(const vf_unaligned *)p; }
INLINE void v_store(float *p, vf v) { *(vf_unaligned *)p = v; }
INLINE vf v_splat(float x) { return x - (vf){ 0 }; }

/* The first n > 0 lanes only; the others read as 0.  Memory beyond is not touched. */
#if defined(__AVX512F__)
INLINE __mmask16 first_lanes(int n) { return (__mmask16)((1u << n) - 1); }
INLINE vf load_part(const float *p, int n) { return (vf)_mm512_maskz_loadu_ps(first_lanes(n), p); }
INLINE void store_part(float *p, vf v, int n) { _mm512_mask_storeu_ps(p, first_lanes(n), (__m512)v); }
#elif defined(__AVX2__)
INLINE __m256i first_lanes(int n)
{
    static const int32_t mask[2 * VL] = { -1, -1, -1, -1, -1, -1, -1, -1 };
    return _mm256_loadu_si256((const __m256i_u *)(mask + VL - n));
}
INLINE vf load_part(const float *p, int n) { return (vf)_mm256_maskload_ps(p, first_lanes(n)); }
INLINE void store_part(float *p, vf v, int n) { _mm256_maskstore_ps(p, first_lanes(n), (__m256)v); }
#else
INLINE vf load_part(const float *p, int n)
{
    vf v = { 0 };
    memcpy(&v, p, (size_t)n * sizeof *p);
    return v;
}
INLINE void store_part(float *p, vf v, int n) { memcpy(p, &v, (size_t)n * sizeof *p); }
#endif

INLINE vf v_load_n(const float *p, int n) { return n >= VL ? v_load(p) : load_part(p, n); }

INLINE void v_store_n(float *p, vf v, int n)
{
    if (n >= VL) v_store(p, v);
    else store_part(p, v, n);
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

/* A NaN in `a` stays a NaN: the comparison is false and `a` is kept (the
 * instructions return their second operand then). */
#if defined(__AVX512F__)
INLINE vf v_max(vf a, vf b) { return (vf)_mm512_max_ps((__m512)b, (__m512)a); }
INLINE vf v_min(vf a, vf b) { return (vf)_mm512_min_ps((__m512)b, (__m512)a); }
#elif defined(__AVX2__)
INLINE vf v_max(vf a, vf b) { return (vf)_mm256_max_ps((__m256)b, (__m256)a); }
INLINE vf v_min(vf a, vf b) { return (vf)_mm256_min_ps((__m256)b, (__m256)a); }
#else
INLINE vf v_max(vf a, vf b) { return v_select(a < b, b, a); }
INLINE vf v_min(vf a, vf b) { return v_select(a > b, b, a); }
#endif
INLINE vf v_abs(vf a) { return (vf)((vi)a & INT32_MAX); }
INLINE vf v_copysign(vf a, vf sign) { return (vf)(((vi)a & INT32_MAX) | ((vi)sign & INT32_MIN)); }

/* 0, 1, ... VL - 1 */
INLINE vi v_lanes(void)
{
    vi lane;
    for (int i = 0; i < VL; i++) lane[i] = i;
    return lane;
}

/* Horizontal results: halves combined until one lane is left, a fixed order. */
#if defined(__AVX512F__)
INLINE float v_sum(vf v) { return _mm512_reduce_add_ps((__m512)v); }
INLINE float v_max_lane(vf v) { return _mm512_reduce_max_ps((__m512)v); }
#elif defined(__AVX2__)
INLINE float v_sum(vf v)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
INLINE float v_max_lane(vf v)
{
    __m128 x = _mm_max_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
#else
INLINE float v_sum(vf v) { return (v[0] + v[2]) + (v[1] + v[3]); }
INLINE float v_max_lane(vf v)
{
    const float a = v[0] < v[2] ? v[2] : v[0], b = v[1] < v[3] ? v[3] : v[1];
    return a < b ? b : a;
}
#endif
#endif
