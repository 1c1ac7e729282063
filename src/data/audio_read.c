/* audio_read.c - sound files in: see audio.h. */
#include "data/audio.h"
#include "io/read_file.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sndfile.h>

enum {
    MAX_FILE_BYTES = 1 << 30,
    BLOCK_SAMPLES  = 1 << 14
};

/* ------------------------------------------------ which files libsndfile may see */

typedef struct { size_t at, size; const char *magic; } signature;

static const signature signatures[] = {
    { 8, 4, "WAVE" },                       /* after RIFF, RIFX or RF64 */
    { 0, 4, "riff" },                       /* Wave64 */
    { 8, 4, "AIFF" }, { 8, 4, "AIFC" },
    { 0, 4, "fLaC" },
    { 0, 4, "OggS" },
    { 0, 3, "ID3"  },                       /* MP3 with a tag in front */
};

static bool is_mpeg_frame(const uint8_t *data, size_t size)       /* 11 bits of 1 */
{
    return size >= 2 && data[0] == 0xFF && data[1] >= 0xE0;
}

static bool is_sound(const uint8_t *data, size_t size)
{
    for (const signature *s = signatures; s < signatures + sizeof signatures / sizeof *signatures; s++)
        if (size >= s->at + s->size && memcmp(data + s->at, s->magic, s->size) == 0) return true;
    return is_mpeg_frame(data, size);
}

/* ------------------------------------------------ memory as libsndfile's file */

typedef struct { const uint8_t *data; sf_count_t size, at; } memory;

static sf_count_t memory_size(void *user) { return ((memory *)user)->size; }
static sf_count_t memory_tell(void *user) { return ((memory *)user)->at; }

static sf_count_t memory_seek(sf_count_t offset, int whence, void *user)
{
    memory *m = user;
    sf_count_t at;
    const sf_count_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? m->at : m->size;
    if (__builtin_add_overflow(base, offset, &at) || at < 0 || at > m->size) return -1;
    return m->at = at;
}

static sf_count_t memory_read(void *to, sf_count_t bytes, void *user)
{
    memory *m = user;
    if (bytes <= 0) return 0;
    if (bytes > m->size - m->at) bytes = m->size - m->at;
    memcpy(to, m->data + m->at, (size_t)bytes);
    m->at += bytes;
    return bytes;
}

static SF_VIRTUAL_IO memory_io = {
    .get_filelen = memory_size, .seek = memory_seek, .read = memory_read, .tell = memory_tell
};

/* ------------------------------------------------ reading */

static atm_status check_header(const SF_INFO *info)
{
    if (info->channels < 1 || info->channels > ATM_AUDIO_MAX_CHANNELS)
        return atm_fail(ATM_E_DATA, "sound of %d channels: 1 to %d are read", info->channels,
                        ATM_AUDIO_MAX_CHANNELS);
    if (info->samplerate < 1 || info->samplerate > ATM_AUDIO_MAX_RATE)
        return atm_fail(ATM_E_DATA, "sound of %d samples a second: 1 to %d are read", info->samplerate,
                        ATM_AUDIO_MAX_RATE);
    return ATM_OK;
}

/* Frames that max_seconds and the memory limit allow. */
static size_t most_frames(const SF_INFO *info, double max_seconds)
{
    const size_t most = ATM_AUDIO_MAX_SAMPLES / (size_t)info->channels;
    const double wanted = max_seconds * info->samplerate;
    return max_seconds > 0 && wanted < (double)most ? (size_t)wanted : most;
}

static atm_status check_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return atm_fail(ATM_E_DATA, "the sound holds a sample that is not a number");
    return ATM_OK;
}

static atm_status drain(SNDFILE *file, const SF_INFO *info, size_t most, atm_bytes *out)
{
    const size_t channels = (size_t)info->channels, frame_bytes = channels * sizeof(float);
    float block[BLOCK_SAMPLES];
    sf_count_t got;
    while ((got = sf_readf_float(file, block, (sf_count_t)(BLOCK_SAMPLES / channels))) > 0) {
        if (out->size / frame_bytes + (size_t)got > most)
            return atm_fail(ATM_E_DATA, "sound longer than %.6g s, the limit: cut it first",
                            (double)most / info->samplerate);
        TRY_RETURN(check_finite(block, (size_t)got * channels));
        TRY_RETURN(atm_bytes_append(out, block, (size_t)got * frame_bytes));
    }
    return out->size ? ATM_OK : atm_fail(ATM_E_DATA, "no sound in it");
}

atm_status atm_audio_decode(const void *data, size_t size, double max_seconds, atm_audio *out)
{
    if (!is_sound(data, size)) return atm_fail(ATM_E_DATA, "not a WAV, AIFF, FLAC, OGG or MP3 file");
    memory m = { data, (sf_count_t)size, 0 };
    SF_INFO info = { 0 };
    atm_bytes samples = { 0 };
    atm_status status;
    SNDFILE *file = sf_open_virtual(&memory_io, SFM_READ, &info, &m);
    if (!file) return atm_fail(ATM_E_DATA, "broken sound file: %s", sf_strerror(NULL));
    TRY(check_header(&info));
    TRY(drain(file, &info, most_frames(&info, max_seconds), &samples));
    *out = (atm_audio){ info.samplerate, info.channels,
                        samples.size / sizeof(float) / (size_t)info.channels, (float *)(void *)samples.data };
    samples = (atm_bytes){ 0 };
done:
    sf_close(file);
    atm_bytes_free(&samples);
    return status;
}

atm_status atm_audio_load(const char *path, double max_seconds, atm_audio *out)
{
    char *file;
    size_t size;
    TRY_RETURN(atm_read_file(path, MAX_FILE_BYTES, &file, &size));
    const atm_status status = atm_audio_decode(file, size, max_seconds, out);
    free(file);
    return status == ATM_OK ? ATM_OK : atm_fail_in(status, "%s", path);
}

void atm_audio_free(atm_audio *audio)
{
    free(audio->samples);
    *audio = (atm_audio){ 0 };
}

void atm_audio_channel(const atm_audio *audio, int channel, float *out)
{
    const size_t channels = (size_t)audio->channels;
    for (size_t i = 0; i < audio->frames; i++) out[i] = audio->samples[i * channels + (size_t)channel];
}
