/* test_audio.c - sound files in and out, honest and hostile. */
#include "support/support.h"
#include "support/media.h"
#include "data/audio.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------ reading */

static double wanted(size_t i, int channel)          /* make_sounds() of scripts/make_data_fixtures.py */
{
    return channel ? cos((double)i / 20) / 4 : sin((double)i / 20) / 2;
}

/* `error`: the largest difference a lossless format may have (one step of it);
 * `distance`: for lossy ones, the largest rms of the difference.  A swapped channel would
 * give 0.4, a wrong sign 0.6; a third of the smaller is allowed. */
static const struct { const char *name; int rate, channels; double error, distance; } sounds[] = {
    { "pcm16.wav",      22050, 2, 1.0 / 32768,   0 },    { "pcm24.wav",   22050, 2, 1.0 / 8388608, 0 },
    { "float.wav",      22050, 2, 1.0 / 16777216, 0 },   { "mono.wav",    22050, 1, 1.0 / 32768,   0 },
    { "extensible.wav", 22050, 2, 1.0 / 32768,   0 },    { "wave64.w64",  22050, 2, 1.0 / 32768,   0 },
    { "stereo.aiff",    22050, 2, 1.0 / 32768,   0 },    { "stereo.flac", 22050, 2, 1.0 / 32768,   0 },
    { "stereo.ogg",     22050, 2, 0, 0.13 },
    { "stereo.opus",    24000, 2, 0, 0.13 },
    { "stereo.mp3",     22050, 2, 0, 0.13 },
};
enum { SOUNDS = sizeof sounds / sizeof *sounds, FRAMES = 2000 };

static void compare(const atm_audio *audio, double *worst, double *rms)
{
    double square = 0;
    *worst = 0;
    for (size_t i = 0; i < audio->frames && i < FRAMES; i++)
        for (int c = 0; c < audio->channels; c++) {
            const double off = (double)audio->samples[i * (size_t)audio->channels + (size_t)c] - wanted(i, c);
            *worst = fmax(*worst, fabs(off));
            square += off * off;
        }
    *rms = sqrt(square / FRAMES / audio->channels);
}

static void every_format_is_read(void **state)
{
    (void)state;
    for (size_t s = 0; s < SOUNDS; s++) {
        char path[128];
        snprintf(path, sizeof path, "data/%s", sounds[s].name);
        atm_audio audio;
        if (atm_audio_load(fixture_path(path), 0, &audio) != ATM_OK) fail_msg("%s", atm_error());
        double worst, rms;
        compare(&audio, &worst, &rms);
        if (audio.rate != sounds[s].rate || audio.channels != sounds[s].channels || audio.frames != FRAMES)
            fail_msg("%s: %d Hz, %d channels, %zu frames", sounds[s].name, audio.rate, audio.channels,
                     audio.frames);
        if (sounds[s].distance > 0 ? rms > sounds[s].distance : worst > sounds[s].error)
            fail_msg("%s: off by %g, rms %g", sounds[s].name, worst, rms);
        atm_audio_free(&audio);
    }
}

static void channels_come_apart(void **state)
{
    (void)state;
    float samples[] = { 1, 2, 3, 4, 5, 6 }, out[2];
    const atm_audio audio = { 8000, 3, 2, samples };
    atm_audio_channel(&audio, 1, out);
    assert_true(out[0] == 2 && out[1] == 5);
}

static void the_duration_limit_holds(void **state)
{
    (void)state;
    atm_bytes file = media("stereo.flac");
    atm_audio audio;
    assert_int_equal(atm_audio_decode(file.data, file.size, 0.09, &audio), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "longer than"));
    assert_int_equal(atm_audio_decode(file.data, file.size, 2000.0 / 22050, &audio), ATM_OK);
    atm_audio_free(&audio);
    atm_bytes_free(&file);
}

static void put32(uint8_t *at, uint32_t value) { memcpy(at, &value, 4); }

