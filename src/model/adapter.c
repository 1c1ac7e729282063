/* The image projection of Art2Mus (Rinaldi et al., 2024), for any number of tokens.
 *
 *     tokens = projection2(tanh(projection1(embeds)))    token k: columns [k D, (k+1) D)
 *
 * No norm, no residual, no start or end tokens: these tokens are the whole prefix of
 * the language model.  The embedding has length 1, so its coordinates are small and
 * tanh starts nearly linear. */
#include "model/adapter.h"

#include "model/config_fields.h"

static const atm_field fields[] = {
    ATM_FIELD_INT(atm_adapter_config, in_dim, 1, 65536, ATM_REQUIRED),
    ATM_FIELD_INT(atm_adapter_config, hidden_dim, 1, 65536, ATM_REQUIRED),
    ATM_FIELD_INT(atm_adapter_config, out_dim, 1, 65536, ATM_REQUIRED),
    ATM_FIELD_INT(atm_adapter_config, n_tokens, 1, 1024, ATM_REQUIRED),
};

atm_status atm_adapter_config_read(const atm_json *json, atm_adapter_config *out)
{
    return atm_fields_read(json, NULL, fields, ATM_N_FIELDS(fields), out);
}

json_t *atm_adapter_config_json(const atm_adapter_config *config)
{
    json_t *object = json_object();
    atm_fields_write(object, fields, ATM_N_FIELDS(fields), config);
    return object;
}

static bool is_matrix(const atm_file_tensor *t)
{
    const int64_t most = 65536 * 1024;
    return t && t->rank == 2 && t->dim[0] > 0 && t->dim[0] <= most && t->dim[1] > 0 && t->dim[1] <= most;
}

atm_status atm_adapter_config_infer(const atm_tensor_file *file, int out_dim, atm_adapter_config *out)
{
    const atm_file_tensor *w1 = atm_tensor_file_find(file, "projection1.weight");
    const atm_file_tensor *w2 = atm_tensor_file_find(file, "projection2.weight");
    const char *path = atm_tensor_file_path(file);
    if (!is_matrix(w1) || !is_matrix(w2))
        return atm_fail(ATM_E_DATA, "%s: no config.json beside it, and no matrices projection1.weight and "
                        "projection2.weight in it to tell the adapter's sizes", path);
    if (w2->dim[1] != w1->dim[0])
        return atm_fail(ATM_E_DATA, "%s: projection1.weight has %lld rows, projection2.weight %lld columns",
                        path, (long long)w1->dim[0], (long long)w2->dim[1]);
    if (w2->dim[0] % out_dim)
        return atm_fail(ATM_E_DATA, "%s: projection2.weight has %lld rows, not a multiple of the language "
                        "model's width %d", path, (long long)w2->dim[0], out_dim);
    *out = (atm_adapter_config){ (int)w1->dim[1], (int)w1->dim[0], out_dim, (int)(w2->dim[0] / out_dim) };
    return ATM_OK;
}

atm_tensor atm_adapter(atm_plan *p, const atm_adapter_config *c, atm_tensor embeds)
{
    const atm_tensor h = atm_nn_linear(p, "projection1", embeds, c->hidden_dim,
                                       (atm_linear_options){ .act = ATM_ACT_TANH });
    const atm_tensor y = atm_nn_linear(p, "projection2", h, c->n_tokens * c->out_dim,
                                       (atm_linear_options){ 0 });
    return atm_reshape(p, y, ATM_DIMS(y.dim[0], c->n_tokens, c->out_dim));
}
