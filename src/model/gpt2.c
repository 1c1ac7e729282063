/* GPT-2 (Radford et al. 2019; transformers' GPT2Model), and the loop of diffusers'
 * AudioLDM2Pipeline.generate_language_model.
 *
 *     h = x + wpe[position]
 *     h += c_proj(attention(c_attn(ln_1 h)))             causal; packed q | k | v
 *     h += c_proj(gelu_new(c_fc(ln_2 h)))                tanh approximation
 *     f(x) = ln_f(h)[last]
 *     y_1 = f(prefix), y_k+1 = f(prefix, y_1 ... y_k)    no sampling, no projection back
 *
 * The recurrence is unrolled into the plan.  Keys and values of earlier positions are
 * kept by concatenation, a value of the plan like any other, so the gradient through
 * the eight steps needs nothing special.
 *
 * Details that have caused bugs:
 *  - Weights are stored [in, out] (transformers' Conv1D).
 *  - Positions count 0, 1, 2 ... over prefix and vectors; padding uses up a position too.
 *  - The last vector is never fed back: L + 7 positions pass through the layers.
 *  - Padding gets a large negative number added to its scores, not -inf: a row whose
 *    keys are all padding would otherwise be NaN. */
#include "model/gpt2.h"

#include "model/config_fields.h"
#include "model/encoder.h"

const atm_gpt2_config atm_gpt2_small = {
    .n_layer = 12, .n_embd = 768, .n_head = 12, .n_inner = 3072, .n_positions = 1024,
    .vocab_size = 50257, .max_new_tokens = 8, .layer_norm_epsilon = 1e-5F
};

static const atm_field fields[] = {
    ATM_FIELD_INT(atm_gpt2_config, n_layer, 1, ATM_GPT2_MAX_LAYERS, ATM_REQUIRED),
    ATM_FIELD_INT(atm_gpt2_config, n_embd, 1, 16384, ATM_REQUIRED),
    ATM_FIELD_INT(atm_gpt2_config, n_head, 1, 256, ATM_REQUIRED),
    ATM_FIELD_INT(atm_gpt2_config, n_inner, 1, 65536, ATM_OPTIONAL),
    ATM_FIELD_INT(atm_gpt2_config, n_positions, 1, 65536, ATM_REQUIRED),
    ATM_FIELD_INT(atm_gpt2_config, vocab_size, 1, 1 << 20, ATM_OPTIONAL),
    ATM_FIELD_INT(atm_gpt2_config, max_new_tokens, 1, 1024, ATM_OPTIONAL),
    ATM_FIELD_FLOAT(atm_gpt2_config, layer_norm_epsilon, 0, 1, ATM_OPTIONAL),
    ATM_FIELD_FIXED("activation_function", "\"gelu_new\""),
    ATM_FIELD_FIXED("scale_attn_weights", "true"),
    ATM_FIELD_FIXED("scale_attn_by_inverse_layer_idx", "false"),
};

atm_status atm_gpt2_config_read(const atm_json *json, atm_gpt2_config *out)
{
    *out = atm_gpt2_small;
    out->n_inner = 0;
    TRY_RETURN(atm_fields_read(json, NULL, fields, ATM_N_FIELDS(fields), out));
    if (out->n_inner == 0) out->n_inner = 4 * out->n_embd;
    if (out->n_embd % out->n_head)
        return atm_fail(ATM_E_CONFIG, "%s: n_head %d does not divide n_embd %d", json->path, out->n_head,
                        out->n_embd);
    return ATM_OK;
}

json_t *atm_gpt2_config_json(const atm_gpt2_config *config)
{
    json_t *object = json_pack("{s:s, s:[s]}", "model_type", "gpt2", "architectures", "GPT2Model");
    atm_fields_write(object, fields, ATM_N_FIELDS(fields), config);
    return object;
}

/* Absorbs any score in float and in double, so that all padding is equal. */
static const float MASKED = -1e30F;

/* Keys and values so far, [N, positions, C]. */
typedef struct { atm_tensor k, v; } cache;

