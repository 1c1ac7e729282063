/* test_eval.c - whole measures on a tiny model, where the answer is known: pictures that never change,
 * clicks at 4 Hz, artworks that are all the same, embeddings taken from the music itself. */
#define _GNU_SOURCE     /* M_PI */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/mel.h"
#include "eval/denoiser.h"
#include "eval/eval.h"
#include "io/json.h"
#include "support/bytes.h"
#include "support/dataset_file.h"
#include "support/plan_fixture.h"
#include "support/tiny_model.h"
#include "support/tiny_run.h"

/* Clip c is of track c / 2, whose artwork is c / 2; the first half is for training. */
enum { CLIPS_ALL = 12, TRACKS = CLIPS_ALL / 2, HELD_OUT_TRACKS = TRACKS / 2 };
enum { MEL_FRAMES = 128, SOUND = MEL_FRAMES * 160, LATENT_FRAMES = 4, LATENT = 8 * LATENT_FRAMES * 16 };

typedef struct {
    float embedding[TRACKS][TINY_EMBEDDING];
    bool without_sounds, without_tracks;
} contents;

static float mel_of_band(size_t b) { return -6 + 0.01f * (float)b; }

static int make_files(void **state)
{
    static const char *const ears[] = { "audio_encoder.hidden_size=16", "audio_encoder.intermediate_size=32",
                                        "audio_encoder.num_hidden_layers=1",
                                        "audio_encoder.num_attention_heads=2",
                                        "audio_encoder.patch_size=16", "audio_encoder.patch_stride=16" };
    static const char *const deaf[] = { "scheduler.prediction_type=v_prediction" };
    (void)state;
    scratch_make();
    tiny_model_write("model", ears, 6);
    tiny_model_write("deaf", deaf, 1);
    return 0;
}

static int remove_files(void **state)
{
    static const char *const name[] = { "model", "deaf", "data.h5", "report.json", "report.md" };
    (void)state;
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) tiny_remove(name[i]);
    scratch_remove();
    return 0;
}

/* ------------------------------------------------------------------ data */

/* Clicks at 4 Hz, over a tone of the clip's own. */
static void put_sound(atm_dataset_writer *w, size_t clip)
{
    static float x[SOUND];
    for (int i = 0; i < SOUND; i++)
        x[i] = (float)(1e-3 * sin(2 * M_PI * (200 + 150 * (double)clip) * i / 16000))
             + (i % 4000 == 2000 ? 0.5f : 0);
    put(w, "clips/audio", clip, x);
}

static void put_mel(atm_dataset_writer *w, size_t clip)
{
    static float mel[MEL_FRAMES][64];
    for (size_t t = 0; t < MEL_FRAMES; t++)
        for (size_t b = 0; b < 64; b++) mel[t][b] = mel_of_band(b);
    put(w, "clips/mel", clip, mel);
}

static void put_latent(atm_dataset_writer *w, size_t clip)
{
    static float z[LATENT];
    for (int i = 0; i < LATENT; i++) z[i] = (float)sin(2.4 * (double)clip + i);
    put(w, "clips/latent_mean", clip, z);
}

static void put_pair(atm_dataset_writer *w, size_t i)
{
    const size_t track = i / 2;
    put_i32(w, "pairs/artwork", i, (int32_t)track);
    put_i32(w, "pairs/clip", i, (int32_t)i);
    put(w, "pairs/split", i, &(uint8_t){ track < HELD_OUT_TRACKS ? ATM_SPLIT_TRAIN : ATM_SPLIT_TEST });
}

static void put_tracks(atm_dataset_writer *w)
{
    char text[8] = "";
    must(atm_dataset_declare(w, &(atm_column){ .name = "clips/fingerprint", .dtype = ATM_U8, .text = true,
                                               .rank = 1,
                                               .dim = { sizeof text }, .rows = CLIPS_ALL }));
    for (size_t i = 0; i < CLIPS_ALL; i++) {
        snprintf(text, sizeof text, "%d", (int)i / 2);
        put(w, "clips/fingerprint", i, text);
    }
}

