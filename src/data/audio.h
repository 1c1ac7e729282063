/* audio.h - sound files in and out, through libsndfile.
 *
 * In: WAV (also RF64, W64), AIFF, FLAC, OGG (Vorbis, Opus) and MP3, told apart
 * by their first bytes, so that no other parser of libsndfile ever runs.
 * The header's frame count is not believed: a truncated OGG says INT64_MAX, a
 * truncated MP3 says what it once held.  We read until 0, in blocks, to a cap. */
#ifndef ATM_DATA_AUDIO_H
#define ATM_DATA_AUDIO_H
#include "data/bytes.h"

#include <stddef.h>

enum {
    ATM_AUDIO_MAX_CHANNELS = 64,
    ATM_AUDIO_MAX_RATE     = 768000,        /* Hz */
    ATM_AUDIO_MAX_SAMPLES  = 1 << 28        /* frames x channels: 1 GiB of float */
};

typedef struct atm_audio {
    int    rate, channels;                  /* Hz */
    size_t frames;
    float *samples;                         /* [frames, channels], full scale is 1 */
} atm_audio;                                /* {0} is empty */

/* A file longer than max_seconds (0: no such limit) is ATM_E_DATA, as is one
 * without sound, with NaN or infinity, or with an absurd header.  ATM_E_NOINPUT: the
 * file is missing or unreadable.  On failure *out is left as it was. */
atm_status atm_audio_load(const char *path, double max_seconds, atm_audio *out);
atm_status atm_audio_decode(const void *data, size_t size, double max_seconds, atm_audio *out);
void       atm_audio_free(atm_audio *audio);          /* back to {0} */

void atm_audio_channel(const atm_audio *audio, int channel, float *out);    /* out [frames] */

typedef enum {
    ATM_AUDIO_WAV,            /* "wav"    float32, nothing lost; the default */
    ATM_AUDIO_WAV16,          /* "wav16"  PCM, clipped to [-1, 1]            */
    ATM_AUDIO_FLAC,           /* "flac"   the samples of wav16, compressed   */
    ATM_AUDIO_OGG,            /* "ogg"    Vorbis                             */
    ATM_AUDIO_FORMATS
} atm_audio_format;

atm_status  atm_audio_format_parse(const char *name, atm_audio_format *out);   /* else ATM_E_USAGE */
/* `name`, or when it is NULL what the file's extension says.  A name without one is a
 * WAV: it may be a pipe or a device.  ATM_E_USAGE: an extension we do not write, since a
 * WAV called .mp3 helps nobody. */
atm_status  atm_audio_format_for(const char *path, const char *name, atm_audio_format *out);
const char *atm_audio_format_name(atm_audio_format format);                    /* "wav16" */
const char *atm_audio_extension(atm_audio_format format);                      /* "wav": no dot */

/* Writes path as a whole or not at all.  Same samples, same bytes, in every format.
 * ATM_E_IO: cannot write; ATM_E_DATA: a sample is NaN or infinite. */
atm_status atm_audio_save(const char *path, atm_audio_format format, const atm_audio *audio);

/* The same file in memory: *out is emptied first and must be freed by the caller. */
atm_status atm_audio_encode(atm_audio_format format, const atm_audio *audio, atm_bytes *out);

#endif
