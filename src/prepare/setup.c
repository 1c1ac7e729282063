/* setup.c - before any work: the lists, the model, and the shapes that follow from them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/nearest.h"
#include "data/mel.h"
#include "prepare/job.h"

enum { LATENT_FRAME = 4 };              /* mel frames; where no model says otherwise */

/* The predecessor's framing takes 10 s, whatever the length of what it fills. */
enum { ART2MUS_SAMPLES = 10 * ATM_STFT_RATE };
static const double ART2MUS_MOST = 10.24;

/* ------------------------------------------------------------------ columns */

const char *const atm_prepare_column_names[] = { "embedding", "pixels", "latents", "mel", "audio", NULL };

static atm_status parse_column(const char *name, unsigned *out)
{
    for (int i = 0; i < ATM_PREPARE_COLUMNS; i++) {
        if (strcmp(name, atm_prepare_column_names[i])) continue;
        *out |= 1u << i;
        return ATM_OK;
    }
    const char *near = atm_nearest(name, atm_prepare_column_names, ATM_PREPARE_COLUMNS, sizeof(char *));
    if (near) return atm_fail(ATM_E_USAGE, "unknown column '%s': did you mean %s?", name, near);
    return atm_fail(ATM_E_USAGE, "unknown column '%s': known are embedding, pixels, latents, mel, audio",
                    name);
}

atm_status atm_prepare_columns_parse(const char *text, unsigned *out)
{
    unsigned columns = 0;
    char name[64];
    for (const char *at = text; ; at++) {
        const size_t n = strcspn(at, ",");
        if (n >= sizeof name) return atm_fail(ATM_E_USAGE, "unknown column '%.40s ...'", at);
        memcpy(name, at, n);
        name[n] = '\0';
        TRY_RETURN(parse_column(name, &columns));
        if (!*(at += n)) break;
    }
    *out = columns;
    return ATM_OK;
}

static atm_status choose_columns(atm_job *job)
{
    const atm_prepare_options *o = job->options;
    const unsigned default_columns = o->model ? (o->pairs ? ATM_PREPARE_EMBEDDING : 0u) | ATM_PREPARE_LATENTS
                                              : (unsigned)(ATM_PREPARE_MEL | ATM_PREPARE_AUDIO);
    job->columns = o->columns ? o->columns : default_columns;
    if (!o->model && job_wants(job, ATM_PREPARE_EMBEDDING | ATM_PREPARE_LATENTS))
        return atm_fail(ATM_E_USAGE, "embeddings and latents are made by a model: which? --model DIR");
    if (!o->pairs && job_wants_pictures(job))
        return atm_fail(ATM_E_USAGE, "embeddings and pixels are of artworks: which? --pairs FILE");
    return ATM_OK;
}

/* ------------------------------------------------------------------ lists */

static const char *folder_of(atm_job *job, const char *folder)
{
    const char *list = job->options->pairs, *slash = list ? strrchr(list, '/') : NULL;
    if (folder || !slash) return folder ? folder : ".";
    return atm_arena_printf(&job->list.arena, "%.*s", (int)(slash - list) + (slash == list), list);
}

/* Without a column for them artworks only multiply the pairs. */
static void forget_artworks(atm_pair_list *list)
{
    for (size_t i = 0; i < list->n; i++) list->row[i].artwork = NULL;
}

static atm_status read_list(atm_job *job)
{
    const atm_prepare_options *o = job->options;
    if (o->pairs) TRY_RETURN(atm_pairs_read(o->pairs, &job->list));
    else if (o->music) TRY_RETURN(atm_pairs_from_folder(o->music, &job->list));
    else return atm_fail(ATM_E_USAGE, "which music? --pairs FILE, or --music DIR");
    if (!job_wants_pictures(job)) forget_artworks(&job->list);
    const char *artworks = folder_of(job, o->artworks), *music = folder_of(job, o->music);
    if (!artworks || !music) return atm_fail(ATM_E_MEMORY, "no memory for a path");
    return atm_collection_make(&job->list, artworks, music, &job->collection);
}

static int count_used(const atm_source *source, int n)
{
    int used = 0;
    for (int i = 0; i < n; i++) used += source[i].splits != 0;
    return used;
}