static const char *write_data(const contents *c)
{
    const char *path = scratch_path("data.h5");
    atm_dataset_writer *w;
    must(atm_dataset_begin(path, &w));
    declare(w, "artworks/embedding", ATM_F32, TRACKS, 1, (int[]){ TINY_EMBEDDING });
    if (!c->without_sounds) {
        declare(w, "clips/audio", ATM_F32, CLIPS_ALL, 1, (int[]){ SOUND });
        declare(w, "clips/mel", ATM_F32, CLIPS_ALL, 2, (int[]){ MEL_FRAMES, 64 });
    }
    declare(w, "clips/latent_mean", ATM_F32, CLIPS_ALL, 3, (int[]){ 8, LATENT_FRAMES, 16 });
    declare(w, "pairs/artwork", ATM_I32, CLIPS_ALL, 0, NULL);
    declare(w, "pairs/clip", ATM_I32, CLIPS_ALL, 0, NULL);
    declare(w, "pairs/split", ATM_U8, CLIPS_ALL, 0, NULL);
    if (!c->without_tracks) put_tracks(w);
    for (size_t i = 0; i < TRACKS; i++) put(w, "artworks/embedding", i, c->embedding[i]);
    for (size_t i = 0; i < CLIPS_ALL; i++) {
        if (!c->without_sounds) put_sound(w, i);
        if (!c->without_sounds) put_mel(w, i);
        put_latent(w, i);
        put_pair(w, i);
    }
    must(atm_dataset_commit(w));
    return path;
}

static contents artworks_that_differ(void)
{
    contents c = { 0 };
    for (int i = 0; i < TRACKS; i++) memcpy(c.embedding[i], tiny_embedding(i), sizeof c.embedding[i]);
    return c;
}

static contents artworks_that_are_the_same(void)
{
    contents c = { 0 };
    for (int i = 0; i < TRACKS; i++) memcpy(c.embedding[i], tiny_embedding(2), sizeof c.embedding[i]);
    return c;
}

/* ------------------------------------------------------------------ evaluations */

static atm_eval_report evaluate(const char *model, const char *measures)
{
    atm_eval_report report;
    atm_eval_options o = { .model = scratch_path(model), .data = scratch_path("data.h5"),
                           .split = ATM_SPLIT_TEST,
                           .steps = 2, .duration = 1, .threads = 1 };
    if (measures) must(atm_eval_measures_parse(measures, &o.measures));
    must(atm_evaluate(&o, &report));
    return report;
}

static const atm_eval_row *row_of(const atm_eval_report *r, const char *name)
{
    for (int i = 0; i < r->n_rows; i++)
        if (strncmp(r->row[i].name, name, strlen(name)) == 0) return &r->row[i];
    fail_msg("no row '%s'", name);
    return NULL;
}

static atm_estimate control_of(const atm_eval_row *row, const char *name)
{
    for (int i = 0; i < row->n_controls; i++)
        if (strcmp(row->control[i].name, name) == 0) return row->control[i].is;
    fail_msg("no control '%s' in '%s'", name, row->name);
    return row->is;
}

static void assert_near(double got, double wanted, double tolerance)
{
    if (fabs(got - wanted) <= tolerance) return;            /* and not NaN */
    fail_msg("%.6g is not within %.3g of %.6g", got, tolerance, wanted);
}

/* ------------------------------------------------------------------ which items */