/* Offsets of a canonical WAV header: channels 22, rate 24, size of the data 40. */
static void absurd_headers_are_refused(void **state)
{
    (void)state;
    static const struct { size_t at; uint32_t value; const char *says; } lies[] = {
        { 24, 0, "" }, { 24, 4000000000u, "" }, { 24, ATM_AUDIO_MAX_RATE + 1, "samples a second" },
        { 22, 1000, "" }, { 22, 0, "" }, { 20, 0xBEEF, "" }, { 8, 0x58585858, "not a WAV" },
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        atm_bytes file = media("mono.wav");
        put32(file.data + lies[i].at, lies[i].value);
        atm_audio audio;
        if (atm_audio_decode(file.data, file.size, 0, &audio) != ATM_E_DATA)
            fail_msg("lie %zu was believed", i);
        assert_non_null(strstr(atm_error(), lies[i].says));
        atm_bytes_free(&file);
    }
}

/* A data chunk said to be of 4 GB holds what the file holds. */
static void lengths_in_headers_are_not_believed(void **state)
{
    (void)state;
    atm_bytes file = media("mono.wav");
    put32(file.data + 40, 0xFFFFFFF0u);
    atm_audio audio;
    assert_int_equal(atm_audio_decode(file.data, file.size, 0, &audio), ATM_OK);
    assert_int_equal(audio.frames, FRAMES);
    atm_audio_free(&audio);
    atm_bytes_free(&file);
}

static void cut_files_give_what_is_there(void **state)
{
    (void)state;
    static const char *const names[] = { "stereo.ogg", "stereo.mp3", "stereo.flac", "pcm16.wav" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        atm_bytes file = media(names[i]);
        atm_audio audio = { 0 };
        const atm_status status = atm_audio_decode(file.data, file.size - file.size / 3, 0, &audio);
        assert_true(status == ATM_E_DATA || (status == ATM_OK && audio.frames > 0 && audio.frames <= FRAMES));
        atm_audio_free(&audio);
        atm_bytes_free(&file);
    }
}

static void what_is_no_sound_is_refused(void **state)
{
    (void)state;
    atm_audio audio;
    assert_int_equal(atm_audio_decode("", 0, 0, &audio), ATM_E_DATA);
    assert_int_equal(atm_audio_decode("RIFF", 4, 0, &audio), ATM_E_DATA);
    assert_int_equal(atm_audio_load(fixture_path("great_wave.jpg"), 0, &audio), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "great_wave.jpg: not a WAV"));
    assert_int_equal(atm_audio_load(fixture_path("no.wav"), 0, &audio), ATM_E_NOINPUT);
    atm_bytes file = media("float.wav");
    put32(file.data + file.size - 4, 0x7FC00000);        /* NaN */
    assert_int_equal(atm_audio_decode(file.data, file.size, 0, &audio), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "not a number"));
    atm_bytes_free(&file);
}

/* ------------------------------------------------ writing */

static atm_audio test_sound(int channels, size_t frames)
{
    atm_audio audio = { 16000, channels, frames, malloc((size_t)channels * frames * sizeof(float)) };
    assert_non_null(audio.samples);
    for (size_t i = 0; i < frames; i++)
        for (int c = 0; c < channels; c++)
            audio.samples[i * (size_t)channels + (size_t)c] = (float)(3 * wanted(i, c));
    return audio;                                        /* beyond full scale, to see the clipping */
}

static atm_audio through(atm_audio_format format, const atm_audio *audio)
{
    atm_bytes file = { 0 };
    atm_audio back;
    if (atm_audio_encode(format, audio, &file) != ATM_OK) fail_msg("%s", atm_error());
    if (atm_audio_decode(file.data, file.size, 0, &back) != ATM_OK) fail_msg("%s", atm_error());
    assert_true(back.rate == audio->rate && back.channels == audio->channels && back.frames == audio->frames);
    atm_bytes_free(&file);
    return back;
}

static void float_wav_loses_nothing(void **state)
{
    (void)state;
    atm_audio audio = test_sound(2, 10000), back = through(ATM_AUDIO_WAV, &audio);
    assert_memory_equal(audio.samples, back.samples, 2 * 10000 * sizeof(float));
    atm_audio_free(&audio);
    atm_audio_free(&back);
}

static void integers_round_and_clip(void **state)
{
    (void)state;
    static const atm_audio_format formats[] = { ATM_AUDIO_WAV16, ATM_AUDIO_FLAC };
    for (int f = 0; f < 2; f++)
        for (int channels = 1; channels <= 3; channels++) {
            atm_audio audio = test_sound(channels, 10000), back = through(formats[f], &audio);
            for (size_t i = 0; i < 10000 * (size_t)channels; i++) {
                const float clipped = fminf(1, fmaxf(-1, audio.samples[i]));
                assert_true(back.samples[i] == rintf(clipped * 32767) / 32768);
            }
            atm_audio_free(&audio);
            atm_audio_free(&back);
        }
}

