/* unet_config.c - unet/config.json, both ways.
 *
 * "attention_head_dim" is the NUMBER of heads (a legacy name kept by diffusers);
 * "num_attention_heads" overrides it.  The original AudioLDM2 code had heads of
 * 32 channels instead: another function of the same weights. */
#include <string.h>

#include "base/status.h"
#include "model/config_fields.h"
#include "model/hf_config.h"
#include "model/unet.h"

static const char PLAIN_DOWN[] = "DownBlock2D", CROSS_DOWN[] = "CrossAttnDownBlock2D";
static const char PLAIN_UP[] = "UpBlock2D", CROSS_UP[] = "CrossAttnUpBlock2D";

atm_unet_config atm_unet_config_audioldm2(void)
{
    return (atm_unet_config){
        .in_channels = 8, .out_channels = 8, .levels = 4, .channels = { 128, 256, 384, 640 },
        .attends_down = { false, true, true, true }, .attends_up = { false, true, true, true },
        .heads = { 8, 8, 8, 8 }, .streams = { 3, 3, 3, 3 },
        .context_dim = { { 0, 768, 1024 }, { 0, 768, 1024 }, { 0, 768, 1024 }, { 0, 768, 1024 } },
        .layers_per_block = 2, .norm_num_groups = 32, .norm_eps = 1e-5, .flip_sin_to_cos = true,
    };
}

static const atm_field fields[] = {
    ATM_FIELD_INT(atm_unet_config, in_channels, 1, 4096, ATM_OPTIONAL),
    ATM_FIELD_INT(atm_unet_config, out_channels, 1, 4096, ATM_OPTIONAL),
    ATM_FIELD_INT(atm_unet_config, layers_per_block, 1, ATM_UNET_LAYERS, ATM_OPTIONAL),
    ATM_FIELD_INT(atm_unet_config, norm_num_groups, 1, 1 << 15, ATM_OPTIONAL),
    ATM_FIELD_DOUBLE(atm_unet_config, norm_eps, 0, 1, ATM_OPTIONAL),
    ATM_FIELD_BOOL(atm_unet_config, flip_sin_to_cos, ATM_OPTIONAL),
    ATM_FIELD_DOUBLE(atm_unet_config, freq_shift, 0, 1, ATM_OPTIONAL),
    ATM_FIELD_FIXED("act_fn", "\"silu\""),
    ATM_FIELD_FIXED("class_embed_type", "null"),
    ATM_FIELD_FIXED("class_embeddings_concat", "false"),
    ATM_FIELD_FIXED("conv_in_kernel", "3"),
    ATM_FIELD_FIXED("conv_out_kernel", "3"),
    ATM_FIELD_FIXED("downsample_padding", "1"),
    ATM_FIELD_FIXED("mid_block_scale_factor", "1"),
    ATM_FIELD_FIXED("mid_block_type", "\"UNetMidBlock2DCrossAttn\""),
    ATM_FIELD_FIXED("num_class_embeds", "null"),
    ATM_FIELD_FIXED("only_cross_attention", "false"),
    ATM_FIELD_FIXED("resnet_time_scale_shift", "\"default\""),
    ATM_FIELD_FIXED("time_cond_proj_dim", "null"),
    ATM_FIELD_FIXED("time_embedding_act_fn", "null"),
    ATM_FIELD_FIXED("time_embedding_dim", "null"),
    ATM_FIELD_FIXED("time_embedding_type", "\"positional\""),
    ATM_FIELD_FIXED("timestep_post_act", "null"),
    ATM_FIELD_FIXED("transformer_layers_per_block", "1"),
    ATM_FIELD_FIXED("use_linear_projection", "false"),
};

/* ------------------------------------------------------------------ reading */