static void items_are_spread_over_tracks(void **state)
{
    const contents c = artworks_that_differ();
    bool seen[TRACKS] = { false };
    eval_items items;
    atm_dataset *d = dataset_open(write_data(&c));
    (void)state;
    must(eval_choose(d, ATM_SPLIT_TEST, EVAL_EACH_PAIR, HELD_OUT_TRACKS, 1, &items));
    assert_int_equal(items.n, HELD_OUT_TRACKS);
    assert_int_equal(items.tracks, HELD_OUT_TRACKS);
    for (int i = 0; i < items.n; i++) {
        assert_int_equal(items.item[i].artwork, items.item[i].clip / 2);
        assert_false(seen[items.item[i].artwork]);
        seen[items.item[i].artwork] = true;
    }
    eval_items_free(&items);
    must(eval_choose(d, ATM_SPLIT_TEST, EVAL_EACH_CLIP, 0, 1, &items));
    assert_int_equal(items.n, CLIPS_ALL / 2);
    eval_items_free(&items);
    must(eval_choose(d, ATM_SPLIT_TEST, EVAL_EACH_ARTWORK, 0, 1, &items));
    assert_int_equal(items.n, HELD_OUT_TRACKS);
    eval_items_free(&items);
    assert_int_equal(eval_choose(d, ATM_SPLIT_VALIDATION, EVAL_EACH_CLIP, 0, 1, &items), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "validation"));
    assert_null(items.item);
    atm_dataset_close(d);
}

static void clips_without_names_are_tracks(void **state)
{
    contents c = artworks_that_differ();
    eval_items items;
    (void)state;
    c.without_tracks = true;
    atm_dataset *d = dataset_open(write_data(&c));
    must(eval_choose(d, ATM_SPLIT_TEST, EVAL_EACH_CLIP, 0, 1, &items));
    assert_int_equal(items.tracks, items.n);
    eval_items_free(&items);
    atm_dataset_close(d);
}

/* ------------------------------------------------------------------ sounds */

/* All pictures are the same: whoever knows the band means knows everything. */
static void constant_pictures_are_predicted(void **state)
{
    const contents c = artworks_that_differ();
    double silence = 0;
    (void)state;
    write_data(&c);
    atm_eval_report r = evaluate("model", "reconstruction");
    const atm_eval_row *row = row_of(&r, "log-mel L1");
    for (size_t b = 0; b < 64; b++) silence += ((double)mel_of_band(b) - (double)ATM_MEL_SILENCE) / 64;
    assert_near(control_of(row, "predicting each band's mean over training music").value, 0, 1e-6);
    assert_near(control_of(row, "predicting silence").value, silence, 1e-5);
    assert_near(control_of(row, "predicting silence").high, silence, 1e-5);
    assert_true(row->is.value > 0.01);
    assert_int_equal(row->n, CLIPS_ALL / 2);
    assert_int_equal(row->units, HELD_OUT_TRACKS);
    atm_eval_report_free(&r);
}

/* Random weights: the network's sound is nothing like the recording, Griffin-Lim's is. */
static void the_better_decoder_is_recommended(void **state)
{
    const contents c = artworks_that_differ();
    (void)state;
    write_data(&c);
    atm_eval_report r = evaluate("model", "decoders");
    const atm_eval_row *vocoder = row_of(&r, "vocoder"), *best = row_of(&r, "griffin_lim");
    assert_true(best->is.value < vocoder->is.value / 2);
    const atm_estimate rounded = control_of(best, "the recording in 16 bits");
    assert_true(rounded.value < control_of(best, "the recording 5 ms later").value);
    assert_int_equal(r.n_rows, 4);
    assert_int_equal(r.n_notes, 1);
    assert_non_null(strstr(r.note[0].text, "Recommended"));
    assert_null(strstr(r.note[0].text, "Recommended: \"decoder\": \"vocoder\""));
    atm_eval_report_free(&r);
}

static void real_clips_are_measured_beside_noise(void **state)
{
    const contents c = artworks_that_differ();
    (void)state;
    write_data(&c);
    atm_eval_report r = evaluate("model", "statistics");
    const atm_eval_row *onsets = row_of(&r, "onset rate");
    const double clicks = 5 / (SOUND / 16000.0);            /* at 2000, 6000 ... 18000 of 20480 samples */
    assert_near(control_of(onsets, "real").value, clicks, 1e-9);
    assert_near(control_of(onsets, "other real music").value, clicks, 1e-9);
    assert_true(control_of(onsets, "white noise").value < 1.5);
    const atm_eval_row *flatness = row_of(&r, "spectral flatness");
    assert_near(control_of(flatness, "white noise").value, 0.5615, 0.01);
    const atm_eval_row *bands = row_of(&r, "distance of band means");
    assert_true(control_of(bands, "other real music").value < control_of(bands, "white noise").value);
    assert_int_equal(bands->n, HELD_OUT_TRACKS);
    atm_eval_report_free(&r);
}

