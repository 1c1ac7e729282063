/* recipe.c - see recipe.h.  To add a key: a member, a row, and its use in one of
 * the functions below. */
#define _GNU_SOURCE
#include "generate/recipe.h"

#include <stdio.h>

#include "io/config.h"
#include "model/model_parts.h"

static const char *const dtype_names[] = { "f32", "f16", "bf16", NULL };
static const atm_dtype dtypes[] = { ATM_F32, ATM_F16, ATM_BF16 };
static const char *const encoder_names[] = { "imagebind", "clip", NULL };

/* The file's content, in the C types that io/config.h fills. */
typedef struct {
    int dtype;
    struct { int kind, image_size, patch_size, hidden_size, intermediate_size, layers, heads,
             projection_dim; } image;
    struct { int patch_size, patch_stride, hidden_size, intermediate_size, layers, heads; } audio;
    struct { int hidden_dim, n_tokens; } adapter;
    struct { int n_layer, n_embd, n_head, n_inner, n_positions, vocab_size; } gpt2;
    struct { int length, dim; } text;
    struct { atm_int_list channels; int layers, heads, groups, streams; } unet;
    struct { atm_int_list channels; int latent_channels, layers, groups; double scale; } vae;
    struct {
        int channels, decoder;
        atm_int_list rates, kernels, res_kernels;
        atm_int_table res_dilations;
    } vocoder;
    int prediction;
} sheet;

#define INT(member, key, min, max, help) ATM_CONFIG_INT(sheet, member, key, min, max, help)
#define INTS(member, key, min, max, help) ATM_CONFIG_INTS(sheet, member, key, min, max, help)
static const atm_config_field fields[] = {
    ATM_CONFIG_ENUM(sheet, dtype, "dtype", dtype_names, "of the weight files"),

    ATM_CONFIG_ENUM(sheet, image.kind, "image_encoder.model_type", encoder_names, "which vision tower"),
    INT(image.image_size,        "image_encoder.image_size",          8, 1024,  "pixels, both ways"),
    INT(image.patch_size,        "image_encoder.patch_size",          2, 256,   "pixels; divides image_size"),
    INT(image.hidden_size,       "image_encoder.hidden_size",         1, 8192,  "width"),
    INT(image.intermediate_size, "image_encoder.intermediate_size",   1, 65536, "width of the MLPs"),
    INT(image.layers,            "image_encoder.num_hidden_layers",   1, 128,   "blocks"),
    INT(image.heads,             "image_encoder.num_attention_heads", 1, 256,   "heads"),
    INT(image.projection_dim,    "image_encoder.projection_dim",      1, 8192,  "length of an embedding"),

    INT(audio.hidden_size,       "audio_encoder.hidden_size",         0, 8192,  "width; 0: no audio encoder"),
    INT(audio.patch_size,        "audio_encoder.patch_size",          2, 128,   "bands and frames"),
    INT(audio.patch_stride,      "audio_encoder.patch_stride",        1, 128,   "bands and frames"),
    INT(audio.intermediate_size, "audio_encoder.intermediate_size",   1, 65536, "width of the MLPs"),
    INT(audio.layers,            "audio_encoder.num_hidden_layers",   1, 128,   "blocks"),
    INT(audio.heads,             "audio_encoder.num_attention_heads", 1, 256,   "heads"),

    INT(adapter.hidden_dim, "adapter.hidden_dim", 1, 65536, "width between its two layers"),
    INT(adapter.n_tokens,   "adapter.n_tokens",   1, 256,   "tokens given to the language model"),

    INT(gpt2.n_layer,     "language_model.n_layer",     1, ATM_GPT2_MAX_LAYERS, "blocks"),
    INT(gpt2.n_embd,      "language_model.n_embd",      1, 8192,    "width, also of the adapter's tokens"),
    INT(gpt2.n_head,      "language_model.n_head",      1, 256,     "heads"),
    INT(gpt2.n_inner,     "language_model.n_inner",     1, 65536,   "width of the MLPs"),
    INT(gpt2.n_positions, "language_model.n_positions", 1, 65536,   "longest sequence"),
    INT(gpt2.vocab_size,  "language_model.vocab_size",  1, 1 << 20, "rows of the unused token table"),

    INT(text.length, "text.length", 1, 512,  "tokens of the fixed prompt"),
    INT(text.dim,    "text.dim",    1, 8192, "width of their states"),

    INTS(unet.channels, "unet.block_out_channels", 1, 8192, "of each level"),
    INT(unet.layers,    "unet.layers_per_block",   1, ATM_UNET_LAYERS, "residual blocks a level"),
    INT(unet.heads,     "unet.attention_head_dim", 1, 256,  "heads (diffusers' name for them)"),
    INT(unet.groups,    "unet.norm_num_groups",    1, 8192, "of the group norms"),

    INT(unet.streams,   "unet.streams",            1, 3,
        "transformers at each place: 3 AudioLDM2's (self, LOA, T5), 2 without T5, 1 LOA alone"),

    INTS(vae.channels,       "vae.block_out_channels", 1, 8192, "of each level"),
    INT(vae.latent_channels, "vae.latent_channels",    1, 256,  "also of the UNet's latents"),
    INT(vae.layers,          "vae.layers_per_block",   1, 16,   "residual blocks a level"),
    INT(vae.groups,          "vae.norm_num_groups",    1, 8192, "of the group norms"),
    ATM_CONFIG_DOUBLE(sheet, vae.scale, "vae.scaling_factor", 1e-6, 1e6, "of latents for the UNet"),

    INT(vocoder.channels,     "vocoder.upsample_initial_channel", 1, 65536, "halved by each upsampler"),
    INTS(vocoder.rates,       "vocoder.upsample_rates",           1, 1024,  "their product is the hop"),
    INTS(vocoder.kernels,     "vocoder.upsample_kernel_sizes",    1, 4096,  "one for each rate"),
    INTS(vocoder.res_kernels, "vocoder.resblock_kernel_sizes",    1, 255,   "odd"),
    ATM_CONFIG_ENUM(sheet, vocoder.decoder, "vocoder.decoder", atm_decoder_names,
                    "from log-mel to sound: vocoder, griffin_lim, hybrid"),
    ATM_CONFIG_TABLE(sheet, vocoder.res_dilations, "vocoder.resblock_dilation_sizes", 1, 255,
                     "a list for each kernel"),

    ATM_CONFIG_ENUM(sheet, prediction, "scheduler.prediction_type", atm_prediction_names,
                    "what the UNet predicts"),
};
enum { N_FIELDS = sizeof fields / sizeof fields[0] };

