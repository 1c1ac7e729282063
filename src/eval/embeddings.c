/* embeddings.c - artworks and clips of the data as the model's two encoders see them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/audio_clips.h"
#include "data/resize.h"
#include "eval/networks.h"

/* ------------------------------------------------------------------ artworks */

static atm_status read_embeddings(const atm_dataset *data, const atm_column *column, int n,
                                  const int32_t *row, float *out)
{
    for (int i = 0; i < n; i++)
        TRY_RETURN(eval_read(data, column, (size_t)row[i], out + (size_t)i * (size_t)column->dim[0]));
    return ATM_OK;
}

static atm_status open_image_encoder(eval_job *job, eval_network *net)
{
    const atm_image_encoder_config *c = &job->model.config.image_encoder;
    TRY_RETURN(eval_network_begin(job->device, &job->model, "image-encoder", net));
    net->in = atm_input(net->plan, "pixels", ATM_INPUT_VARIES, ATM_DIMS(1, 3, c->image_size, c->image_size));
    return eval_network_finish(net, atm_image_encoder(net->plan, c, net->in).unit);
}

static atm_status check_pixels(const eval_job *job, const atm_dataset *data, const atm_column *c)
{
    const int side = job->model.config.image_encoder.image_size;
    if (c->rank == 3 && c->dim[0] == side && c->dim[1] == side && c->dim[2] == 3 && c->dtype == ATM_U8)
        return ATM_OK;
    return atm_fail(ATM_E_DATA, "%s: pixels are %d x %d, the image encoder takes %d x %d: prepare the data "
                    "with this model", atm_dataset_path(data), c->dim[0], c->dim[1], side, side);
}

static atm_status encode_pixels(eval_job *job, const atm_dataset *data, const atm_column *column, int n,
                                const int32_t *row, float *out)
{
    const atm_image_encoder_config *c = &job->model.config.image_encoder;
    const int side = c->image_size;
    const size_t count = 3 * (size_t)side * (size_t)side, dim = (size_t)c->projection_dim;
    eval_network net = { 0 };
    atm_status status = ATM_OK;
    uint8_t *rgb = malloc(count);
    float *pixels = malloc(count * sizeof *pixels);
    if (!rgb || !pixels) TRY(atm_fail(ATM_E_MEMORY, "no memory for a picture of %d x %d", side, side));
    TRY(check_pixels(job, data, column));
    TRY(open_image_encoder(job, &net));
    for (int i = 0; i < n; i++) {
        const atm_image square = { side, side, rgb };
        TRY(atm_dataset_read(data, column, (size_t)row[i], rgb));
        /* of the size already: nothing is cropped */
        TRY(atm_image_to_chw_normalised(&square, side, ATM_CROP_HF, atm_clip_mean, atm_clip_std, pixels));
        TRY(eval_network_run(&net, pixels, out + (size_t)i * dim));
        TRY(eval_tick(job, i, 2 * n));
    }
done:
    eval_network_close(&net);
    free(rgb);
    free(pixels);
    return status;
}

atm_status eval_embed_artworks(eval_job *job, const atm_dataset *data, int n, const int32_t *row, float *out)
{
    const atm_column *embedding = atm_dataset_find(data, "artworks/embedding");
    const atm_column *pixels = atm_dataset_find(data, "artworks/pixels");
    const int dim = job->model.config.image_encoder.projection_dim;
    bool ours = false;
    if (embedding && embedding->rank == 1 && embedding->dim[0] == dim)
        TRY_RETURN(eval_made_by(job, data, "image_encoder", "image-encoder", &ours));
    if (ours) return read_embeddings(data, embedding, n, row, out);
    if (pixels) return encode_pixels(job, data, pixels, n, row, out);
    return atm_fail(ATM_E_DATA, "%s %s: run `arttomus prepare` with this model and the column embedding",
                    atm_dataset_path(data), embedding ? "has embeddings of another image encoder"
                                                      : "has neither artworks/embedding nor artworks/pixels");
}

/* ------------------------------------------------------------------ clips */

static atm_status open_audio_encoder(eval_job *job, eval_network *net)
{
    const atm_audio_encoder_config *c = &job->model.config.audio_encoder;
    if (c->hidden_size == 0)
        return atm_fail(ATM_E_CONFIG, "%s has no audio_encoder/: it cannot hear", job->model.path);
    if (c->num_mel_bins != ATM_FBANK_BANDS || c->num_frames != ATM_CLIP_FRAMES)
        return atm_fail(ATM_E_CONFIG, "%s: its audio encoder hears %d x %d, clips are %d x %d",
                        job->model.path, c->num_mel_bins, c->num_frames, ATM_FBANK_BANDS, ATM_CLIP_FRAMES);
    TRY_RETURN(eval_network_begin(job->device, &job->model, "audio-encoder", net));
    net->in = atm_input(net->plan, "features", ATM_INPUT_VARIES,
                        ATM_DIMS(ATM_CLIPS, 1, c->num_mel_bins, c->num_frames));
    return eval_network_finish(net, atm_audio_encoder(net->plan, c, net->in).unit);
}

/* The direction of the sum of n vectors [n, dim]. */
static void mean_direction(const float *x, size_t n, size_t dim, float *out)
{
    double square = 0;
    for (size_t k = 0; k < dim; k++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += (double)x[i * dim + k];
        out[k] = (float)sum;
        square += sum * sum;
    }
    for (size_t k = 0; k < dim && square > 0; k++) out[k] = (float)((double)out[k] / sqrt(square));
}

static atm_status embed_sounds(eval_job *job, eval_network *net, const atm_dataset *data,
                               const atm_column *column, int n, const int32_t *row, float *out)
{
    const size_t samples = (size_t)column->dim[0], dim = (size_t)net->out.dim[1];
    float *x = malloc(samples * sizeof *x), *features = malloc(atm_count(net->in) * sizeof *features);
    float *three = malloc(ATM_CLIPS * dim * sizeof *three);
    atm_status status = ATM_OK;
    if (!x || !features || !three)
        TRY(atm_fail(ATM_E_MEMORY, "no memory for a sound of %zu samples", samples));
    for (int i = 0; i < n; i++) {
        const atm_audio sound = { ATM_FBANK_RATE, 1, samples, x };
        TRY(eval_read(data, column, (size_t)row[i], x));
        TRY(atm_audio_clips(&sound, ATM_CLIP_RULE_TO_THE_END, features));
        TRY(eval_network_run(net, features, three));
        mean_direction(three, ATM_CLIPS, dim, out + (size_t)i * dim);
        TRY(eval_tick(job, n + i, 2 * n));
    }
done:
    free(x);
    free(features);
    free(three);
    return status;
}

atm_status eval_embed_clips(eval_job *job, const atm_dataset *data, int n, const int32_t *row, float *out)
{
    const atm_column *audio;
    eval_network net = { 0 };
    atm_status status;
    TRY(eval_find(data, "clips/audio", &audio));
    TRY(open_audio_encoder(job, &net));
    TRY(embed_sounds(job, &net, data, audio, n, row, out));
done:
    eval_network_close(&net);
    return status;
}