/* ------------------------------------------------------------------ artworks */

static void equal_artworks_make_equal_music(void **state)
{
    contents c = artworks_that_are_the_same();
    (void)state;
    write_data(&c);
    atm_eval_report r = evaluate("model", "difference,conditioning");
    const atm_eval_row *apart = row_of(&r, "log-mel L1 between two artworks");
    assert_near(apart->is.value, 0, 0);
    assert_near(apart->is.high, 0, 0);
    assert_true(control_of(apart, "one artwork, different noise").value > 0.01);
    assert_near(control_of(apart, "two artworks, same noise, guidance 1").value, 0, 0);
    const atm_eval_row *wrong = row_of(&r, "wrong artwork minus right, held-out");
    assert_near(wrong->is.value, 0, 0);
    assert_near(wrong->is.low, 0, 0);
    assert_true(row_of(&r, "no artwork minus right, training")->is.value != 0);
    atm_eval_report_free(&r);
}

static void other_artworks_make_other_music(void **state)
{
    contents c = artworks_that_differ();
    (void)state;
    write_data(&c);
    atm_eval_report r = evaluate("model", "difference,conditioning");
    assert_true(row_of(&r, "log-mel L1 between two artworks")->is.value > 0);
    assert_true(row_of(&r, "wrong artwork minus right, held-out")->is.value != 0);
    const atm_eval_row *right = row_of(&r, "noise error, right artwork, held-out");
    assert_near(control_of(right, "wrong artwork").value - right->is.value,
                row_of(&r, "wrong artwork minus right, held-out")->is.value, 1e-12);
    assert_int_equal(right->n, CLIPS_ALL / 2);
    assert_int_equal(right->units, HELD_OUT_TRACKS);
    atm_eval_report_free(&r);
}

/* What the audio encoder hears in clips: [CLIPS_ALL, TINY_EMBEDDING]. */
static void hear_clips(float *out)
{
    const atm_eval_options o = { .model = scratch_path("model"), .data = scratch_path("data.h5") };
    eval_job job = { .options = &o, .data = dataset_open(o.data) };
    int32_t row[CLIPS_ALL];
    for (int i = 0; i < CLIPS_ALL; i++) row[i] = i;
    must(atm_device_open("ref", 1, &job.device));
    must(atm_model_dir_open(o.model, &job.model));
    must(eval_embed_clips(&job, job.data, CLIPS_ALL, row, out));
    atm_model_dir_close(&job.model);
    atm_device_close(job.device);
    atm_dataset_close(job.data);
}

/* Artworks that look as their music sounds are found by it. */
static void equal_embeddings_are_found(void **state)
{
    static float heard[CLIPS_ALL][TINY_EMBEDDING];
    contents c = artworks_that_differ();
    (void)state;
    write_data(&c);
    hear_clips(heard[0]);
    for (int i = 0; i < TRACKS; i++)
        for (int k = 0; k < TINY_EMBEDDING; k++) c.embedding[i][k] = heard[2 * i][k] + heard[2 * i + 1][k];
    write_data(&c);
    atm_eval_report r = evaluate("model", "retrieval");
    const char *const direction[] = { "image to music", "music to image" };
    for (int i = 0; i < 2; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s R@1 of 3", direction[i]);
        assert_near(row_of(&r, name)->is.value, 1, 0);
        assert_near(control_of(row_of(&r, name), "chance").value, 1.0 / HELD_OUT_TRACKS, 1e-12);
        snprintf(name, sizeof name, "%s median rank", direction[i]);
        assert_near(row_of(&r, name)->is.value, 1, 0);
        assert_near(control_of(row_of(&r, name), "chance").value, 2, 0);
    }
    assert_int_equal(r.n_rows, 4);          /* R@5 of 3 would say nothing */
    atm_eval_report_free(&r);
}

