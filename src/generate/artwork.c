/* artwork.c - from an artwork, in any of its forms, to the embedding that stands
 * for it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/resize.h"
#include "generate/artwork.h"
#include "generate/stages.h"

static atm_status from_rgb(const atm_artwork *a, atm_image *out)
{
    TRY_RETURN(atm_image_alloc(a->width, a->height, out));
    memcpy(out->rgb, a->rgb, (size_t)a->width * (size_t)a->height * 3);
    return ATM_OK;
}

static atm_status load_image(const atm_artwork *a, atm_image *out)
{
    if (a->path) return atm_image_load(a->path, out);
    if (a->bytes) return atm_image_decode(a->bytes, a->n_bytes, out);
    if (a->rgb) return from_rgb(a, out);
    return atm_fail(ATM_E_USAGE, "an artwork has neither path nor bytes nor rgb nor embedding");
}

/* ImageBind's preprocessing is torchvision's; CLIP's is transformers'. */
static atm_status load_pixels(const atm_model *model, const atm_artwork *a, float *pixels)
{
    const atm_image_encoder_config *c = &model->dir.config.image_encoder;
    const atm_crop crop = c->kind == ATM_IMAGE_ENCODER_CLIP ? ATM_CROP_HF : ATM_CROP_TORCHVISION;
    atm_image image = { 0 };
    TRY_RETURN(load_image(a, &image));
    const atm_status status =
        atm_image_to_chw_normalised(&image, c->image_size, crop, atm_clip_mean, atm_clip_std, pixels);
    atm_image_free(&image);
    return status;
}

/* A scan that is not finite would silence everything after it. */
static atm_status copy_embedding(const float *in, int n, float *out)
{
    for (int i = 0; i < n; i++)
        if (!isfinite(in[i]))
            return atm_fail(ATM_E_DATA, "number %d of an artwork's embedding is not finite", i);
    memcpy(out, in, (size_t)n * sizeof *out);
    return ATM_OK;
}

/* The image is read before the encoder's weights are: a bad one fails at once. */
static atm_status encode_image(atm_model *model, const atm_artwork *a, float *embedding)
{
    engine_stage encoder = { 0 };
    atm_status status = ATM_OK;
    const size_t side = (size_t)model->dir.config.image_encoder.image_size;
    float *pixels = malloc(3 * side * side * sizeof *pixels);
    if (!pixels) return atm_fail(ATM_E_MEMORY, "no memory for an image of %zu x %zu", side, side);
    TRY(load_pixels(model, a, pixels));
    TRY(engine_stage_open(model, ENGINE_IMAGE_ENCODER, 0, &encoder));
    TRY(engine_stage_run(&encoder, pixels, embedding));
done:
    engine_stage_close(&encoder);
    free(pixels);
    return status;
}

atm_artwork engine_artwork_at(const atm_artwork *first, int i)
{
    atm_artwork a = { 0 };
    const size_t size = first->size < sizeof a ? first->size : sizeof a;
    memcpy(&a, (const char *)first + (size_t)i * first->size, size);
    return a;
}

bool engine_is_embedding(const atm_artwork *a) { return a->embedding && !a->path && !a->bytes && !a->rgb; }

atm_status atm_encode(atm_model *model, const atm_artwork *artwork, float *embedding)
{
    const atm_artwork a = engine_artwork_at(artwork, 0);
    const int dim = model->dir.config.image_encoder.projection_dim;
    const atm_status status = engine_is_embedding(&a) ? copy_embedding(a.embedding, dim, embedding)
                                                      : encode_image(model, &a, embedding);
    if (status == ATM_OK || !a.path || strstr(atm_error(), a.path)) return status;
    return atm_fail_in(status, "%s", a.path);
}
