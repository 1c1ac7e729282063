/* gpt2.h - GPT-2 as AudioLDM2 uses it: prefix -> 8 vectors, the "language of audio". */
#ifndef ATM_MODEL_GPT2_H
#define ATM_MODEL_GPT2_H

#include "io/json.h"
#include "model/layers.h"

enum { ATM_GPT2_MAX_LAYERS = 64 };

typedef struct {
    int n_layer, n_embd, n_head;
    int n_inner;                    /* width of the MLP, usually 4 n_embd              */
    int n_positions;
    int vocab_size;                 /* rows of wte.weight, in every file and never read */
    int max_new_tokens;             /* vectors to generate: 8                          */
    float layer_norm_epsilon;
} atm_gpt2_config;

/* cvssp/audioldm2's language_model: GPT-2 small. */
extern const atm_gpt2_config atm_gpt2_small;

/* language_model/config.json as transformers writes it. */
atm_status atm_gpt2_config_read(const atm_json *json, atm_gpt2_config *out);
json_t    *atm_gpt2_config_json(const atm_gpt2_config *config);

/* prefix [N, L, n_embd]; mask [N, L], 1 where the prefix is valid and 0 on padding,
 * may be absent.  Returns [N, max_new_tokens, n_embd]. */
atm_tensor atm_gpt2(atm_plan *p, const atm_gpt2_config *c, atm_tensor prefix, atm_tensor mask);

#endif