static atm_status read_contexts(const atm_json *json, atm_unet_config *c)
{
    static const char key[] = "cross_attention_dim";
    atm_int_table table;
    TRY_RETURN(atm_json_int_table(json, key, ATM_REQUIRED, 1, 1 << 15, 0, &table));
    if (table.n != 1 && table.n != c->levels)
        return atm_fail(ATM_E_CONFIG, "%s: '%s' has %d rows for %d levels",
                        json->path, key, table.n, c->levels);
    for (int i = 0; i < c->levels; i++) {
        const atm_int_list *row = &table.row[table.n == 1 ? 0 : i];
        if (row->n < 1 || row->n > ATM_UNET_STREAMS)
            return atm_fail(ATM_E_CONFIG, "%s: '%s' has %d streams at level %d; 1 to %d are implemented",
                            json->path, key, row->n, i, ATM_UNET_STREAMS);
        c->streams[i] = row->n;
        memcpy(c->context_dim[i], row->v, (size_t)row->n * sizeof *row->v);
    }
    return ATM_OK;
}

static atm_status read_heads(const atm_json *json, atm_unet_config *c)
{
    for (int i = 0; i < c->levels; i++) c->heads[i] = 8;
    TRY_RETURN(atm_hf_levels(json, "attention_head_dim", c->levels, 1024, c->heads));
    TRY_RETURN(atm_hf_levels(json, "num_attention_heads", c->levels, 1024, c->heads));
    for (int i = 0; i < c->levels; i++) {
        const bool attends = c->attends_down[i] || c->attends_up[i] || i == c->levels - 1;
        if (attends && c->channels[i] % c->heads[i])
            return atm_fail(ATM_E_CONFIG, "%s: %d heads do not divide the %d channels of level %d",
                            json->path, c->heads[i], c->channels[i], i);
    }
    return ATM_OK;
}

/* The file lists the way up from the deepest level. */
static void reverse(const bool *from, bool *to, int n)
{
    for (int i = 0; i < n; i++) to[n - 1 - i] = from[i];
}

static atm_status read_block_types(const atm_json *json, atm_unet_config *c)
{
    bool up[ATM_UNET_LEVELS];
    TRY_RETURN(atm_hf_block_types(json, "down_block_types", c->levels, PLAIN_DOWN, CROSS_DOWN,
                                  c->attends_down));
    TRY_RETURN(atm_hf_block_types(json, "up_block_types", c->levels, PLAIN_UP, CROSS_UP, up));
    reverse(up, c->attends_up, c->levels);
    return ATM_OK;
}

atm_status atm_unet_config_read(const atm_json *json, atm_unet_config *out)
{
    *out = (atm_unet_config){ .in_channels = 4, .out_channels = 4, .layers_per_block = 2,
                              .norm_num_groups = 32, .norm_eps = 1e-5, .flip_sin_to_cos = true };
    TRY_RETURN(atm_fields_read(json, NULL, fields, ATM_N_FIELDS(fields), out));
    TRY_RETURN(atm_hf_channels(json, ATM_UNET_LEVELS, out->norm_num_groups, &out->levels, out->channels));
    TRY_RETURN(read_block_types(json, out));
    TRY_RETURN(read_contexts(json, out));
    return read_heads(json, out);
}

/* ------------------------------------------------------------------ writing */

static json_t *contexts_json(const atm_unet_config *c)
{
    json_t *table = json_array();
    for (int i = 0; i < c->levels; i++) {
        json_t *row = json_array();
        for (int k = 0; k < c->streams[i]; k++) {
            const int dim = c->context_dim[i][k];
            json_array_append_new(row, dim ? json_integer(dim) : json_null());
        }
        json_array_append_new(table, row);
    }
    return table;
}

json_t *atm_unet_config_json(const atm_unet_config *c)
{
    bool up[ATM_UNET_LEVELS];
    json_t *object = json_object();
    reverse(c->attends_up, up, c->levels);
    json_object_set_new(object, "_class_name", json_string("AudioLDM2UNet2DConditionModel"));
    json_object_set_new(object, "block_out_channels", atm_hf_ints_json(c->channels, c->levels));
    json_object_set_new(object, "attention_head_dim", atm_hf_ints_json(c->heads, c->levels));
    json_object_set_new(object, "cross_attention_dim", contexts_json(c));
    json_object_set_new(object, "down_block_types",
                        atm_hf_block_types_json(c->attends_down, c->levels, PLAIN_DOWN, CROSS_DOWN));
    json_object_set_new(object, "up_block_types", atm_hf_block_types_json(up, c->levels, PLAIN_UP, CROSS_UP));
    atm_fields_write(object, fields, ATM_N_FIELDS(fields), c);
    return object;
}