/* ------------------------------------------------------------------ the denoiser */

static const atm_prediction predictions[] = { ATM_PREDICT_EPSILON, ATM_PREDICT_V, ATM_PREDICT_SAMPLE };

/* The error that follows from the network's output by the definition of what it predicts:
 *     epsilon: e - n     v: sqrt(abar) (e - v)     sample: sqrt(abar / (1 - abar)) (z - e) */
static double error_by_definition(const eval_denoiser *d, atm_prediction kind, const float *z, const float *n,
                                  int t)
{
    const double a = sqrt(d->abar[t]), b = sqrt(1 - d->abar[t]);
    double sum = 0;
    for (size_t i = 0; i < d->pixels; i++)
        for (size_t c = 0; c < 8; c++) {
            const double e = (double)d->output[i * 8 + c];
            const double x0 = (double)z[c * d->pixels + i], noise = (double)n[c * d->pixels + i];
            const double off = kind == ATM_PREDICT_EPSILON ? e - noise
                             : kind == ATM_PREDICT_V ? a * (e - (a * noise - b * x0)) : a / b * (x0 - e);
            sum += off * off;
        }
    return sum / LATENT;
}

static void errors_are_those_of_the_noise(void **state)
{
    static float z[LATENT], n[LATENT], loa[2 * 8 * 16];
    static const bool negative[2] = { false, true };
    double error[2];
    eval_job job = { 0 };
    (void)state;
    random_numbers("z", z, LATENT);
    random_numbers("n", n, LATENT);
    random_numbers("loa", loa, sizeof loa / sizeof *loa);
    must(atm_device_open("ref", 1, &job.device));
    must(atm_model_dir_open(scratch_path("model"), &job.model));
    assert_int_equal(job.model.conditioning.loa_tokens * job.model.conditioning.loa_dim, 8 * 16);
    for (int k = 0; k < 3; k++) {
        eval_denoiser d;
        job.model.config.schedule.prediction_type = predictions[k];
        must(eval_denoiser_open(&job, 2, negative, LATENT_FRAMES, &d));
        must(eval_denoiser_set(&d, loa));
        for (int t = 100; t < 1000; t += 400) {
            must(eval_denoiser_run(&d, z, n, t, error));
            /* x is a float: a / b times its rounding, at most 3e-6 of z here */
            assert_near(error[0] / error_by_definition(&d, predictions[k], z, n, t), 1, 1e-4);
            assert_true(error[0] != error[1]);
        }
        eval_denoiser_close(&d);
    }
    atm_model_dir_close(&job.model);
    atm_device_close(job.device);
}

/* ------------------------------------------------------------------ what cannot be measured */

static void what_is_missing_is_left_out_with_a_note(void **state)
{
    contents c = artworks_that_differ();
    (void)state;
    c.without_sounds = true;
    write_data(&c);
    atm_eval_report r = evaluate("deaf", NULL);
    assert_int_equal(r.n_notes, 4);         /* reconstruction, decoders, statistics, retrieval */
    for (int i = 0; i < r.n_rows; i++)
        assert_true(!strcmp(r.row[i].measure, "difference") || !strcmp(r.row[i].measure, "conditioning"));
    atm_eval_report_free(&r);
}