static atm_tensor append(atm_plan *p, atm_tensor past, atm_tensor x)
{
    return atm_present(past) ? atm_concat(p, past, x, 1) : x;
}

static atm_tensor attend(atm_plan *p, const atm_gpt2_config *c, atm_tensor x, atm_tensor mask, cache *past)
{
    const atm_tensor h = atm_nn_layer_norm(p, "ln_1", x, c->layer_norm_epsilon);
    const atm_qkv a = atm_nn_split_qkv(p, atm_nn_linear(p, "attn.c_attn", h, 3 * c->n_embd,
                                                        (atm_linear_options){ .transposed = true }));
    *past = (cache){ append(p, past->k, a.k), append(p, past->v, a.v) };
    const atm_attention_options causal = { .heads = c->n_head, .causal = true, .mask = mask };
    const atm_tensor y = atm_attention(p, a.q, past->k, past->v, causal);
    return atm_nn_linear(p, "attn.c_proj", y, c->n_embd,
                         (atm_linear_options){ .residual = x, .transposed = true });
}

/* f of above: x [N, l, C] at `position`, ... -> [N, 1, C]. */
static atm_tensor run(atm_plan *p, const atm_gpt2_config *c, atm_tensor x, int position, atm_tensor mask,
                      cache past[])
{
    const atm_mlp_options mlp = { .norm = "ln_2", .up = "mlp.c_fc", .down = "mlp.c_proj",
                                  .width = c->n_inner, .eps = c->layer_norm_epsilon,
                                  .act = ATM_ACT_GELU_TANH, .transposed = true };
    const int length = x.dim[1];
    const atm_tensor places = atm_param(p, "wpe.weight", ATM_DIMS(c->n_positions, c->n_embd));
    x = atm_add(p, x, atm_slice(p, places, 0, position, length));
    for (int i = 0; i < c->n_layer; i++) {
        atm_scope(p, "h.%d", i);
        x = atm_nn_mlp(p, attend(p, c, x, mask, &past[i]), mlp);
        atm_scope_end(p);
    }
    return atm_nn_layer_norm(p, "ln_f", atm_slice(p, x, 1, length - 1, 1), c->layer_norm_epsilon);
}

/* What is added to the scores of each key, [N, L + extra]: 0 where valid, MASKED on
 * padding; the generated vectors are valid. */
static atm_tensor key_mask(atm_plan *p, atm_tensor mask, int extra)
{
    if (!atm_present(mask)) return ATM_NONE;
    atm_tensor y = atm_affine(p, mask, -MASKED, MASKED);
    const atm_tensor valid = atm_affine(p, atm_slice(p, mask, 1, 0, 1), 0, 0);
    for (int i = 0; i < extra; i++) y = atm_concat(p, y, valid, 1);
    return y;
}

static atm_tensor first_keys(atm_plan *p, atm_tensor mask, int n)
{
    return atm_present(mask) ? atm_slice(p, mask, 1, 0, n) : mask;
}

atm_tensor atm_gpt2(atm_plan *p, const atm_gpt2_config *c, atm_tensor prefix, atm_tensor mask)
{
    if (atm_plan_failed(p)) return ATM_NONE;
    const int length = prefix.dim[1], last = length + c->max_new_tokens - 1;
    if (last > c->n_positions)
        atm_plan_fail(p, "GPT-2: a prefix of %d and %d new vectors need %d positions, n_positions is %d",
                      length, c->max_new_tokens, last, c->n_positions);
    const atm_tensor keys = key_mask(p, mask, c->max_new_tokens - 1);
    cache past[ATM_GPT2_MAX_LAYERS] = { 0 };
    atm_tensor x = run(p, c, prefix, 0, first_keys(p, keys, length), past), all = x;
    for (int position = length; position < last; position++) {
        x = run(p, c, x, position, first_keys(p, keys, position + 1), past);
        all = atm_concat(p, all, x, 1);
    }
    return all;
}
