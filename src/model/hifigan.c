/* hifigan.c - the HiFi-GAN generator.
 *
 *     x = conv_pre(mel)
 *     for every upsampler i:
 *         x = upsampler_i(leaky(x))                        transposed convolution
 *         x = mean over k of resblock_{i K + k}(x)
 *     waveform = tanh(conv_post(leaky'(x)))
 *     resblock:  for every dilation d:  x += conv2(leaky(conv1_d(leaky(x))))
 *
 * These have caused bugs in ports: leaky' has slope 0.01, all others leaky_relu_slope; the
 * residual blocks are averaged, not summed; a transposed convolution's weight is
 * [in, out, kernel]; with an odd kernel - rate the first upsampler gives one
 * position more than rate * L, which later ones multiply to 32 samples.
 *
 * Files also hold `mean` and `scale`, for normalize_before, which AudioLDM2 does
 * not use: nothing here reads them.
 *
 * Source: transformers 4.30, models/speecht5/modeling_speecht5.py
 * (SpeechT5HifiGan); J. Kong et al., HiFi-GAN, arXiv 2010.05646. */
#include "base/status.h"
#include "model/config_fields.h"
#include "model/hf_config.h"
#include "model/hifigan.h"
#include "model/layers.h"

static const double LAST_SLOPE = 0.01;
enum { END_KERNEL = 7 };                /* of conv_pre and conv_post */

/* ------------------------------------------------------------------ configuration */

atm_hifigan_config atm_hifigan_config_audioldm2(void)
{
    return (atm_hifigan_config){
        .model_in_dim = 64, .sampling_rate = 16000, .upsample_initial_channel = 1024,
        .leaky_relu_slope = 0.1,
        .upsample_rates = { 5, { 5, 4, 2, 2, 2 } }, .upsample_kernel_sizes = { 5, { 16, 16, 8, 4, 4 } },
        .resblock_kernel_sizes = { 3, { 3, 7, 11 } },
        .resblock_dilation_sizes = { 3, { { 3, { 1, 3, 5 } }, { 3, { 1, 3, 5 } }, { 3, { 1, 3, 5 } } } },
    };
}

const char *const atm_decoder_names[ATM_DECODER_COUNT + 1] = { "vocoder", "griffin_lim", "hybrid", NULL };

static const atm_field fields[] = {
    ATM_FIELD_ENUM(atm_hifigan_config, decoder, atm_decoder_names, ATM_OPTIONAL),
    ATM_FIELD_INT(atm_hifigan_config, model_in_dim, 1, 4096, ATM_OPTIONAL),
    ATM_FIELD_INT(atm_hifigan_config, sampling_rate, 1, 1000000, ATM_OPTIONAL),
    ATM_FIELD_INT(atm_hifigan_config, upsample_initial_channel, 1, 1 << 15, ATM_OPTIONAL),
    ATM_FIELD_DOUBLE(atm_hifigan_config, leaky_relu_slope, 0, 1, ATM_OPTIONAL),
    ATM_FIELD_FIXED("normalize_before", "false"),
};

static atm_status check_upsamplers(const atm_json *json, const atm_hifigan_config *c)
{
    const atm_int_list *rate = &c->upsample_rates, *kernel = &c->upsample_kernel_sizes;
    if (rate->n != kernel->n)
        return atm_fail(ATM_E_CONFIG, "%s: %d 'upsample_rates', but %d 'upsample_kernel_sizes'",
                        json->path, rate->n, kernel->n);
    for (int i = 0; i < rate->n; i++)
        if (kernel->v[i] < rate->v[i])
            return atm_fail(ATM_E_CONFIG, "%s: 'upsample_kernel_sizes' %d is below its rate %d",
                            json->path, kernel->v[i], rate->v[i]);
    if (c->upsample_initial_channel >> rate->n < 1)
        return atm_fail(ATM_E_CONFIG, "%s: 'upsample_initial_channel' %d cannot be halved %d times",
                        json->path, c->upsample_initial_channel, rate->n);
    return ATM_OK;
}

static atm_status check_resblocks(const atm_json *json, const atm_hifigan_config *c)
{
    const atm_int_list *kernel = &c->resblock_kernel_sizes;
    if (kernel->n != c->resblock_dilation_sizes.n || kernel->n < 1)
        return atm_fail(ATM_E_CONFIG, "%s: %d 'resblock_kernel_sizes', but 'resblock_dilation_sizes' has %d"
                        " rows", json->path, kernel->n, c->resblock_dilation_sizes.n);
    for (int i = 0; i < kernel->n; i++)
        if (kernel->v[i] % 2 == 0)
            return atm_fail(ATM_E_CONFIG, "%s: 'resblock_kernel_sizes' %d is even: lengths would change",
                            json->path, kernel->v[i]);
    return ATM_OK;
}

static atm_status read_list(const atm_json *json, const char *key, int max, atm_int_list *out)
{
    return atm_json_int_list(json, key, ATM_REQUIRED, 1, max, out);
}

atm_status atm_hifigan_config_read(const atm_json *json, atm_hifigan_config *out)
{
    *out = (atm_hifigan_config){ .model_in_dim = 80, .sampling_rate = 16000, .upsample_initial_channel = 512,
                                 .leaky_relu_slope = 0.1 };
    TRY_RETURN(atm_fields_read(json, NULL, fields, ATM_N_FIELDS(fields), out));
    TRY_RETURN(read_list(json, "upsample_rates", 64, &out->upsample_rates));
    TRY_RETURN(read_list(json, "upsample_kernel_sizes", 256, &out->upsample_kernel_sizes));
    TRY_RETURN(read_list(json, "resblock_kernel_sizes", 255, &out->resblock_kernel_sizes));
    TRY_RETURN(atm_json_int_table(json, "resblock_dilation_sizes", ATM_REQUIRED, 1, 255, 1,
                                  &out->resblock_dilation_sizes));
    TRY_RETURN(check_upsamplers(json, out));
    return check_resblocks(json, out);
}