static atm_status draw_splits(atm_job *job)
{
    atm_prepare_summary *s = &job->summary;
    atm_collection *c = &job->collection;
    s->crossing = atm_split_draw(c, job->options->shares);
    s->repeated = c->repeated;
    s->listed_pairs = c->n_matches;
    s->listed_artworks = count_used(c->artwork, c->n_artworks);
    s->listed_tracks = count_used(c->track, c->n_tracks);
    for (int i = 0; i < c->n_matches; i++)
        if (c->match[i].split == ATM_SPLIT_TRAIN) return ATM_OK;
    return atm_fail(ATM_E_DATA, "%s: none of its %d pairs is in the train split",
                    job->options->pairs ? job->options->pairs : job->options->music, c->n_matches);
}

/* ------------------------------------------------------------------ model and shapes */

static atm_status open_model(atm_job *job)
{
    const char *folder = job->options->model;
    if (!folder || !job_wants(job, ATM_PREPARE_EMBEDDING | ATM_PREPARE_PIXELS | ATM_PREPARE_LATENTS))
        return ATM_OK;
    TRY_RETURN(atm_model_dir_open(folder, &job->model));
    job->has_model = true;
    if (job_wants(job, ATM_PREPARE_LATENTS))
        TRY_RETURN(atm_model_fingerprint(&job->model, "vae-encoder", job->vae));
    if (job_wants(job, ATM_PREPARE_EMBEDDING))
        TRY_RETURN(atm_model_fingerprint(&job->model, "image-encoder", job->image_encoder));
    const int bands = job->model.config.vocoder.model_in_dim;
    if (bands == ATM_MEL_BANDS) return ATM_OK;
    return atm_fail(ATM_E_CONFIG, "%s: mels of %d bands; ours have %d", folder, bands, ATM_MEL_BANDS);
}

static void shape_pictures(atm_job *job)
{
    const atm_image_encoder_config *c = &job->model.config.image_encoder;
    job->side = job->has_model ? c->image_size : 224;
    job->crop = job->has_model && c->kind == ATM_IMAGE_ENCODER_CLIP ? ATM_CROP_HF : ATM_CROP_TORCHVISION;
    job->embedding = c->projection_dim;
}

static atm_status shape_clips(atm_job *job)
{
    const atm_prepare_options *o = job->options;
    const bool art2mus = o->framing == ATM_FRAMING_ART2MUS;
    const atm_vae_config *vae = &job->model.config.vae;
    const int scale = job->has_model ? atm_vae_scale(vae) : LATENT_FRAME, unit = scale * ATM_STFT_HOP;
    if (art2mus && o->duration > ART2MUS_MOST)
        return atm_fail(ATM_E_USAGE, "%g s: the framing art2mus takes 10 s of a track and has at most %g s; "
                        "--framing audioldm2 has no such limit", o->duration, ART2MUS_MOST);
    const int units = (int)ceil(o->duration * ATM_STFT_RATE / unit - 1e-6);
    job->samples = units * unit;
    job->frames = units * scale;
    memcpy(job->latent, (int[]){ vae->latent_channels, units, ATM_MEL_BANDS / scale }, sizeof job->latent);
    job->windows = (atm_window_rule){
        .step = art2mus && job->samples > ART2MUS_SAMPLES ? ART2MUS_SAMPLES : job->samples,
        .all = o->clips == ATM_CLIPS_AS_LISTED ? !job->list.has_start : o->clips == ATM_CLIPS_ALL,
        .most = o->max_clips
    };
    return ATM_OK;
}

/* ------------------------------------------------------------------ the whole */

atm_status job_open(atm_job *job)
{
    TRY_RETURN(choose_columns(job));
    TRY_RETURN(read_list(job));
    TRY_RETURN(draw_splits(job));
    TRY_RETURN(open_model(job));
    shape_pictures(job);
    TRY_RETURN(shape_clips(job));
    return atm_device_open(job->options->backend ? job->options->backend : "auto", job->options->threads,
                           &job->device);
}

void job_close(atm_job *job)
{
    for (int i = 0; i < JOB_STORES; i++) atm_parts_close(job->store[i]);
    if (job->lock >= 0) close(job->lock);
    free(job->folder);
    free(job->clip);
    atm_device_close(job->device);
    if (job->has_model) atm_model_dir_close(&job->model);
    atm_collection_free(&job->collection);
    atm_pairs_free(&job->list);
    atm_skips_free(&job->skips);
}