/* ------------------------------------------------------------------ defaults: AudioLDM2, ImageBind */

static sheet full_size(void)
{
    const atm_image_encoder_config *image = &atm_imagebind_huge;
    const atm_audio_encoder_config *audio = &atm_imagebind_huge_audio;
    const atm_gpt2_config *gpt2 = &atm_gpt2_small;
    const atm_hifigan_config vocoder = atm_hifigan_config_audioldm2();
    const atm_vae_config vae = atm_vae_config_audioldm2();
    return (sheet){
        .image = { (int)image->kind, image->image_size, image->patch_size, image->hidden_size,
                   image->intermediate_size,
                   image->num_hidden_layers, image->num_attention_heads, image->projection_dim },
        .audio = { audio->patch_size, audio->patch_stride, 0, audio->intermediate_size, audio->num_hidden_layers,
                   audio->num_attention_heads },
        .adapter = { 1536, 4 },
        .gpt2 = { gpt2->n_layer, gpt2->n_embd, gpt2->n_head, gpt2->n_inner, gpt2->n_positions,
                  gpt2->vocab_size },
        .text = { 10, 1024 },
        .unet = { { 4, { 128, 256, 384, 640 } }, 2, 8, 32, 3 },
        .vae = { { 3, { 128, 256, 512 } }, vae.latent_channels, vae.layers_per_block, vae.norm_num_groups,
                 vae.scaling_factor },
        .vocoder = { vocoder.upsample_initial_channel, vocoder.decoder, vocoder.upsample_rates, vocoder.upsample_kernel_sizes,
                     vocoder.resblock_kernel_sizes, vocoder.resblock_dilation_sizes },
        .prediction = (int)atm_schedule_audioldm2.prediction_type
    };
}

/* ------------------------------------------------------------------ each network's part */

static atm_image_encoder_config image_encoder(const sheet *s)
{
    const bool clip = s->image.kind == ATM_IMAGE_ENCODER_CLIP;
    atm_image_encoder_config c = clip ? atm_clip_vit_large_14 : atm_imagebind_huge;
    c.image_size = s->image.image_size;
    c.patch_size = s->image.patch_size;
    c.hidden_size = s->image.hidden_size;
    c.intermediate_size = s->image.intermediate_size;
    c.num_hidden_layers = s->image.layers;
    c.num_attention_heads = s->image.heads;
    c.projection_dim = s->image.projection_dim;
    return c;
}

/* Its embeddings live in the space of the images'. */
static atm_audio_encoder_config audio_encoder(const sheet *s)
{
    atm_audio_encoder_config c = atm_imagebind_huge_audio;
    c.patch_size = s->audio.patch_size;
    c.patch_stride = s->audio.patch_stride;
    c.hidden_size = s->audio.hidden_size;
    c.intermediate_size = s->audio.intermediate_size;
    c.num_hidden_layers = s->audio.layers;
    c.num_attention_heads = s->audio.heads;
    c.projection_dim = s->image.projection_dim;
    return c;
}

static atm_gpt2_config gpt2(const sheet *s)
{
    atm_gpt2_config c = atm_gpt2_small;
    c.n_layer = s->gpt2.n_layer;
    c.n_embd = s->gpt2.n_embd;
    c.n_head = s->gpt2.n_head;
    c.n_inner = s->gpt2.n_inner;
    c.n_positions = s->gpt2.n_positions;
    c.vocab_size = s->gpt2.vocab_size;
    return c;
}

/* AudioLDM2's pattern: no attention at the first level; at all others three
 * transformers, without context, with the LOA vectors, with the T5 states.  Small
 * models may leave out the last, or all but the second. */