static void set_list(json_t *object, const char *key, const atm_int_list *list)
{
    json_object_set_new(object, key, atm_hf_ints_json(list->v, list->n));
}

json_t *atm_hifigan_config_json(const atm_hifigan_config *c)
{
    json_t *object = json_object(), *dilations = json_array();
    for (int i = 0; i < c->resblock_dilation_sizes.n; i++)
        json_array_append_new(dilations, atm_hf_ints_json(c->resblock_dilation_sizes.row[i].v,
                                                       c->resblock_dilation_sizes.row[i].n));
    json_object_set_new(object, "model_type", json_string("hifigan"));
    set_list(object, "upsample_rates", &c->upsample_rates);
    set_list(object, "upsample_kernel_sizes", &c->upsample_kernel_sizes);
    set_list(object, "resblock_kernel_sizes", &c->resblock_kernel_sizes);
    json_object_set_new(object, "resblock_dilation_sizes", dilations);
    atm_fields_write(object, fields, ATM_N_FIELDS(fields), c);
    return object;
}

static int padding(const atm_hifigan_config *c, int i)
{
    return (c->upsample_kernel_sizes.v[i] - c->upsample_rates.v[i]) / 2;
}

int atm_hifigan_length(const atm_hifigan_config *c, int frames)
{
    int length = frames;
    for (int i = 0; i < c->upsample_rates.n; i++) {
        const int extra = c->upsample_kernel_sizes.v[i] - 2 * padding(c, i);
        if (__builtin_mul_overflow(length - 1, c->upsample_rates.v[i], &length) ||
            __builtin_add_overflow(length, extra, &length))
            return -1;
    }
    return length;
}

/* ------------------------------------------------------------------ the network */

static atm_tensor conv(atm_plan *p, const char *list, int i, atm_tensor x, int kernel, atm_conv_options o)
{
    atm_scope(p, "%s", list);
    char name[16];
    snprintf(name, sizeof name, "%d", i);
    const atm_tensor y = atm_nn_conv1d(p, name, x, atm_channels(x), kernel, o);
    atm_scope_end(p);
    return y;
}

/* `leaky`: leaky(x), which all residual blocks of one input share. */
static atm_tensor resblock(atm_plan *p, const atm_hifigan_config *c, int k, atm_tensor x, atm_tensor leaky)
{
    const int kernel = c->resblock_kernel_sizes.v[k];
    for (int j = 0; j < c->resblock_dilation_sizes.row[k].n; j++) {
        const int d = c->resblock_dilation_sizes.row[k].v[j];
        if (j > 0) leaky = atm_activate(p, x, ATM_ACT_LEAKY_RELU, c->leaky_relu_slope);
        const atm_conv_options dilated = { .dil = d, .pad = (kernel - 1) * d / 2,
                                           .act = ATM_ACT_LEAKY_RELU, .slope = c->leaky_relu_slope };
        const atm_tensor h = conv(p, "convs1", j, leaky, kernel, dilated);
        x = conv(p, "convs2", j, h, kernel, (atm_conv_options){ .pad = kernel / 2, .residual = x });
    }
    return x;
}

static atm_tensor resblocks(atm_plan *p, const atm_hifigan_config *c, int stage, atm_tensor x)
{
    const int n = c->resblock_kernel_sizes.n;
    const double share = 1.0 / n;
    const atm_tensor leaky = atm_activate(p, x, ATM_ACT_LEAKY_RELU, c->leaky_relu_slope);
    atm_tensor sum = ATM_NONE;
    for (int k = 0; k < n; k++) {
        atm_scope(p, "resblocks.%d", stage * n + k);
        const atm_tensor y = resblock(p, c, k, x, leaky);
        atm_scope_end(p);
        sum = k > 0 ? atm_add_scaled(p, sum, k > 1 ? 1 : share, y, share) : y;
    }
    return sum;
}

static atm_tensor upsample(atm_plan *p, const atm_hifigan_config *c, int stage, atm_tensor x)
{
    char name[32];
    snprintf(name, sizeof name, "upsampler.%d", stage);
    x = atm_activate(p, x, ATM_ACT_LEAKY_RELU, c->leaky_relu_slope);
    return atm_nn_conv_transpose1d(p, name, x, c->upsample_initial_channel >> (stage + 1),
                                   c->upsample_kernel_sizes.v[stage], c->upsample_rates.v[stage],
                                   padding(c, stage));
}

atm_tensor atm_hifigan(atm_plan *p, const atm_hifigan_config *c, atm_tensor mel)
{
    const atm_conv_options same = { .pad = END_KERNEL / 2 };
    const atm_conv_options last = { .pad = END_KERNEL / 2, .act = ATM_ACT_TANH };
    atm_tensor x = atm_nn_conv1d(p, "conv_pre", mel, c->upsample_initial_channel, END_KERNEL, same);
    for (int i = 0; i < c->upsample_rates.n; i++) x = resblocks(p, c, i, upsample(p, c, i, x));
    x = atm_activate(p, x, ATM_ACT_LEAKY_RELU, LAST_SLOPE);
    x = atm_nn_conv1d(p, "conv_post", x, 1, END_KERNEL, last);
    return atm_reshape(p, x, ATM_DIMS(x.dim[0], x.dim[1]));
}
