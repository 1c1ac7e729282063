/* test_prepare.c - small collections to datasets: what the rows hold, what is skipped, and runs that
 * were stopped, or whose parts somebody broke. */
#define _GNU_SOURCE
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/mel.h"
#include "data/waveform.h"
#include "io/folder.h"
#include "io/read_file.h"
#include "prepare/parts.h"
#include "prepare/prepare.h"
#include "support/tiny_model.h"

static char folder[400];

static const char *at(const char *name)
{
    static char path[8][512];
    static int next;
    char *out = path[next++ % 8];
    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

static void ok(atm_status status)
{
    if (status != ATM_OK) fail_msg("%s", atm_error());
}

static void write_text(const char *name, const char *text)
{
    FILE *f = fopen(at(name), "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* ------------------------------------------------------------------ a collection */

/* A chord that changes, so that no two windows are the same; NaN or silence from `bad` on. */
static void write_sound(const char *name, double seconds, int rate, float after, double bad)
{
    const size_t n = (size_t)(seconds * rate);
    float *x = malloc((2 * n + 1) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        const double t = (double)i / rate;
        const float y = (float)(0.3 * sin(2 * M_PI * t * (220 + 20 * floor(t))) + 0.01 * cos(300 * t * t));
        x[2 * i] = t < bad ? y : after;
        x[2 * i + 1] = -y;              /* a channel that is not used */
    }
    ok(atm_audio_save(at(name), ATM_AUDIO_FLAC, &(atm_audio){ rate, 2, n, x }));
    free(x);
}

static void copy_fixture(const char *fixture, const char *name)
{
    char *bytes;
    size_t n;
    ok(atm_read_file(fixture_path(fixture), 1 << 24, &bytes, &n));
    FILE *f = fopen(at(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    free(bytes);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/prepare-XXXXXX", ATM_BINARY_DIR);
    assert_non_null(mkdtemp(folder));
    mkdir(at("music"), 0777);
    mkdir(at("art"), 0777);
    write_sound("music/one.flac", 5.2, 44100, 0, 99);
    write_sound("music/two.flac", 3.4, 22050, 0, 99);
    write_sound("music/half.flac", 4, 16000, 0, 2);             /* silent from 2 s on */
    write_sound("music/tick.flac", 1.0 / 8000, 8000, 0, 99);    /* 1 sample */
    write_sound("music/mute.flac", 3, 44100, 0, 0);
    write_text("music/broken.wav", "RIFF....WAVEnonsense");
    copy_fixture("data/plain.jpg", "art/plain.jpg");
    copy_fixture("data/tall.png", "art/tall.png");
    copy_fixture("data/truncated.jpg", "art/truncated.jpg");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    atm_folder_remove(folder);
    return 0;
}

static atm_prepare_options options(const char *output)
{
    static char music[512], art[512], out[512];
    snprintf(music, sizeof music, "%s", at("music"));
    snprintf(art, sizeof art, "%s", at("art"));
    snprintf(out, sizeof out, "%s", at(output));
    return (atm_prepare_options){ .output = out, .music = music, .artworks = art, .duration = 1,
                                  .framing = ATM_FRAMING_AUDIOLDM2, .shares = { 0, 0 }, .threads = 2 };
}

static const char PAIRS[] =
    "artwork,track,start,split,caption_artwork,caption_music,licence,source\n"
    "plain.jpg,one.flac,0.5,train,a picture,a chord,CC0,us\n"
    "tall.png,two.flac,,validation,,,,\n"
    "truncated.jpg,one.flac,,train,,,,\n"
    "missing.png,one.flac,,train,,,,\n"
    "plain.jpg,nowhere.flac,,train,,,,\n"
    "plain.jpg,tick.flac,,train,,,,\n"
    "plain.jpg,mute.flac,,train,,,,\n"
    "plain.jpg,broken.wav,,train,,,,\n"
    "plain.jpg,half.flac,,train,,,,\n";

static atm_prepare_options paired_options(const char *output)
{
    static char pairs[512];
    atm_prepare_options o = options(output);
    write_text("pairs.csv", PAIRS);
    snprintf(pairs, sizeof pairs, "%s", at("pairs.csv"));
    o.pairs = pairs;
    o.model = tiny_model_path();
    o.columns = (1u << ATM_PREPARE_COLUMNS) - 1;
    o.clips = ATM_CLIPS_ALL;
    return o;
}

/* ------------------------------------------------------------------ reading datasets */

static atm_dataset *open_dataset(const char *name)
{
    atm_dataset *d;
    ok(atm_dataset_open(at(name), &d));
    return d;
}

static const atm_column *column(const atm_dataset *d, const char *name)
{
    const atm_column *c = atm_dataset_find(d, name);
    if (!c) fail_msg("no column %s", name);
    return c;
}

/* The caller's to free. */
static void *row(const atm_dataset *d, const char *name, size_t i)
{
    const atm_column *c = column(d, name);
    char *out = calloc(1, c->row_bytes + 1);
    assert_non_null(out);
    ok(atm_dataset_read(d, c, i, out));
    return out;
}

static void check_text(const atm_dataset *d, const char *name, size_t i, const char *wanted)
{
    char *text = row(d, name, i);
    assert_string_equal(text, wanted);
    free(text);
}

static char *file_text(const char *name)
{
    char *text;
    size_t n;
    ok(atm_read_file(at(name), 1 << 20, &text, &n));
    return text;
}

static void check_same_files(const char *a, const char *b)
{
    char *x, *y;
    size_t n, m;
    ok(atm_read_file(at(a), 1 << 28, &x, &n));
    ok(atm_read_file(at(b), 1 << 28, &y, &m));
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
}

/* ------------------------------------------------------------------ music alone */

static void check_sound(const atm_dataset *d, size_t i, atm_framing framing)
{
    char name[600], *path = row(d, "clips/path", i);
    float *audio = row(d, "clips/audio", i), *mel = row(d, "clips/mel", i), wave[16000], wanted[100 * 64];
    double *start = row(d, "clips/start", i);
    atm_audio file = { 0 };
    snprintf(name, sizeof name, "music/%s", path);
    ok(atm_audio_load(at(name), 0, &file));
    ok(atm_waveform_prepare(&file, framing, *start, wave, 16000));
    ok(atm_mel(wave, 16000, framing, wanted));
    assert_memory_equal(audio, wave, sizeof wave);
    assert_memory_equal(mel, wanted, sizeof wanted);
    atm_audio_free(&file);
    free(path);
    free(audio);
    free(mel);
    free(start);
}

static void check_music(atm_framing framing)
{
    atm_prepare_summary s;
    atm_prepare_options o = options("music.h5");
    o.framing = framing;
    ok(atm_prepare(&o, &s));
    assert_int_equal(s.clips, 5 + 3 + 2);           /* 5.2, 3.4 and 2 of 4 seconds */
    assert_int_equal(s.pairs[ATM_SPLIT_TRAIN], 10);
    assert_int_equal(s.artworks, 0);
    atm_dataset *d = open_dataset("music.h5");
    assert_int_equal(atm_dataset_n_pairs(d), 10);
    assert_null(atm_dataset_find(d, "artworks/path"));
    assert_null(atm_dataset_find(d, "clips/latent_mean"));
    assert_string_equal(atm_dataset_attribute(d, "framing"), framing ? "audioldm2" : "art2mus");
    assert_string_equal(atm_dataset_attribute(d, "duration"), "1");
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(atm_dataset_pairs(d)[i].artwork, -1);
        check_sound(d, i, framing);
    }
    atm_dataset_close(d);
    assert_int_equal(access(at("music.h5.parts"), F_OK), -1);
}

static void test_music(void **state)
{
    (void)state;
    check_music(ATM_FRAMING_AUDIOLDM2);
    check_music(ATM_FRAMING_ART2MUS);
}

/* ------------------------------------------------------------------ pairs, with a model */

static void check_embedding(const atm_dataset *d, size_t i)
{
    char name[600], *path = row(d, "artworks/path", i);
    float *embedding = row(d, "artworks/embedding", i), wanted[TINY_EMBEDDING];
    atm_model *model = tiny_model_open("cpu", 1);
    snprintf(name, sizeof name, "art/%s", path);
    const atm_artwork artwork = { .size = sizeof artwork, .path = at(name) };
    ok(atm_encode(model, &artwork, wanted));
    assert_true(relative_error(embedding, wanted, TINY_EMBEDDING) < 1e-6);
    atm_close(model);
    free(path);
    free(embedding);
}

/* The encoder alone, one clip at a time. */
static void check_latents(const atm_dataset *d, size_t i)
{
    float *mel = row(d, "clips/mel", i), *mean = row(d, "clips/latent_mean", i);
    float *logvar = row(d, "clips/latent_logvar", i), wanted[8 * 25 * 16];
    atm_device *device;
    atm_model_dir dir;
    atm_params params;
    atm_plan *plan;
    ok(atm_device_open("cpu", 1, &device));
    ok(atm_model_dir_open(tiny_model_path(), &dir));
    ok(atm_model_dir_params(&dir, "vae-encoder", &params));
    ok(atm_plan_create(device, &plan));
    atm_plan_params(plan, &params.source);
    const atm_tensor in = atm_input(plan, "mel", ATM_INPUT_VARIES, ATM_DIMS(1, 100, 64, 1));
    const atm_vae_posterior p = atm_vae_encode(plan, &dir.config.vae, in);
    const atm_tensor out[] = { atm_to_channels_first(plan, p.mean), atm_to_channels_first(plan, p.logvar) };
    atm_output(plan, "mean", out[0]);
    atm_output(plan, "logvar", out[1]);
    ok(atm_plan_finish(plan, (atm_plan_options){ 0 }));
    ok(atm_plan_write_f32(plan, in, mel));
    ok(atm_plan_run(plan));
    ok(atm_plan_read_f32(plan, out[0], wanted));
    assert_memory_equal(mean, wanted, sizeof wanted);
    ok(atm_plan_read_f32(plan, out[1], wanted));
    assert_memory_equal(logvar, wanted, sizeof wanted);
    atm_params_forget(device, plan);
    atm_plan_destroy(plan);
    atm_params_close(&params);
    atm_model_dir_close(&dir);
    atm_device_close(device);
    free(mel);
    free(mean);
    free(logvar);
}

static void check_skips(const char *name)
{
    static const char *const wanted[] = {
        "artwork\ttruncated.jpg\t4\t", "artwork\tmissing.png\t5\tNo such file",
        "track\tnowhere.flac\t6\tNo such file",
        "track\ttick.flac\t7\t", "too short", "clip\tmute.flac\t8\tsilent from 0.00 s",
        "track\tbroken.wav\t9\t",
        "clip\thalf.flac\t10\tsilent from 2.00 s", "clip\thalf.flac\t10\tsilent from 3.00 s"
    };
    char *text = file_text(name);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (!strstr(text, wanted[i])) fail_msg("no '%s' in %s", wanted[i], text);
    free(text);
}

static void check_pair(const atm_dataset *d, size_t i, int artwork, int clip, atm_split split)
{
    const atm_pair *p = &atm_dataset_pairs(d)[i];
    assert_int_equal(p->artwork, artwork);
    assert_int_equal(p->clip, clip);
    assert_int_equal(p->split, split);
}

static void test_pairs(void **state)
{
    char fingerprint[ATM_FINGERPRINT_TEXT];
    atm_prepare_summary s;
    atm_model_dir dir;
    (void)state;
    const atm_prepare_options o = paired_options("data.h5");
    ok(atm_prepare(&o, &s));
    assert_int_equal(s.artworks, 2);
    assert_int_equal(s.clips, 5 + 3 + 2);           /* one.flac from 0.5 s on: the last window is 0.7 s */
    assert_int_equal(s.pairs[ATM_SPLIT_TRAIN], 7);
    assert_int_equal(s.pairs[ATM_SPLIT_VALIDATION], 3);
    assert_int_equal(s.skipped, 10);                /* mute.flac has three windows */
    check_skips("data.h5.skipped.tsv");
    atm_dataset *d = open_dataset("data.h5");
    check_pair(d, 0, 0, 0, ATM_SPLIT_TRAIN);
    check_pair(d, 5, 1, 5, ATM_SPLIT_VALIDATION);
    check_pair(d, 9, 0, 9, ATM_SPLIT_TRAIN);
    check_text(d, "artworks/caption", 0, "a picture");
    check_text(d, "clips/caption", 4, "a chord");
    check_text(d, "clips/licence", 0, "CC0");
    check_text(d, "artworks/source", 1, "");
    check_text(d, "clips/path", 9, "half.flac");
    check_embedding(d, 0);
    check_embedding(d, 1);
    check_latents(d, 0);
    check_latents(d, 9);
    ok(atm_model_dir_open(tiny_model_path(), &dir));
    ok(atm_model_fingerprint(&dir, "vae-decoder", fingerprint));
    assert_string_equal(atm_dataset_attribute(d, "vae_fingerprint"), fingerprint);
    ok(atm_model_fingerprint(&dir, "image-encoder", fingerprint));
    assert_string_equal(atm_dataset_attribute(d, "image_encoder_fingerprint"), fingerprint);
    atm_model_dir_close(&dir);
    atm_dataset_close(d);
}

/* ------------------------------------------------------------------ stopped, broken, repeated */

static int countdown;

static int stop_later(const atm_progress *p, void *user)
{
    (void)p;
    (void)user;
    return countdown-- <= 0;
}

/* Stopped after 0, 1, 2 ... looks at the clock, on one thread and on several. */
static void test_stops(void **state)
{
    atm_prepare_summary s;
    int stops = 0;
    (void)state;
    atm_prepare_options o = paired_options("whole.h5");
    ok(atm_prepare(&o, &s));
    o = paired_options("stopped.h5");
    o.progress = stop_later;
    for (int k = 0; ; k++) {
        countdown = k;
        o.threads = 1 + k % 3;
        const atm_status status = atm_prepare(&o, &s);
        if (status == ATM_OK) break;
        assert_int_equal(status, ATM_E_CANCELLED);
        assert_int_equal(access(at("stopped.h5"), F_OK), -1);
        stops++;
    }
    assert_true(stops > 5);
    check_same_files("whole.h5", "stopped.h5");
    check_same_files("whole.h5.skipped.tsv", "stopped.h5.skipped.tsv");
    assert_int_equal(access(at("stopped.h5.parts"), F_OK), -1);
}

/* Rows that are there are not made again; rows that somebody changed are. */
static void test_broken_parts(void **state)
{
    static const char *const files[] = {
        "sounds.rows", "sounds.journal", "latents.rows", "pictures.journal"
    };
    atm_prepare_summary s;
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char name[64];
        atm_prepare_options o = paired_options("again.h5");
        o.progress = stop_later;
        countdown = 60;
        for (o.threads = 1; atm_prepare(&o, &s) == ATM_OK; ) countdown /= 2;
        snprintf(name, sizeof name, "again.h5.parts/%s", files[i]);
        FILE *f = fopen(at(name), "r+b");
        assert_non_null(f);
        fseek(f, 40, SEEK_SET);
        fputs("something else", f);
        fclose(f);
        countdown = 1000000;
        ok(atm_prepare(&o, &s));
        check_same_files("whole.h5", "again.h5");
    }
}

static void test_settings_change(void **state)
{
    atm_prepare_summary s;
    (void)state;
    atm_prepare_options o = paired_options("other.h5");
    o.progress = stop_later;
    countdown = 8;
    assert_int_equal(atm_prepare(&o, &s), ATM_E_CANCELLED);
    o.framing = ATM_FRAMING_ART2MUS;
    countdown = 1000000;
    ok(atm_prepare(&o, &s));
    atm_dataset *d = open_dataset("other.h5");
    check_sound(d, 0, ATM_FRAMING_ART2MUS);
    atm_dataset_close(d);
}

static void test_lock(void **state)
{
    atm_prepare_summary s;
    int lock;
    (void)state;
    const atm_prepare_options o = options("locked.h5");
    ok(atm_parts_lock(at("locked.h5.parts"), &lock));
    assert_int_equal(atm_prepare(&o, &s), ATM_E_CONFIG);
    assert_non_null(strstr(atm_error(), "another run"));
    close(lock);
    ok(atm_prepare(&o, &s));
}

/* ------------------------------------------------------------------ refusals */

static void check_refusal(atm_prepare_options o, atm_status wanted, const char *message)
{
    atm_prepare_summary s;
    const atm_status status = atm_prepare(&o, &s);
    if (status != wanted || !strstr(atm_error(), message))
        fail_msg("%d, %s; wanted %d, %s", status, atm_error(), wanted, message);
    assert_int_equal(access(o.output, F_OK), -1);
}

static void test_refusals(void **state)
{
    unsigned columns;
    (void)state;
    atm_prepare_options o = options("no.h5");
    o.music = "/nowhere/at/all";
    check_refusal(o, ATM_E_NOINPUT, "/nowhere/at/all");
    o.music = at("art");
    check_refusal(o, ATM_E_NOINPUT, "no sound file");
    o.music = NULL;
    check_refusal(o, ATM_E_USAGE, "which music?");
    o = options("no.h5");
    o.columns = ATM_PREPARE_LATENTS;
    check_refusal(o, ATM_E_USAGE, "--model");
    o.columns = ATM_PREPARE_PIXELS;
    check_refusal(o, ATM_E_USAGE, "--pairs");
    o.columns = 0;
    o.framing = ATM_FRAMING_ART2MUS;
    o.duration = 20;
    check_refusal(o, ATM_E_USAGE, "at most 10.24 s");
    o = paired_options("no.h5");
    o.strict = true;
    check_refusal(o, ATM_E_DATA, "could not be used");
    write_text("pairs.csv", "artwork,track,split\nplain.jpg,one.flac,test\n");
    check_refusal(o, ATM_E_DATA, "none of its 1 pairs is in the train split");
    write_text("pairs.csv", "artwork,track\nmissing.png,one.flac\n");
    o.strict = false;
    check_refusal(o, ATM_E_DATA, "nothing is left to train on");
    assert_int_equal(atm_prepare_columns_parse("mel,adio", &columns), ATM_E_USAGE);
    assert_non_null(strstr(atm_error(), "did you mean audio?"));
    assert_int_equal(atm_prepare_columns_parse("", &columns), ATM_E_USAGE);
    ok(atm_prepare_columns_parse("mel,embedding", &columns));
    assert_int_equal(columns, ATM_PREPARE_MEL | ATM_PREPARE_EMBEDDING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_music), cmocka_unit_test(test_pairs), cmocka_unit_test(test_stops),
        cmocka_unit_test(test_broken_parts), cmocka_unit_test(test_settings_change),
        cmocka_unit_test(test_lock), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
