/* audio_write.c - sound files out: see audio.h.  Encoded in memory first:
 * libsndfile seeks back to fill in headers, which a pipe cannot. */
#include "data/audio.h"
#include "data/ogg_serial.h"
#include "io/atomic_file.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <sndfile.h>

enum { BLOCK_SAMPLES = 8192 };      /* libsndfile's Vorbis encoder overflows its stack on huge writes */

typedef struct {
    const char *name, *extension;
    int sndfile;                            /* SF_FORMAT_* */
    bool integer;                           /* 16-bit samples: we round and clip, not the library */
} format;

static const format formats[ATM_AUDIO_FORMATS] = {
    [ATM_AUDIO_WAV]   = { "wav",   "wav",  SF_FORMAT_WAV  | SF_FORMAT_FLOAT,  false },
    [ATM_AUDIO_WAV16] = { "wav16", "wav",  SF_FORMAT_WAV  | SF_FORMAT_PCM_16, true  },
    [ATM_AUDIO_FLAC]  = { "flac",  "flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, true  },
    [ATM_AUDIO_OGG]   = { "ogg",   "ogg",  SF_FORMAT_OGG  | SF_FORMAT_VORBIS, false },
};

const char *atm_audio_format_name(atm_audio_format f) { return formats[f].name; }
const char *atm_audio_extension(atm_audio_format f) { return formats[f].extension; }

atm_status atm_audio_format_parse(const char *name, atm_audio_format *out)
{
    for (int i = 0; i < ATM_AUDIO_FORMATS; i++)
        if (strcmp(name, formats[i].name) == 0) {
            *out = (atm_audio_format)i;
            return ATM_OK;
        }
    return atm_fail(ATM_E_USAGE, "audio format \"%s\": one of wav, wav16, flac, ogg", name);
}

atm_status atm_audio_format_for(const char *path, const char *name, atm_audio_format *out)
{
    if (name) return atm_audio_format_parse(name, out);
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    *out = ATM_AUDIO_WAV;
    if (!dot) return ATM_OK;
    for (int i = 0; i < ATM_AUDIO_FORMATS; i++)
        if (strcasecmp(dot + 1, formats[i].extension) == 0) {
            *out = (atm_audio_format)i;
            return ATM_OK;
        }
    return atm_fail(ATM_E_USAGE, "%s: sounds are written as .wav, .flac or .ogg; name the format to keep this name", path);
}

/* ------------------------------------------------ memory as libsndfile's file */

typedef struct {
    atm_bytes *bytes;
    sf_count_t at;
    atm_status status;
} memory;

static sf_count_t memory_size(void *user) { return (sf_count_t)((memory *)user)->bytes->size; }
static sf_count_t memory_tell(void *user) { return ((memory *)user)->at; }

static sf_count_t memory_seek(sf_count_t offset, int whence, void *user)
{
    memory *m = user;
    const sf_count_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? m->at : memory_size(m);
    return m->at = base + offset;
}

static sf_count_t memory_read(void *to, sf_count_t bytes, void *user)
{
    memory *m = user;
    const sf_count_t left = memory_size(m) - m->at, got = bytes < left ? bytes : left;
    if (got <= 0) return 0;
    memcpy(to, m->bytes->data + m->at, (size_t)got);
    m->at += got;
    return got;
}

static sf_count_t memory_write(const void *from, sf_count_t bytes, void *user)
{
    memory *m = user;
    const size_t end = (size_t)(m->at + bytes);
    if (m->status == ATM_OK && end > m->bytes->capacity)
        m->status = atm_bytes_reserve(m->bytes, end + end / 2);
    if (m->status != ATM_OK) return 0;
    const size_t size = m->bytes->size, at = (size_t)m->at;
    if (at > size) memset(m->bytes->data + size, 0, at - size);      /* sought past the end */
    memcpy(m->bytes->data + at, from, (size_t)bytes);
    if (end > size) m->bytes->size = end;
    m->at += bytes;
    return bytes;
}

static SF_VIRTUAL_IO memory_io = {
    memory_size, memory_seek, memory_read, memory_write, memory_tell
};

/* ------------------------------------------------ writing */

static sf_count_t write_block(SNDFILE *file, bool integer, const float *x, size_t frames, size_t channels)
{
    if (!integer) return sf_writef_float(file, x, (sf_count_t)frames);
    short rounded[BLOCK_SAMPLES];
    for (size_t i = 0; i < frames * channels; i++)
        rounded[i] = (short)lrintf(fminf(fmaxf(x[i], -1.0f), 1.0f) * 32767.0f);
    return sf_writef_short(file, rounded, (sf_count_t)frames);
}

static atm_status write_samples(SNDFILE *file, bool integer, const atm_audio *audio)
{
    const size_t channels = (size_t)audio->channels, block = BLOCK_SAMPLES / channels;
    for (size_t at = 0; at < audio->frames; at += block) {
        const size_t left = audio->frames - at, frames = left < block ? left : block;
        const float *x = audio->samples + at * channels;
        if (write_block(file, integer, x, frames, channels) != (sf_count_t)frames)
            return atm_fail(ATM_E_IO, "cannot encode: %s", sf_strerror(file));
    }
    return ATM_OK;
}

static atm_status check(const atm_audio *audio)
{
    for (size_t i = 0; i < audio->frames * (size_t)audio->channels; i++)
        if (!isfinite(audio->samples[i]))
            return atm_fail(ATM_E_DATA, "sample %zu is not a number: nothing written", i);
    return ATM_OK;
}

static atm_status encode(const format *f, const atm_audio *audio, memory *m)
{
    SF_INFO info = { .samplerate = audio->rate, .channels = audio->channels, .format = f->sndfile };
    SNDFILE *file = sf_open_virtual(&memory_io, SFM_WRITE, &info, m);
    if (!file)
        return atm_fail(ATM_E_DATA, "%s of %d channels at %d Hz: %s", f->name, audio->channels, audio->rate,
                        sf_strerror(NULL));
    sf_command(file, SFC_SET_ADD_PEAK_CHUNK, NULL, SF_FALSE);       /* it holds the time of day */
    const atm_status status = write_samples(file, f->integer, audio);
    sf_close(file);
    return m->status != ATM_OK ? m->status : status;
}

atm_status atm_audio_encode(atm_audio_format which, const atm_audio *audio, atm_bytes *out)
{
    const format *f = &formats[which];
    memory m = { .bytes = out, .status = ATM_OK };
    out->size = 0;
    if (audio->channels < 1 || audio->channels > ATM_AUDIO_MAX_CHANNELS)
        return atm_fail(ATM_E_DATA, "cannot write %d channels: 1 to %d", audio->channels,
                        ATM_AUDIO_MAX_CHANNELS);
    TRY_RETURN(check(audio));
    TRY_RETURN(encode(f, audio, &m));
    return which == ATM_AUDIO_OGG ? atm_ogg_set_serial(out->data, out->size, 1) : ATM_OK;
}

atm_status atm_audio_save(const char *path, atm_audio_format format_, const atm_audio *audio)
{
    atm_bytes file = { 0 };
    atm_status status = atm_audio_encode(format_, audio, &file);
    status = status == ATM_OK ? atm_atomic_write_file(path, file.data, file.size)
                              : atm_fail_in(status, "%s", path);
    atm_bytes_free(&file);
    return status;
}
