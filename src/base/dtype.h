/* dtype.h - element types of tensors in files and in memory, and conversion. */
#ifndef ATM_BASE_DTYPE_H
#define ATM_BASE_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum {
    ATM_F32, ATM_F64, ATM_F16, ATM_BF16, ATM_I64, ATM_I32, ATM_U8, ATM_BOOL,
    ATM_DTYPE_COUNT
} atm_dtype;

size_t      atm_dtype_size(atm_dtype dtype);
const char *atm_dtype_name(atm_dtype dtype);            /* "F32", as in safetensors */
int         atm_dtype_is_float(atm_dtype dtype);

/* Converts n elements.  F32 -> F16/BF16 rounds to nearest even; float ->
 * integer truncates toward zero.  `to` and `from` may not overlap. */
void atm_convert(void *to, atm_dtype to_type, const void *from, atm_dtype from_type, size_t n);

static inline float atm_bf16_to_f32(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float y;
    memcpy(&y, &bits, sizeof y);
    return y;
}

float    atm_f16_to_f32(uint16_t x);
uint16_t atm_f32_to_f16(float x);
uint16_t atm_f32_to_bf16(float x);

#endif
