/* test_media_mutants.c - damaged pictures and sounds: an error or a result, never a
 * crash.  Worth most in the asan-ubsan build.  ATM_MUTANTS=10000 for the long run. */
#include "support/support.h"
#include "support/media.h"
#include "data/audio.h"
#include "data/image.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void check_status(atm_status status)
{
    if (status == ATM_OK) return;
    assert_true(status == ATM_E_DATA || status == ATM_E_MEMORY);
    assert_true(strlen(atm_error()) > 0 && !strchr(atm_error(), '\n'));
}

static void read_image(const void *data, size_t size)
{
    atm_image image = { 0 };
    const atm_status status = atm_image_decode(data, size, &image);
    check_status(status);
    assert_true((status == ATM_OK) == (image.rgb != NULL));
    atm_image_free(&image);
}

static void read_audio(const void *data, size_t size)
{
    atm_audio audio = { 0 };
    const atm_status status = atm_audio_decode(data, size, 60, &audio);
    check_status(status);
    assert_true((status == ATM_OK) == (audio.samples != NULL));
    const size_t samples = audio.frames * (size_t)audio.channels;
    for (size_t i = 0; i < samples; i++) assert_true(isfinite(audio.samples[i]));
    atm_audio_free(&audio);
}

static void mutate_image_of(const char *line)
{
    char name[64];
    assert_int_equal(sscanf(line, "%63s", name), 1);
    each_mutant(name, read_image);
}

static void images_survive(void **state)
{
    (void)state;
    each_line("images.txt", mutate_image_of);
    each_line("refused.txt", mutate_image_of);
}

static void sounds_survive(void **state)
{
    (void)state;
    static const char *const names[] = {
        "pcm16.wav", "pcm24.wav", "float.wav", "extensible.wav", "wave64.w64", "stereo.aiff", "stereo.flac",
        "stereo.ogg", "stereo.opus"
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) each_mutant(names[i], read_audio);
}

/* libmpg123, inside libsndfile, tells stderr about every broken frame; the
 * sanitizers write to the descriptor and are still heard. */
static FILE *loud;

static int hush(void **state)
{
    (void)state;
    loud = stderr;
    stderr = fopen("/dev/null", "w");
    return stderr ? 0 : -1;
}

static int speak(void **state)
{
    (void)state;
    fclose(stderr);
    stderr = loud;
    return 0;
}

static void mp3_survives(void **state)
{
    (void)state;
    each_mutant("stereo.mp3", read_audio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_survive),
        cmocka_unit_test(sounds_survive),
        cmocka_unit_test_setup_teardown(mp3_survives, hush, speak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