static void what_was_asked_for_by_name_is_not(void **state)
{
    contents c = artworks_that_differ();
    atm_eval_report r;
    (void)state;
    c.without_sounds = true;
    atm_eval_options o = { .model = scratch_path("deaf"), .data = write_data(&c), .split = ATM_SPLIT_TEST,
                           .threads = 1 };
    must(atm_eval_measures_parse("decoders", &o.measures));
    assert_int_equal(atm_evaluate(&o, &r), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "clips/audio"));
    atm_eval_report_free(&r);
    must(atm_eval_measures_parse("retrieval", &o.measures));
    assert_int_equal(atm_evaluate(&o, &r), ATM_E_CONFIG);
    assert_non_null(strstr(atm_error(), "audio_encoder"));
    atm_eval_report_free(&r);
    assert_int_equal(atm_eval_measures_parse("retrieval,decoder", &o.measures), ATM_E_USAGE);
    assert_non_null(strstr(atm_error(), "did you mean decoders"));
}

static int stop(const atm_progress *p, void *user)
{
    (void)user;
    return strcmp(p->stage, "reconstruction") == 0 && p->fraction > 0.3;
}

static void progress_may_stop_it(void **state)
{
    const contents c = artworks_that_differ();
    atm_eval_report r;
    (void)state;
    const atm_eval_options o = { .model = scratch_path("model"), .data = write_data(&c),
                                 .split = ATM_SPLIT_TEST,
                                 .threads = 1, .progress = stop };
    assert_int_equal(atm_evaluate(&o, &r), ATM_E_CANCELLED);
    atm_eval_report_free(&r);
}

/* ------------------------------------------------------------------ files */

static void reports_are_files(void **state)
{
    atm_eval_report r = { 0 };
    atm_json json;
    const atm_eval_row row = {
        .measure = "weight", .name = "of a feather", .unit = "g", .meaning = "how heavy", .n = 3,
        .of = "birds",
        .is = { 0.0005, 0.0004, 0.0006 }, .n_controls = 1, .control = { { "a stone", { NAN, NAN, NAN } } }
    };
    (void)state;
    must(atm_eval_add_fact(&r, "seed", "%d", 7));
    must(atm_eval_add_row(&r, &row));
    must(atm_eval_add_note(&r, "weight", "Feathers are %s.", "light"));
    must(atm_eval_add_note(&r, "length", "no ruler"));
    must(atm_eval_report_write(&r, scratch_path("report")));
    must(atm_json_load(scratch_path("report.json"), &json));
    const json_t *first = json_array_get(json_object_get(json.root, "rows"), 0);
    assert_near(json_real_value(json_object_get(first, "value")), 0.0005, 0);
    assert_near(json_real_value(json_array_get(json_object_get(first, "interval_95"), 1)), 0.0006, 0);
    const json_t *control = json_array_get(json_object_get(first, "controls"), 0);
    assert_true(json_is_null(json_object_get(control, "value")));
    assert_true(json_is_null(json_object_get(control, "interval_95")));
    assert_int_equal(json_array_size(json_object_get(json.root, "notes")), 2);
    atm_json_free(&json);
    bytes text = read_bytes(scratch_path("report.md"));
    bytes_put(&text, "", 1);
    assert_non_null(strstr((char *)text.p, "| **5.00e-04 [4.00e-04, 6.00e-04]** | a stone - |"));
    assert_non_null(strstr((char *)text.p, "Feathers are light."));
    assert_non_null(strstr((char *)text.p, "Not measured: no ruler"));
    bytes_free(&text);
    atm_eval_report_free(&r);
    assert_null(r.row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_spread_over_tracks), cmocka_unit_test(clips_without_names_are_tracks),
        cmocka_unit_test(constant_pictures_are_predicted),
        cmocka_unit_test(the_better_decoder_is_recommended),
        cmocka_unit_test(real_clips_are_measured_beside_noise),
        cmocka_unit_test(equal_artworks_make_equal_music),
        cmocka_unit_test(other_artworks_make_other_music), cmocka_unit_test(equal_embeddings_are_found),
        cmocka_unit_test(errors_are_those_of_the_noise),
        cmocka_unit_test(what_is_missing_is_left_out_with_a_note),
        cmocka_unit_test(what_was_asked_for_by_name_is_not), cmocka_unit_test(progress_may_stop_it),
        cmocka_unit_test(reports_are_files),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
