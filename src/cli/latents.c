/* latents.c - see latents.h. */
#include "cli/latents.h"

#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "io/safetensors.h"

static atm_status check_shape(const cli_latents *l, const char *path, const atm_file_tensor *t)
{
    char have[ATM_SHAPE_TEXT], want[ATM_SHAPE_TEXT];
    if (!t) return atm_fail(ATM_E_DATA, "%s: holds no tensor `latents`", path);
    if (t->dtype == ATM_F32 && t->rank == 4 && !memcmp(t->dim, l->dim, sizeof l->dim)) return ATM_OK;
    return atm_fail(ATM_E_DATA, "%s: `latents` is %s %s, and this request takes F32 %s", path,
                    atm_dtype_name(t->dtype),
                    atm_shape_text(have, t->dim, t->rank), atm_shape_text(want, l->dim, 4));
}

atm_status cli_latents_open(cli_latents *l, const char *path, const atm_model *model, int clips,
                            double duration)
{
    atm_info info = { .size = sizeof info };
    TRY_RETURN(atm_get_info(model, &info));
    const int frames = atm_latent_frames(model, duration);
    memcpy(l->dim, (int64_t[4]){ clips, info.latent_channels, frames, info.latent_bins }, sizeof l->dim);
    l->clip_size = (size_t)info.latent_channels * (size_t)frames * (size_t)info.latent_bins;
    if (!path) return ATM_OK;
    TRY_RETURN(atm_tensor_file_open(path, &l->file));
    const atm_file_tensor *t = atm_tensor_file_find(l->file, "latents");
    TRY_RETURN(check_shape(l, path, t));
    l->start = t->data;
    return ATM_OK;
}

void cli_latents_slice(const cli_latents *l, int first, int clips, atm_generate_options *options)
{
    if (!l->start) return;
    options->latents = l->start + (size_t)first * l->clip_size;
    options->n_latents = (size_t)clips * l->clip_size;
}

atm_status cli_latents_keep(cli_latents *l, const atm_result *result)
{
    const int more = atm_result_clips(result);
    size_t floats;
    float *grown = NULL;
    if (atm_mul_size((size_t)(l->n_finished + more), l->clip_size, &floats))
        grown = reallocarray(l->finished, floats, sizeof *grown);
    if (!grown) return atm_fail(ATM_E_MEMORY, "no memory to keep %d latents", l->n_finished + more);
    l->finished = grown;
    for (int i = 0; i < more; i++)
        memcpy(grown + (size_t)l->n_finished++ * l->clip_size, atm_result_latent(result, i).data,
               l->clip_size * sizeof *grown);
    return ATM_OK;
}

atm_status cli_latents_save(const cli_latents *l, const char *path)
{
    const atm_file_tensor t = {
        .name = "latents", .dtype = ATM_F32, .rank = 4,
        .dim = { l->n_finished, l->dim[1], l->dim[2], l->dim[3] },
        .data = l->finished, .bytes = (size_t)l->n_finished * l->clip_size * sizeof(float)
    };
    return atm_safetensors_write(path, &t, 1, NULL, 0);
}

void cli_latents_free(cli_latents *l)
{
    free(l->finished);
    atm_tensor_file_close(l->file);
    *l = (cli_latents){ 0 };
}
