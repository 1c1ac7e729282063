/* test_export.c - a trained stage becomes a whole model: new weights where they were trained,
 * the old bytes everywhere else, and a card that says what it is. */
#define _GNU_SOURCE
#include "support/support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sha256.h"
#include "io/atomic_file.h"
#include "io/copy_file.h"
#include "io/folder.h"
#include "io/safetensors.h"
#include "support/bytes.h"
#include "support/dataset_file.h"
#include "support/tiny_model.h"
#include "train/export.h"

/* ------------------------------------------------------------------ faults */

typedef enum { WRITE, FSYNC, RENAME, CALLS } call;
static int countdown[CALLS];            /* 1: the next call fails; 0: none */

static bool fails(call c)
{
    if (!countdown[c] || --countdown[c]) return false;
    errno = ENOSPC;
    return true;
}

ssize_t write(int fd, const void *data, size_t n) { return fails(WRITE) ? -1 : syscall(SYS_write, fd, data, n); }
int fsync(int fd) { (void)fd; return fails(FSYNC) ? -1 : 0; }

int rename(const char *from, const char *to)
{
    return fails(RENAME) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* Where it is not there, read() and write() copy. */
static bool no_kernel_copies;

ssize_t copy_file_range(int in, off_t *at_in, int out, off_t *at_out, size_t n, unsigned flags)
{
    if (no_kernel_copies) { errno = ENOSYS; return -1; }
    return syscall(SYS_copy_file_range, in, at_in, out, at_out, n, flags);
}

/* ------------------------------------------------------------------ a stage by hand */

static char out[4200], base[4200];      /* the model written, and the one that training began from */
static atm_train_config config;
static atm_model_dir model;
static atm_dataset *dataset;
static atm_stage stage;
static int finished;
static char finished_in[4300];

static atm_status finish(atm_stage *s, const char *folder)
{
    (void)s;
    finished++;
    snprintf(finished_in, sizeof finished_in, "%s/vae/added-by-finish.json", folder);
    return atm_atomic_write_file(finished_in, "{}\n", 3);
}

static void must(atm_status status)
{
    if (status != ATM_OK) fail_msg("%s", atm_error());
}

static const char *in(const char *folder, const char *name)
{
    static char path[8][9000];
    static int next;
    char *p = path[next++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static const char *in_part(const char *folder, const char *part, const char *name)
{
    char in_folder[600];
    snprintf(in_folder, sizeof in_folder, "%s/%s", part, name);
    return in(folder, in_folder);
}

static void put_text(atm_dataset_writer *w, const char *column, size_t row, const char *text)
{
    char padded[64] = { 0 };
    snprintf(padded, sizeof padded, "%s", text);
    put(w, column, row, padded);
}

static void declare_text(atm_dataset_writer *w, const char *column, size_t rows)
{
    must(atm_dataset_declare(w, &(atm_column){ .name = column, .dtype = ATM_U8, .text = true, .rank = 1, .dim = { 64 },
                                               .rows = rows }));
}

/* Three artworks and five clips, with rights that differ; `licence` for all of them when given. */
static void open_dataset(const char *licence)
{
    static const char *const of_artwork[] = { "CC0-1.0", "CC0-1.0", "public <b>domain</b> | a*b" };
    const char *path = scratch_path("collection.h5");
    const dataset_size size = { .artworks = 3, .clips = 5, .pairs = 7, .validation = 3 };
    atm_dataset_writer *w = dataset_writer(path, size);
    declare_text(w, "artworks/licence", 3);
    declare_text(w, "clips/licence", 5);
    declare_text(w, "clips/source", 5);
    for (size_t i = 0; i < 3; i++) put_text(w, "artworks/licence", i, licence ? licence : of_artwork[i]);
    for (size_t i = 0; i < 5; i++) put_text(w, "clips/licence", i, licence ? licence : i ? "CC-BY-4.0" : "");
    for (size_t i = 0; i < 5; i++) put_text(w, "clips/source", i, i < 3 ? "the first album" : "the second album");
    must(atm_dataset_commit(w));
    dataset = dataset_open(path);
}

/* A group of the tensors whose names are given, with values by place: p 1 + i / 64, ema 2 + i / 64,
 * which F16 and BF16 can hold. */
static atm_group make_group(const char *folder, const char *const *name, bool ema)
{
    atm_group g = { 0 };
    atm_params params;
    must(atm_model_dir_params(&model, strcmp(folder, "vae") ? folder : "vae-encoder", &params));
    for (; name[g.n_params]; g.n_params++) {
        const atm_file_tensor *t = atm_weights_tensor(params.weights, name[g.n_params]);
        assert_non_null(t);
        g.param = realloc(g.param, (size_t)(g.n_params + 1) * sizeof *g.param);
        atm_group_param *p = &g.param[g.n_params];
        *p = (atm_group_param){ .rank = t->rank, .offset = g.count, .count = t->bytes / atm_dtype_size(t->dtype) };
        for (int i = 0; i < t->rank; i++) p->dim[i] = (int)t->dim[i];
        assert_true(asprintf(&p->name, "%s.%s", folder, name[g.n_params]) > 0);
        g.count += (p->count + 15) / 16 * 16;
    }
    g.p = calloc(2 * g.count, sizeof *g.p);
    g.ema = ema ? g.p + g.count : NULL;
    for (size_t i = 0; i < g.count; i++) g.p[i] = 1 + (float)(i % 64) / 64;
    for (size_t i = 0; ema && i < g.count; i++) g.ema[i] = 2 + (float)(i % 64) / 64;
    atm_params_close(&params);
    return g;
}

static void free_group(atm_group *g)
{
    for (int i = 0; i < g->n_params; i++) free(g->param[i].name);
    free(g->param);
    free(g->p);
    *g = (atm_group){ 0 };
}

static const atm_stage_info info = { .name = "diffusion" };
static const atm_stage_info info_finish = { .name = "diffusion", .finish = finish };
static const char *const of_unet[] = { "conv_in.weight", "conv_out.bias", NULL };
static const char *const of_adapter[] = { "projection1.weight", NULL };
static const char yaml[] = "stage: \"diffusion\"\nmodel: \"/home/somebody/models/base/\"\n"
                           "output: \"/scratch/runs/mine\"\nseed: 7\ntrain:\n  trainable: \"unet.* adapter.*\"\n"
                           "  resume_from_checkpoint: \"\"\n";
static const char *const metric[] = { "loss", "accuracy", NULL };
static const double value[] = { 0.125, 0.75 };
static const atm_export_options f32 = { ATM_F32, yaml, 5000, 4980.4, metric, value };

static void make_stage(const char *const *trained)
{
    config = atm_train_config_default();
    strcpy(config.output, "/scratch/runs/mine");
    stage = (atm_stage){ .info = &info, .config = &config, .model = &model, .dataset = dataset };
    for (int i = 0; trained[i]; i++) stage.trained[i] = trained[i];
}

static int setup(void **state)
{
    (void)state;
    memset(countdown, 0, sizeof countdown);
    no_kernel_copies = false;
    finished = 0;
    scratch_make();
    snprintf(out, sizeof out, "%s", scratch_path("model"));
    open_dataset(NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    memset(countdown, 0, sizeof countdown);
    for (int g = 0; g < stage.n_groups; g++) free_group(&stage.group[g]);
    stage = (atm_stage){ 0 };
    atm_model_dir_close(&model);
    atm_dataset_close(dataset);
    atm_folder_remove(out);
    atm_folder_remove(scratch_path("base"));
    scratch_remove();
    return 0;
}

/* UNet (with a moving average) and adapter of the tiny model. */
static void prepare(void)
{
    snprintf(base, sizeof base, "%s", tiny_model_path());
    must(atm_model_dir_open(base, &model));
    make_stage((const char *const[]){ "unet", "adapter", NULL });
    stage.group[0] = make_group("unet", of_unet, true);
    stage.group[1] = make_group("adapter", (const char *const[]){ of_adapter[0], NULL }, false);
    stage.n_groups = 2;
}

/* ------------------------------------------------------------------ looking */

static bool same_files(const char *a, const char *b)
{
    bytes x = read_bytes(a), y = read_bytes(b);
    const bool same = x.n == y.n && memcmp(x.p, y.p, x.n) == 0;
    bytes_free(&x);
    bytes_free(&y);
    return same;
}

static char *read_card(void)
{
    bytes b = read_bytes(in(out, "README.md"));
    bytes_put(&b, "", 1);
    return (char *)b.p;
}

/* One tensor of a written file holds first + i / 64. */
static void assert_values(const char *file, const char *name, atm_dtype dtype, float first, size_t offset)
{
    atm_tensor_file *f;
    must(atm_tensor_file_open(file, &f));
    const atm_file_tensor *t = atm_tensor_file_find(f, name);
    assert_non_null(t);
    assert_int_equal(t->dtype, dtype);
    const size_t n = t->bytes / atm_dtype_size(dtype);
    float *x = malloc(n * sizeof *x);
    atm_convert(x, ATM_F32, t->data, dtype, n);
    for (size_t i = 0; i < n; i++) assert_true(x[i] == first + (float)((i + offset) % 64) / 64);
    free(x);
    atm_tensor_file_close(f);
}

/* All tensors of `old` but n of them are in `file`, unchanged. */
static void assert_others_kept(const char *file, const char *old, int n)
{
    atm_tensor_file *a, *b;
    int changed = 0;
    must(atm_tensor_file_open(file, &a));
    must(atm_tensor_file_open(old, &b));
    assert_int_equal(atm_tensor_file_count(a), atm_tensor_file_count(b));
    for (size_t i = 0; i < atm_tensor_file_count(b); i++) {
        const atm_file_tensor *was = atm_tensor_file_at(b, i), *is = atm_tensor_file_find(a, was->name);
        assert_non_null(is);
        assert_int_equal(is->rank, was->rank);
        assert_memory_equal(is->dim, was->dim, sizeof was->dim);
        changed += is->dtype != was->dtype || memcmp(is->data, was->data, was->bytes) != 0;
    }
    assert_int_equal(changed, n);
    atm_tensor_file_close(a);
    atm_tensor_file_close(b);
}

static int count_files(const char *folder)
{
    int n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d)); ) n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(d);
    return n;
}

/* ------------------------------------------------------------------ what is written */

static const char UNET[] = "unet/diffusion_pytorch_model.safetensors", ADAPTER[] = "adapter/model.safetensors";

static void writes_new_weights_and_keeps_the_rest(void **state)
{
    (void)state;
    static const char *const kept[] = {
        "model_index.json", "image_encoder/config.json", "image_encoder/model.safetensors",
        "language_model/config.json", "language_model/model.safetensors", "unet/config.json", "adapter/config.json",
        "vae/config.json", "vae/diffusion_pytorch_model.safetensors", "vocoder/config.json",
        "vocoder/model.safetensors", "scheduler/scheduler_config.json",
    };
    prepare();
    must(atm_export_model(&stage, out, &f32));
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (!same_files(in(out, kept[i]), in(base, kept[i]))) fail_msg("%s has changed", kept[i]);
    assert_values(in(out, UNET), "conv_in.weight", ATM_F32, 2, 0);
    assert_values(in(out, UNET), "conv_out.bias", ATM_F32, 2, stage.group[0].param[1].offset);
    assert_others_kept(in(out, UNET), in(base, UNET), 2);
    assert_values(in(out, ADAPTER), of_adapter[0], ATM_F32, 1, 0);
    assert_others_kept(in(out, ADAPTER), in(base, ADAPTER), 1);
    assert_int_equal(scratch_count(), 2);           /* the dataset and the model, nothing temporary */
}

static void what_is_written_generates(void **state)
{
    (void)state;
    atm_open_options options = { .size = sizeof options, .backend = "cpu", .threads = 1 };
    atm_model *opened;
    prepare();
    must(atm_export_model(&stage, out, &f32));
    if (atm_open(out, &options, &opened) != ATM_OK) fail_msg("%s", atm_error());
    atm_close(opened);
}

static void converts_to_half_precision(void **state)
{
    (void)state;
    static const atm_dtype dtype[] = { ATM_F16, ATM_BF16 };
    prepare();
    for (int i = 0; i < 2; i++) {
        atm_export_options options = f32;
        options.dtype = dtype[i];
        must(atm_export_model(&stage, out, &options));
        assert_values(in(out, UNET), "conv_in.weight", dtype[i], 2, 0);
        assert_others_kept(in(out, UNET), in(base, UNET), 2);
    }
}

static void replaces_an_older_model(void **state)
{
    (void)state;
    prepare();
    must(atm_export_model(&stage, out, &f32));
    write_bytes(in(out, "unet/stale.bin"), "x", 1);
    for (size_t i = 0; i < stage.group[0].count; i++) stage.group[0].ema[i] += 4;
    must(atm_export_model(&stage, out, &f32));
    assert_values(in(out, UNET), "conv_in.weight", ATM_F32, 6, 0);
    assert_int_equal(access(in(out, "unet/stale.bin"), F_OK), -1);
    assert_int_equal(scratch_count(), 2);
}

static void finishes_before_the_card(void **state)
{
    (void)state;
    prepare();
    stage.info = &info_finish;
    must(atm_export_model(&stage, out, &f32));
    assert_int_equal(finished, 1);
    assert_non_null(strstr(finished_in, "model.tmp/"));
    assert_int_equal(access(in(out, "vae/added-by-finish.json"), F_OK), 0);
}

/* A UNet trained on constants makes them right; an adapter does not make a random UNet one. */
static void says_whether_the_model_is_trained(void **state)
{
    (void)state;
    atm_conditioning c;
    prepare();
    must(atm_export_model(&stage, out, &f32));
    must(atm_conditioning_read(in(out, "conditioning/conditioning.safetensors"), &c));
    assert_string_equal(c.source, "constants (random, seed 1), kept fixed in training");
    assert_memory_equal(c.text, model.conditioning.text, (size_t)(c.text_tokens * c.text_dim) * sizeof *c.text);
    assert_memory_equal(c.negative_loa, model.conditioning.negative_loa,
                        (size_t)(c.loa_tokens * c.loa_dim) * sizeof *c.negative_loa);
    atm_conditioning_free(&c);
    stage.trained[0] = "adapter";
    stage.trained[1] = NULL;
    must(atm_export_model(&stage, out, &f32));
    assert_true(same_files(in(out, "conditioning/conditioning.safetensors"),
                           in(base, "conditioning/conditioning.safetensors")));
    assert_true(same_files(in(out, UNET), in(base, UNET)));
}

/* ------------------------------------------------------------------ other forms of weights */

/* A copy of the tiny model with other weights of one part: its tensors by their names in `rename`
 * (old part, new part), behind `prefix`, in `shards` files. */
static void copy_base(const char *part, const char *weights, const char *prefix, const char *const rename[2],
                      int shards)
{
    char command[9000], name[64], entry[400];
    bytes index = { 0 };
    atm_tensor_file *f;
    bytes_text(&index, "{\"weight_map\": {");
    snprintf(base, sizeof base, "%s", scratch_path("base"));
    snprintf(command, sizeof command, "cp -r '%s' '%s' && rm '%s/%s/%s'", tiny_model_path(), base, base, part, weights);
    assert_int_equal(system(command), 0);
    must(atm_tensor_file_open(in_part(tiny_model_path(), part, weights), &f));
    const size_t n = atm_tensor_file_count(f);
    atm_file_tensor *t = calloc(n, sizeof *t);
    char (*names)[300] = calloc(n, sizeof *names);
    for (size_t i = 0; i < n; i++) {
        t[i] = *atm_tensor_file_at(f, i);
        const char *at = rename ? strstr(t[i].name, rename[0]) : NULL;
        snprintf(names[i], sizeof names[i], "%s%.*s%s%s", prefix, at ? (int)(at - t[i].name) : (int)strlen(t[i].name),
                 t[i].name, at ? rename[1] : "", at ? at + strlen(rename[0]) : "");
        t[i].name = names[i];
    }
    for (int s = 0; s < shards; s++) {
        const size_t from = n * (size_t)s / (size_t)shards, to = n * (size_t)(s + 1) / (size_t)shards;
        snprintf(name, sizeof name, shards > 1 ? "model-%d-of-%d.safetensors" : "model.safetensors", s, shards);
        must(atm_safetensors_write(in_part(base, part, name), t + from, to - from, NULL, 0));
        for (size_t i = from; i < to; i++) {
            snprintf(entry, sizeof entry, "%s\"%s\": \"%s\"", i ? ", " : "", names[i], name);
            bytes_text(&index, entry);
        }
    }
    bytes_text(&index, "}}");
    if (shards > 1) write_bytes(in_part(base, part, "model.safetensors.index.json"), index.p, index.n);
    bytes_free(&index);
    free(t);
    free(names);
    atm_tensor_file_close(f);
    must(atm_model_dir_open(base, &model));
}

static void joins_shards_and_unwraps_names(void **state)
{
    (void)state;
    copy_base("adapter", "model.safetensors", "module.", NULL, 3);
    assert_int_equal(count_files(in(base, "adapter")), 5);
    make_stage((const char *const[]){ "adapter", NULL });
    stage.group[0] = make_group("adapter", of_adapter, false);
    stage.n_groups = 1;
    must(atm_export_model(&stage, out, &f32));
    assert_int_equal(count_files(in(out, "adapter")), 2);       /* config.json, model.safetensors */
    assert_values(in(out, ADAPTER), of_adapter[0], ATM_F32, 1, 0);
    assert_others_kept(in(out, ADAPTER), in(tiny_model_path(), ADAPTER), 1);
}

static void gives_old_names_their_new_ones(void **state)
{
    (void)state;
    static const char *const rename[] = { "attentions.0.to_q", "attentions.0.query" };
    static const char *const trained[] = { "encoder.mid_block.attentions.0.to_q.weight", NULL };
    copy_base("vae", "diffusion_pytorch_model.safetensors", "", rename, 1);
    make_stage((const char *const[]){ "vae", NULL });
    stage.group[0] = make_group("vae", trained, false);
    stage.n_groups = 1;
    must(atm_export_model(&stage, out, &f32));
    const char *written = in(out, "vae/diffusion_pytorch_model.safetensors");
    assert_values(written, trained[0], ATM_F32, 1, 0);
    atm_tensor_file *f;
    must(atm_tensor_file_open(written, &f));
    assert_null(atm_tensor_file_find(f, "encoder.mid_block.attentions.0.query.weight"));
    assert_non_null(atm_tensor_file_find(f, "encoder.mid_block.attentions.0.query.bias"));
    atm_tensor_file_close(f);
    atm_model_dir written_model;
    must(atm_model_dir_open(out, &written_model));
    atm_model_dir_close(&written_model);
}

/* ------------------------------------------------------------------ the card */

static void assert_says(const char *card, const char *text)
{
    if (!strstr(card, text)) fail_msg("the card does not say: %s\n%s", text, card);
}

static void the_card_says_what_it_is(void **state)
{
    (void)state;
    char line[300], hash[ATM_SHA256_TEXT];
    prepare();
    must(atm_export_model(&stage, out, &f32));
    char *card = read_card();
    assert_true(strncmp(card, "---\nlicense: other\n", 19) == 0);
    assert_says(card, "# mine: stage diffusion, 5000 updates\n");
    assert_says(card, "training has changed `unet`, `adapter`.");
    assert_says(card, "1 h 23 min 0 s");
    assert_says(card, "moving average (decay ");
    assert_says(card, "| loss | 0.125 |\n| accuracy | 0.75 |\n");
    assert_says(card, "`collection.h5`, fingerprint `");
    assert_says(card, atm_dataset_fingerprint(dataset));
    assert_says(card, "Pairs: 4 train, 3 validation, 0 test.");
    assert_says(card, "| CC0-1.0 | 2 |\n| public \\<b>domain\\</b> \\| a\\*b | 1 |\n");
    assert_says(card, "| CC-BY-4.0 | 4 |\n| not stated | 1 |\n");
    assert_says(card, "| the first album | 3 |\n| the second album | 2 |\n");
    assert_says(card, "model: \"base\"\noutput: \"mine\"\nseed: 7\ntrain:\n  trainable: \"unet.* adapter.*\"\n");
    assert_says(card, "  resume_from_checkpoint: \"\"\n```\n");
    bytes b = read_bytes(in(out, UNET));
    atm_sha256 h = atm_sha256_begin();
    atm_sha256_add(&h, b.p, b.n);
    atm_sha256_text(&h, hash);
    snprintf(line, sizeof line, "| `%s` | %zu | `%s` |\n", UNET, b.n, hash);
    assert_says(card, line);
    bytes_free(&b);
    free(card);
}

static void the_card_names_no_places(void **state)
{
    (void)state;
    prepare();
    must(atm_export_model(&stage, out, &f32));
    char *card = read_card();
    static const char *const place[] = { "/home", "/scratch", "/tmp", "somebody" };
    for (size_t i = 0; i < sizeof place / sizeof *place; i++) assert_null(strstr(card, place[i]));
    assert_null(strstr(card, ATM_BINARY_DIR));
    free(card);
}

static void one_known_licence_is_that_of_the_model(void **state)
{
    (void)state;
    atm_dataset_close(dataset);
    open_dataset("CC-BY-SA-4.0");
    prepare();
    atm_export_options no_metrics = f32;
    no_metrics.metric = NULL;
    must(atm_export_model(&stage, out, &no_metrics));
    char *card = read_card();
    assert_true(strncmp(card, "---\nlicense: cc-by-sa-4.0\nlibrary_name", 38) == 0);
    assert_null(strstr(card, "## Validation"));
    free(card);
}

/* ------------------------------------------------------------------ failures */

/* The n-th call fails, n = 1, 2, ... until the export passes: the older model stays as it was. */
static int export_with_faults(call c)
{
    for (int n = 1; ; n++) {
        countdown[c] = n;
        const atm_status status = atm_export_model(&stage, out, &f32);
        const bool passed = countdown[c] > 0;
        countdown[c] = 0;
        assert_int_equal(status, passed ? ATM_OK : ATM_E_IO);
        assert_int_equal(scratch_count(), 2);
        if (passed) return n - 1;
        assert_non_null(strstr(atm_error(), strerror(ENOSPC)));
        atm_model_dir whole;
        must(atm_model_dir_open(out, &whole));
        atm_model_dir_close(&whole);
    }
}

static void a_failure_keeps_the_older_model(void **state)
{
    (void)state;
    prepare();
    no_kernel_copies = true;
    must(atm_export_model(&stage, out, &f32));
    assert_true(export_with_faults(WRITE) > 15);
    assert_true(export_with_faults(FSYNC) > 30);
    assert_true(export_with_faults(RENAME) > 15);
}

static void takes_no_notice_of_a_killed_export(void **state)
{
    (void)state;
    prepare();
    assert_int_equal(mkdir(scratch_path("model.tmp"), 0777), 0);
    write_bytes(scratch_path("model.tmp/junk"), "x", 1);
    must(atm_export_model(&stage, out, &f32));
    assert_int_equal(access(in(out, "junk"), F_OK), -1);
    assert_int_equal(scratch_count(), 2);
}

static void copies_files_either_way(void **state)
{
    (void)state;
    bytes b = { 0 };
    for (uint64_t i = 0; i < 300000; i++) bytes_little(&b, i * i, 8);
    write_bytes(scratch_path("from"), b.p, b.n);
    for (int i = 0; i < 2; i++) {
        no_kernel_copies = i;
        must(atm_copy_file(scratch_path("from"), scratch_path("to")));
        assert_true(same_files(scratch_path("from"), scratch_path("to")));
    }
    assert_int_equal(atm_copy_file(scratch_path("nothing"), scratch_path("to")), ATM_E_NOINPUT);
    assert_int_equal(atm_copy_file(scratch_path("from"), scratch_path("no/where")), ATM_E_IO);
    bytes_free(&b);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(writes_new_weights_and_keeps_the_rest), TEST(what_is_written_generates),
        TEST(converts_to_half_precision), TEST(replaces_an_older_model), TEST(finishes_before_the_card),
        TEST(says_whether_the_model_is_trained), TEST(joins_shards_and_unwraps_names),
        TEST(gives_old_names_their_new_ones), TEST(the_card_says_what_it_is), TEST(the_card_names_no_places),
        TEST(one_known_licence_is_that_of_the_model), TEST(a_failure_keeps_the_older_model),
        TEST(takes_no_notice_of_a_killed_export), TEST(copies_files_either_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
