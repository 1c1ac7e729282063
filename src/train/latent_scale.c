/* latent_scale.c - see latent_scale.h.
 *
 *     mean'_c = mean_c - m_c:                  quant_conv.bias_c      -= m_c
 *     decode'(z) = decode(z + m):              post_quant_conv.bias   += W_post m
 *     scaling_factor = 1 / sqrt(mean over channels of var_c)
 */
#include "train/latent_scale.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"
#include "model/model_parts.h"

enum { BATCHES = 16, MAX_CHANNELS = 64 };

typedef struct { double mean[MAX_CHANNELS], std; } latent_statistics;

/* ------------------------------------------------------------------ measuring */

static void add_sums(const float *x, size_t pixels, int channels, double *sum, double *square)
{
    for (size_t i = 0; i < pixels; i++)
        for (int c = 0; c < channels; c++) {
            const double v = x[i * (size_t)channels + (size_t)c];
            sum[c] += v;
            square[c] += v * v;
        }
}

static void finish_sums(int channels, double n, const double *sum, const double *square, latent_statistics *out)
{
    double variance = 0;
    for (int c = 0; c < channels; c++) {
        out->mean[c] = sum[c] / n;
        variance += (square[c] / n - out->mean[c] * out->mean[c]) / channels;
    }
    out->std = sqrt(variance);
}

static atm_status open_loader(const atm_stage *s, atm_loader **out)
{
    return atm_loader_open(&(atm_loader_options){
        .dataset = s->dataset, .column = s->column, .n_columns = s->n_columns, .split = ATM_SPLIT_TRAIN,
        .clips = s->clips, .seed = (uint64_t)s->config->seed, .batch = s->micro_batch, .micro_batches = 1, .ranks = 1
    }, out);
}

static atm_status measure(const atm_stage *s, atm_plan *plan, atm_tensor mel, atm_tensor mean, latent_statistics *out)
{
    double sum[MAX_CHANNELS] = { 0 }, square[MAX_CHANNELS] = { 0 };
    const int channels = atm_last_dim(mean);
    const size_t pixels = atm_count(mean) / (size_t)channels;
    float *host = malloc(atm_count(mean) * sizeof *host);
    atm_loader *loader = NULL;
    atm_loaded batch;
    atm_status status = host ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for %zu latent numbers", atm_count(mean));
    if (status == ATM_OK) status = open_loader(s, &loader);
    for (int i = 0; i < BATCHES && status == ATM_OK; i++) {
        TRY(atm_loader_next(loader, &batch));
        TRY(atm_plan_write_f32(plan, mel, batch.column[0]));
        TRY(atm_plan_run(plan));
        TRY(atm_plan_read_f32(plan, mean, host));
        add_sums(host, pixels, channels, sum, square);
    }
    if (status == ATM_OK) finish_sums(channels, (double)BATCHES * (double)pixels, sum, square, out);
done:
    atm_loader_close(loader);
    free(host);
    return status;
}

/* ------------------------------------------------------------------ writing */

static int index_of(const atm_file_tensor *tensor, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(tensor[i].name, name) == 0) return (int)i;
    return -1;
}

/* The three tensors in `tensor` are replaced by changed copies in quant and post. */
static void shift(const latent_statistics *s, int channels, const float *weight, float *quant, float *post)
{
    for (int c = 0; c < channels; c++) quant[c] -= (float)s->mean[c];
    for (int o = 0; o < channels; o++)
        for (int i = 0; i < channels; i++) post[o] += (float)(weight[o * channels + i] * s->mean[i]);
}

/* Biases stay in F32: a shift of the latents' mean is not for bf16's 8 bits. */
static void set_f32(atm_file_tensor *t, const float *data)
{
    t->bytes = t->bytes / atm_dtype_size(t->dtype) * sizeof *data;
    t->dtype = ATM_F32;
    t->data = data;
}

static atm_status rewrite_weights(const char *path, const latent_statistics *s, int channels)
{
    atm_tensor_file *file = NULL;
    float quant[2 * MAX_CHANNELS], post[MAX_CHANNELS], weight[MAX_CHANNELS * MAX_CHANNELS];
    atm_status status = atm_tensor_file_open(path, &file);
    if (status != ATM_OK) return status;
    const size_t n = atm_tensor_file_count(file);
    atm_file_tensor *tensor = malloc(n * sizeof *tensor);
    if (!tensor) TRY(atm_fail(ATM_E_MEMORY, "no memory for a list of %zu tensors", n));
    for (size_t i = 0; i < n; i++) tensor[i] = *atm_tensor_file_at(file, i);
    const int q = index_of(tensor, n, "quant_conv.bias"), b = index_of(tensor, n, "post_quant_conv.bias");
    const int w = index_of(tensor, n, "post_quant_conv.weight");
    if (q < 0 || b < 0 || w < 0) TRY(atm_fail(ATM_E_DATA, "%s has no quant_conv and post_quant_conv", path));
    atm_convert(quant, ATM_F32, tensor[q].data, tensor[q].dtype, 2 * (size_t)channels);
    atm_convert(post, ATM_F32, tensor[b].data, tensor[b].dtype, (size_t)channels);
    atm_convert(weight, ATM_F32, tensor[w].data, tensor[w].dtype, (size_t)channels * (size_t)channels);
    shift(s, channels, weight, quant, post);
    set_f32(&tensor[q], quant);
    set_f32(&tensor[b], post);
    status = atm_safetensors_write(path, tensor, n, (atm_text_pair[]){ { "format", "pt" } }, 1);
done:
    free(tensor);
    atm_tensor_file_close(file);
    return status;
}

static atm_status rewrite_config(const char *path, const atm_vae_config *config)
{
    json_t *json = atm_vae_config_json(config);
    const atm_status status = json ? atm_json_write(path, json) : atm_fail(ATM_E_MEMORY, "no memory for JSON");
    json_decref(json);
    return status;
}

atm_status atm_normalize_latents(atm_stage *stage, atm_plan *plan, atm_tensor mel, atm_tensor mean,
                                 const char *model_folder)
{
    char path[ATM_PATH_BYTES];
    latent_statistics s;
    atm_vae_config config = stage->model->config.vae;
    if (config.latent_channels > MAX_CHANNELS)
        return atm_fail(ATM_E_CONFIG, "vae.normalize_latents: %d latent channels, at most %d are supported",
                        config.latent_channels, MAX_CHANNELS);
    TRY_RETURN(measure(stage, plan, mel, mean, &s));
    if (!(s.std > 0 && isfinite(s.std)))
        return atm_fail(ATM_E_DATA, "vae.normalize_latents: the latents' standard deviation is %g: the VAE has collapsed "
                        "(vae.kl_weight %g), or all training clips are the same", s.std, stage->config->vae.kl_weight);
    TRY_RETURN(atm_model_path(path, model_folder, "vae", "diffusion_pytorch_model.safetensors"));
    TRY_RETURN(rewrite_weights(path, &s, config.latent_channels));
    config.scaling_factor = 1 / s.std;
    TRY_RETURN(atm_model_path(path, model_folder, "vae", "config.json"));
    return rewrite_config(path, &config);
}
