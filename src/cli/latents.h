/* latents.h - starting noise from a safetensors file, and finished latents into
 * one: tensor `latents` [B, C, T, F], as diffusers' `latents=` and
 * `output_type="latent"`. */
#ifndef ATM_CLI_LATENTS_H
#define ATM_CLI_LATENTS_H

#include "arttomus/arttomus.h"
#include "io/tensor_file.h"

typedef struct {                        /* {0} is empty */
    atm_tensor_file *file;
    const float *start;                 /* [clips, clip_size], or NULL */
    float *finished;                    /* [n_finished, clip_size]     */
    int n_finished;
    size_t clip_size;
    int64_t dim[4];                     /* of the whole tensor */
} cli_latents;

/* Checks that the file (NULL: none) holds exactly `clips` latents of this duration. */
atm_status cli_latents_open(cli_latents *latents, const char *path, const atm_model *model, int clips,
                            double duration);

/* Sets options->latents to those of clips first.. when there are any. */
void cli_latents_slice(const cli_latents *latents, int first, int clips, atm_generate_options *options);

atm_status cli_latents_keep(cli_latents *latents, const atm_result *result);
atm_status cli_latents_save(const cli_latents *latents, const char *path);
void       cli_latents_free(cli_latents *latents);

#endif