static void set_unet_level(const sheet *s, int level, atm_unet_config *c)
{
    c->channels[level] = s->unet.channels.v[level];
    c->attends_down[level] = c->attends_up[level] = level > 0;
    c->heads[level] = s->unet.heads;
    const int dim[] = { 0, s->gpt2.n_embd, s->text.dim }, first = s->unet.streams == 1 ? 1 : 0;
    c->streams[level] = s->unet.streams;
    for (int i = 0; i < s->unet.streams; i++) c->context_dim[level][i] = dim[first + i];
}

static atm_unet_config unet(const sheet *s)
{
    atm_unet_config c = atm_unet_config_audioldm2();
    c.in_channels = c.out_channels = s->vae.latent_channels;
    c.levels = s->unet.channels.n;
    for (int i = 0; i < c.levels; i++) set_unet_level(s, i, &c);
    c.layers_per_block = s->unet.layers;
    c.norm_num_groups = s->unet.groups;
    return c;
}

static atm_vae_config vae(const sheet *s)
{
    atm_vae_config c = atm_vae_config_audioldm2();
    c.latent_channels = s->vae.latent_channels;
    c.levels = s->vae.channels.n;
    for (int i = 0; i < c.levels; i++) c.channels[i] = s->vae.channels.v[i];
    c.layers_per_block = s->vae.layers;
    c.norm_num_groups = s->vae.groups;
    c.scaling_factor = s->vae.scale;
    return c;
}

static atm_hifigan_config vocoder(const sheet *s)
{
    atm_hifigan_config c = atm_hifigan_config_audioldm2();
    c.decoder = s->vocoder.decoder;
    c.upsample_initial_channel = s->vocoder.channels;
    c.upsample_rates = s->vocoder.rates;
    c.upsample_kernel_sizes = s->vocoder.kernels;
    c.resblock_kernel_sizes = s->vocoder.res_kernels;
    c.resblock_dilation_sizes = s->vocoder.res_dilations;
    return c;
}

static atm_status check_levels(const char *source, const char *key, const atm_int_list *list, int max)
{
    if (list->n >= 1 && list->n <= max) return ATM_OK;
    return atm_fail(ATM_E_CONFIG, "%s: %s has %d levels: 1 to %d", source, key, list->n, max);
}

/* What the reader of each network's config.json would refuse must not be written. */
static atm_status check_part(const char *source, const atm_model_part_info *part,
                             const atm_model_config *config)
{
    atm_model_config scratch;
    atm_json json = { 0 };
    if (asprintf(&json.path, "%s (%s)", source, part->folder) < 0)
        return atm_fail(ATM_E_MEMORY, "no memory for a path");
    json.root = part->json(config);
    const atm_status status = json.root ? part->read(&json, &scratch)
                                        : atm_fail(ATM_E_MEMORY, "no memory for JSON");
    atm_json_free(&json);
    return status;
}

static atm_status check_parts(const char *source, const atm_model_config *config)
{
    for (int i = 0; i < atm_n_model_parts; i++) {
        const atm_model_part_info *part = &atm_model_parts[i];
        if (!part->absent || !part->absent(config)) TRY_RETURN(check_part(source, part, config));
    }
    const atm_status status = atm_model_config_check(config);
    return status == ATM_OK ? ATM_OK : atm_fail_in(status, "%s", source);
}

static atm_status to_recipe(const sheet *s, const char *source, atm_recipe *out)
{
    TRY_RETURN(check_levels(source, "unet.block_out_channels", &s->unet.channels, ATM_UNET_LEVELS));
    TRY_RETURN(check_levels(source, "vae.block_out_channels", &s->vae.channels, ATM_VAE_LEVELS));
    *out = (atm_recipe){ .dtype = dtypes[s->dtype], .text_tokens = s->text.length };
    atm_model_config *c = &out->config;
    c->image_encoder = image_encoder(s);
    c->audio_encoder = audio_encoder(s);
    c->adapter = (atm_adapter_config){ s->image.projection_dim, s->adapter.hidden_dim, s->gpt2.n_embd,
                                       s->adapter.n_tokens };
    c->language_model = gpt2(s);
    c->unet = unet(s);
    c->vae = vae(s);
    c->vocoder = vocoder(s);
    c->schedule = atm_schedule_audioldm2;
    c->schedule.prediction_type = (atm_prediction)s->prediction;
    return check_parts(source, c);
}

/* ------------------------------------------------------------------ reading */

atm_status atm_recipe_load(const char *path, const char *const *assignment, int n, atm_recipe *out)
{
    sheet s = full_size();
    TRY_RETURN(atm_config_load(path, fields, N_FIELDS, &s));
    for (int i = 0; i < n; i++) TRY_RETURN(atm_config_override(assignment[i], fields, N_FIELDS, &s));
    return to_recipe(&s, path, out);
}

atm_status atm_recipe_parse(const char *yaml, size_t bytes, const char *source, atm_recipe *out)
{
    sheet s = full_size();
    TRY_RETURN(atm_config_parse(yaml, bytes, source, fields, N_FIELDS, &s));
    return to_recipe(&s, source, out);
}
