/* adapter.h - image embedding -> tokens of the language model: the part that is trained. */
#ifndef ATM_MODEL_ADAPTER_H
#define ATM_MODEL_ADAPTER_H

#include "io/json.h"
#include "io/tensor_file.h"
#include "model/layers.h"

typedef struct {
    int in_dim;                     /* of the image embedding: 1024 ImageBind, 768 CLIP */
    int hidden_dim;
    int out_dim;                    /* width of the language model                      */
    int n_tokens;
} atm_adapter_config;

/* adapter/config.json: the four keys above. */
atm_status atm_adapter_config_read(const atm_json *json, atm_adapter_config *out);
json_t    *atm_adapter_config_json(const atm_adapter_config *config);

/* For files that come without one (Art2Mus' own): from the shapes of the weights and
 * the width of the language model.  ATM_E_DATA when they do not fit together. */
atm_status atm_adapter_config_infer(const atm_tensor_file *file, int out_dim, atm_adapter_config *out);

/* embeds [N, in_dim], of length 1 -> tokens [N, n_tokens, out_dim]. */
atm_tensor atm_adapter(atm_plan *p, const atm_adapter_config *c, atm_tensor embeds);

#endif
