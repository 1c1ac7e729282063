/* conditioning.h - conditioning/conditioning.safetensors: what image-only generation
 * feeds the UNet besides the image.  All of it is constant, so it is computed once, from
 * fixed prompts, and kept:
 *
 *     prompt_embeds                      [1, L, E]   T5 states of the fixed prompt
 *     attention_mask                     [1, L]
 *     negative_prompt_embeds             [1, L, E]   T5 states of "Low quality."
 *     negative_attention_mask            [1, L]
 *     negative_generated_prompt_embeds   [1, 8, D]   GPT-2's vectors of "Low quality."
 *
 * Names are those of AudioLDM2Pipeline's arguments.  The file's metadata "source" says
 * where the numbers come from. */
#ifndef ATM_MODEL_CONDITIONING_H
#define ATM_MODEL_CONDITIONING_H

#include <stdint.h>

#include "base/dtype.h"
#include "base/status.h"

typedef struct {
    int text_tokens, text_dim;          /* L, E */
    int loa_tokens, loa_dim;            /* 8, D */
    float *text, *mask;                 /* owned: [L, E], [L] */
    float *negative_text, *negative_mask;
    float *negative_loa;                /* [8, D] */
    char *source;                       /* owned; "" when the file does not say */
} atm_conditioning;

/* ATM_E_NOINPUT, ATM_E_DATA: one message with every tensor that is missing or mis-shaped. */
atm_status atm_conditioning_read(const char *path, atm_conditioning *out);
void       atm_conditioning_free(atm_conditioning *conditioning);          /* back to {0} */

/* Any float types may be read; F32 is written. */
atm_status atm_conditioning_write(const char *path, const atm_conditioning *conditioning);

/* Random numbers with about the spread of real ones, all masks one.  The four sizes of
 * *out are read; `source` says "random, seed N". */
atm_status atm_conditioning_random(uint64_t seed, atm_conditioning *out);

#endif