static void ogg_keeps_length_and_likeness(void **state)
{
    (void)state;
    atm_audio audio = test_sound(1, 100000);             /* far beyond one block */
    for (size_t i = 0; i < audio.frames; i++) audio.samples[i] /= 3;
    atm_audio back = through(ATM_AUDIO_OGG, &audio);
    double square = 0;
    for (size_t i = 0; i < audio.frames; i++) square += pow((double)(audio.samples[i] - back.samples[i]), 2);
    assert_true(sqrt(square / 100000) < 0.02);
    atm_audio_free(&audio);
    atm_audio_free(&back);
}

/* Headers that hold the time (WAV's PEAK) or a random number (OGG's serial) would show here. */
static void same_samples_same_bytes(void **state)
{
    (void)state;
    atm_audio audio = test_sound(2, 3000);
    for (int f = 0; f < ATM_AUDIO_FORMATS; f++) {
        atm_bytes one = { 0 }, two = { 0 };
        assert_int_equal(atm_audio_encode((atm_audio_format)f, &audio, &one), ATM_OK);
        usleep(f == ATM_AUDIO_WAV ? 1100000 : 0);        /* PEAK counts seconds */
        assert_int_equal(atm_audio_encode((atm_audio_format)f, &audio, &two), ATM_OK);
        assert_int_equal(one.size, two.size);
        assert_memory_equal(one.data, two.data, one.size);
        atm_bytes_free(&one);
        atm_bytes_free(&two);
    }
    atm_audio_free(&audio);
}

static void names_are_parsed(void **state)
{
    (void)state;
    atm_audio_format format;
    for (int f = 0; f < ATM_AUDIO_FORMATS; f++) {
        assert_int_equal(atm_audio_format_parse(atm_audio_format_name((atm_audio_format)f), &format), ATM_OK);
        assert_int_equal(format, f);
    }
    assert_string_equal(atm_audio_extension(ATM_AUDIO_WAV16), "wav");
    assert_int_equal(atm_audio_format_parse("mp4", &format), ATM_E_USAGE);
    assert_non_null(strstr(atm_error(), "\"mp4\""));
}

static void a_bad_write_leaves_no_file(void **state)
{
    (void)state;
    atm_audio audio = test_sound(1, 100);
    const char *path = ATM_BINARY_DIR "/test_audio_out.wav";
    struct stat info;
    unlink(path);
    assert_int_equal(atm_audio_save(path, ATM_AUDIO_WAV, &audio), ATM_OK);
    assert_int_equal(stat(path, &info), 0);
    unlink(path);
    audio.samples[50] = NAN;
    assert_int_equal(atm_audio_save(path, ATM_AUDIO_WAV, &audio), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "sample 50"));
    assert_int_equal(stat(path, &info), -1);
    audio.samples[50] = 0;
    assert_int_equal(atm_audio_save("/nowhere/at/all.wav", ATM_AUDIO_WAV, &audio), ATM_E_IO);
    audio.channels = 1000;
    assert_int_equal(atm_audio_save(path, ATM_AUDIO_WAV, &audio), ATM_E_DATA);
    assert_int_equal(stat(path, &info), -1);
    atm_audio_free(&audio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_is_read),
        cmocka_unit_test(channels_come_apart),
        cmocka_unit_test(the_duration_limit_holds),
        cmocka_unit_test(absurd_headers_are_refused),
        cmocka_unit_test(lengths_in_headers_are_not_believed),
        cmocka_unit_test(cut_files_give_what_is_there),
        cmocka_unit_test(what_is_no_sound_is_refused),
        cmocka_unit_test(float_wav_loses_nothing),
        cmocka_unit_test(integers_round_and_clip),
        cmocka_unit_test(ogg_keeps_length_and_likeness),
        cmocka_unit_test(same_samples_same_bytes),
        cmocka_unit_test(names_are_parsed),
        cmocka_unit_test(a_bad_write_leaves_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
