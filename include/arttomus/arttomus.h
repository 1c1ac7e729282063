/* arttomus.h - an artwork in, music out.
 *
 *     atm_model *model = NULL;
 *     atm_result *music = NULL;
 *     atm_artwork art = { .size = sizeof art, .path = "great_wave.jpg" };
 *
 *     atm_status status = atm_open(NULL, NULL, &model);
 *     if (!status) status = atm_generate(model, 1, &art, NULL, &music);
 *     if (!status) status = atm_save_audio(music, 0, "great_wave.wav", NULL);
 *     if (status) fprintf(stderr, "%s\n", atm_error());
 *     atm_result_free(music);
 *     atm_close(model);
 *
 * Compile with `cc paint.c $(pkg-config --cflags --libs arttomus)`.
 *
 * Conventions.  Every function that can fail returns an atm_status; the text is
 * atm_error() of the calling thread (arttomus/status.h).  Structs begin with
 * their own size, so that later versions may append fields:
 * `{ .size = sizeof options, ... }`.  A field left 0 or NULL means its default.
 * The library never prints, exits, or touches signals.
 *
 * Threads.  One model serves one call at a time; several models may be open and
 * used from several threads.  Results belong to the caller and outlive the model.
 *
 * The same request gives the same bits, at any number of threads, for a clip
 * alone or among others. */
#ifndef ARTTOMUS_ARTTOMUS_H
#define ARTTOMUS_ARTTOMUS_H

#include <stddef.h>
#include <stdint.h>

#include "arttomus/log.h"
#include "arttomus/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0" */
ATM_API const char *atm_version(void);

/* ------------------------------------------------------------------ models */

typedef struct atm_model atm_model;

typedef struct {
    size_t size;
    const char *backend;        /* "auto" (default), "cpu", "cuda", "ref"                        */
    int threads;                /* default: one for each core this process may use               */
    size_t memory_limit;        /* bytes; a request needing more fails before its first step.
                                   Default: the memory that is available when it starts          */
} atm_open_options;

/* `folder` holds a model in the layout of Hugging Face diffusers plus adapter/,
 * image_encoder/ and conditioning/.  NULL opens the default model: the folder
 * named by $ARTTOMUS_MODEL, or the one installed, or, when there is none, the
 * built-in small configuration with random weights, whose music is noise
 * (atm_info.trained is 0, and the first atm_generate logs a warning).
 * Files are mapped and checked, but weights are read when they are first needed. */
ATM_API atm_status atm_open(const char *folder, const atm_open_options *options, atm_model **out);
ATM_API void       atm_close(atm_model *model);             /* NULL is allowed */

typedef struct {
    size_t size;
    const char *folder;         /* "" for the built-in model; lives as long as the model         */
    const char *backend;        /* the one in use                                                */
    int threads;
    int trained;                /* 0: random weights                                             */
    int embedding_dim;          /* of an artwork's embedding, e.g. 1024                          */
    int sample_rate;            /* of the music, Hz                                              */
    int latent_channels, latent_bins;   /* C and F of a latent [C, T, F]                         */
    int mel_bins;
} atm_info;

/* Fills *info, of which the caller has set `size`. */
ATM_API atm_status atm_get_info(const atm_model *model, atm_info *info);

/* ------------------------------------------------------------------ artworks */

/* One artwork: the first of path, bytes, rgb, embedding that is set. */
typedef struct {
    size_t size;
    const char *path;                           /* a JPEG, PNG or WebP file                      */
    const void *bytes; size_t n_bytes;          /* the content of such a file                    */
    const uint8_t *rgb; int width, height;      /* rows from the top, 3 bytes a pixel, no gaps   */
    const float *embedding;                     /* atm_info.embedding_dim floats, of unit length */
    uint64_t seed;                              /* of the noise that its music starts from       */
} atm_artwork;

/* What the model sees in an artwork: `embedding` receives atm_info.embedding_dim
 * floats of unit length.  Worth keeping when an artwork is used again. */
ATM_API atm_status atm_encode(atm_model *model, const atm_artwork *artwork, float *embedding);

/* ------------------------------------------------------------------ generating */

typedef struct {
    size_t size;
    double fraction;            /* of the whole request's work, 0 to 1                           */
    const char *stage;          /* "encode", "condition", "denoise", "decode"                    */
    int step, n_steps;          /* within the stage, counted over all clips                      */
} atm_progress;

/* Called before the first and after every step.  Return 0 to go on; anything
 * else stops the request, which then returns ATM_E_CANCELLED. */
typedef int (*atm_progress_callback)(const atm_progress *progress, void *user);

typedef struct {
    size_t size;
    int steps;                  /* of denoising, 1 to 1000; default 25                           */
    const char *sampler;        /* "dpm++" (default), "dpm++-karras", "ddim"                     */
    double eta;                 /* 0 to 1, ddim only: noise added at each step; default 0        */
    double guidance;            /* >= 1; 1 follows the condition once, without contrast, and
                                   takes half the time; default 3.5                              */
    double duration;            /* seconds, 1 to 600; default 10                                 */
    int n;                      /* variants of each artwork; default 1                           */
    int batch;                  /* clips computed together: faster, more memory; default 1       */
    const float *latents;       /* starting noise [clips, C, T, F] with T = atm_latent_frames(),
                                   instead of the seeds'                                         */
    size_t n_latents;           /* floats in `latents`                                           */
    atm_progress_callback progress;
    void *user;                 /* given to `progress`                                           */
} atm_generate_options;

typedef struct atm_result atm_result;

/* Makes n_artworks * options->n clips; clip i * n + j is variant j of artwork i.
 * `options` may be NULL.  artworks[0].size is the array's stride. */
ATM_API atm_status atm_generate(atm_model *model, int n_artworks, const atm_artwork *artworks,
                                const atm_generate_options *options, atm_result **out);

/* T: frames of the latent of a clip of so many seconds. */
ATM_API int atm_latent_frames(const atm_model *model, double duration);

/* Bytes that such a request needs at its peak, weights included. */
ATM_API atm_status atm_memory_needed(atm_model *model, int n_artworks,
                                     const atm_generate_options *options, size_t *bytes);

/* ------------------------------------------------------------------ results
 * Pointers into a result live as long as the result.  `clip` counts from 0; for
 * one that does not exist the pointers are NULL. */

typedef struct { const float *data; size_t n; int rate; } atm_samples;      /* mono, -1 to 1     */
typedef struct { const float *data; int rows, columns; } atm_matrix;        /* row by row        */

ATM_API void        atm_result_free(atm_result *result);        /* NULL is allowed */
ATM_API int         atm_result_clips(const atm_result *result);
ATM_API atm_samples atm_result_audio(const atm_result *result, int clip);
ATM_API atm_matrix  atm_result_mel(const atm_result *result, int clip);     /* frames x bins, ln */
ATM_API atm_matrix  atm_result_latent(const atm_result *result, int clip);  /* C T rows of F     */

/* Writes one clip; nothing is left behind when it fails.  `format`: "wav" (float),
 * "wav16", "flac", "ogg"; NULL: as the file's extension says, "wav" when it has none. */
ATM_API atm_status atm_save_audio(const atm_result *result, int clip, const char *path, const char *format);

/* Writes a PNG of the clip's mel spectrogram, low notes at the bottom. */
ATM_API atm_status atm_save_spectrogram(const atm_result *result, int clip, const char *path);

#ifdef __cplusplus
}
#endif
#endif
