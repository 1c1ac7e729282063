/* test_component.c - running one component on files: what is refused and how, and the
 * tensor names of older files. */
#include "support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/safetensors.h"
#include "model/component.h"

enum { BATCH = 1, FRAMES = 3, BANDS = 8, SAMPLES = 160, PATH_BYTES = 4096 };
typedef char path_text[PATH_BYTES];

static void made_path(path_text out, const char *name)
{
    snprintf(out, PATH_BYTES, "%s/component_%s", ATM_BINARY_DIR, name);
}

static void fixture_folder(path_text out, const char *network)
{
    snprintf(out, PATH_BYTES, "%s", fixture_path("networks/"));
    strncat(out, network, PATH_BYTES - strlen(out) - 1);
}

static atm_status run(const atm_component_request *request)
{
    atm_device *device;
    assert_int_equal(atm_device_open("ref", 1, &device), ATM_OK);
    const atm_status status = atm_component_run(device, request);
    atm_device_close(device);
    return status;
}

/* ------------------------------------------------------------------ refusals */

/* What the inputs file of a problem holds, all of it zero. */
typedef struct { const char *name; int rank; int64_t dim[4]; } input;

typedef struct {
    const char *component, *folder;
    input input[3];
    const char *grad[3];
    atm_status status;
    const char *message;
} refusal;

#define GOOD_INPUT { "spectrogram", 3, { BATCH, FRAMES, BANDS } }

static const refusal refusals[] = {
    { "vocodr", "vocoder", { GOOD_INPUT }, { NULL }, ATM_E_USAGE,
      "there is no component \"vocodr\"; known are " },
    { "vocoder", "no-such-folder", { GOOD_INPUT }, { NULL }, ATM_E_NOINPUT, "no-such-folder" },
    { "vocoder", "vocoder", { { "mel", 3, { BATCH, FRAMES, BANDS } } }, { NULL }, ATM_E_DATA,
      "there is no input \"spectrogram\" [*, *, 8]" },
    { "vocoder", "vocoder", { { "spectrogram", 3, { BATCH, FRAMES, BANDS + 1 } } }, { NULL }, ATM_E_DATA,
      "input \"spectrogram\" is [1,3,9]; needed is [*, *, 8]" },
    { "vocoder", "vocoder", { { "spectrogram", 2, { FRAMES, BANDS } } }, { NULL }, ATM_E_DATA,
      "needed is [*, *, 8]" },
    { "vocoder", "vocoder", { { "spectrogram", 3, { 0, FRAMES, BANDS } } }, { NULL }, ATM_E_DATA,
      "needed is" },
    { "vocoder", "vocoder", { GOOD_INPUT, { "mask", 1, { 1 } } }, { NULL }, ATM_E_DATA,
      "\"mask\" is no input of vocoder" },
    { "vocoder", "vocoder", { GOOD_INPUT }, { "spectrogram" }, ATM_E_USAGE,
      "gradients need \"grad_output.waveform\"" },
    { "vocoder", "vocoder", { GOOD_INPUT, { "grad_output.waveform", 2, { BATCH, SAMPLES } } },
      { "spectrogram" }, ATM_E_DATA, "\"grad_output.waveform\" has not the shape" },
    { "vocoder", "vocoder", { GOOD_INPUT, { "grad_output.wave", 2, { BATCH, SAMPLES } } }, { NULL },
      ATM_E_DATA, "\"grad_output.wave\" is no input" },
    { "vae-decoder", "vocoder", { GOOD_INPUT }, { NULL }, ATM_E_CONFIG, "block_out_channels" },
};

static void write_inputs(const char *path, const input *in)
{
    static const float zeros[4096];
    atm_file_tensor tensor[3];
    size_t n = 0;
    for (; n < 3 && in[n].name; n++) {
        tensor[n] = (atm_file_tensor){ .name = in[n].name, .dtype = ATM_F32, .rank = in[n].rank,
                                       .data = zeros, .bytes = sizeof(float) };
        for (int i = 0; i < in[n].rank; i++) tensor[n].bytes *= (size_t)(tensor[n].dim[i] = in[n].dim[i]);
        assert_true(tensor[n].bytes <= sizeof zeros);
    }
    assert_int_equal(atm_safetensors_write(path, tensor, n, NULL, 0), ATM_OK);
}

static void bad_requests_are_refused(void **state)
{
    (void)state;
    path_text inputs, outputs, folder;
    made_path(inputs, "in.safetensors");
    made_path(outputs, "out.safetensors");
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const refusal *r = &refusals[i];
        fixture_folder(folder, r->folder);
        write_inputs(inputs, r->input);
        const atm_status status = run(&(atm_component_request){
            .component = r->component, .weights = folder, .inputs = inputs, .outputs = outputs,
            .grad = r->grad });
        if (status != r->status || !strstr(atm_error(), r->message))
            fail_msg("status %d, \"%s\"; expected %d, \"%s\"", status, atm_error(), r->status, r->message);
        assert_int_equal(fopen(outputs, "r") ? 0 : errno, ENOENT);      /* nothing half done */
    }
    remove(inputs);
}

static void outputs_that_cannot_be_written_are_reported(void **state)
{
    (void)state;
    path_text inputs, folder;
    const input in[3] = { GOOD_INPUT };
    made_path(inputs, "in.safetensors");
    fixture_folder(folder, "vocoder");
    write_inputs(inputs, in);
    const atm_component_request request = { .component = "vocoder", .weights = folder, .inputs = inputs,
                                            .outputs = "/no/such/folder/out.safetensors" };
    assert_int_equal(run(&request), ATM_E_IO);
    remove(inputs);
}

/* ------------------------------------------------------------------ older files */

/* Replaces `from` in name, if it is there. */
static void replace(char *name, const char *from, const char *to)
{
    char *at = strstr(name, from);
    if (!at) return;
    char rest[256];
    snprintf(rest, sizeof rest, "%s", at + strlen(from));
    snprintf(at, 256 - (size_t)(at - name), "%s%s", to, rest);
}

/* As diffusers wrote before 0.18: other names, and attention weights as 1 x 1 convolutions. */
static void make_old(const char *from, const char *to)
{
    enum { MAX_TENSORS = 512 };
    static char name[MAX_TENSORS][256];
    static atm_file_tensor tensor[MAX_TENSORS];
    atm_tensor_file *file;
    assert_int_equal(atm_tensor_file_open(from, &file), ATM_OK);
    const size_t n = atm_tensor_file_count(file);
    assert_true(n <= MAX_TENSORS);
    for (size_t i = 0; i < n; i++) {
        tensor[i] = *atm_tensor_file_at(file, i);
        snprintf(name[i], sizeof name[i], "%s", tensor[i].name);
        replace(name[i], "to_q", "query");
        replace(name[i], "to_k", "key");
        replace(name[i], "to_v", "value");
        replace(name[i], "to_out.0", "proj_attn");
        if (strstr(name[i], "attentions") && tensor[i].rank == 2) {
            tensor[i].rank = 4;
            tensor[i].dim[2] = tensor[i].dim[3] = 1;
        }
        tensor[i].name = name[i];
    }
    assert_int_equal(atm_safetensors_write(to, tensor, n, NULL, 0), ATM_OK);
    atm_tensor_file_close(file);
}

static void copy_config(const char *from, const char *to)
{
    atm_json json;
    assert_int_equal(atm_json_load(from, &json), ATM_OK);
    assert_int_equal(atm_json_write(to, json.root), ATM_OK);
    atm_json_free(&json);
}

static void check_same_tensors(const char *a, const char *b)
{
    atm_tensor_file *x, *y;
    assert_int_equal(atm_tensor_file_open(a, &x), ATM_OK);
    assert_int_equal(atm_tensor_file_open(b, &y), ATM_OK);
    assert_int_equal(atm_tensor_file_count(x), atm_tensor_file_count(y));
    for (size_t i = 0; i < atm_tensor_file_count(x); i++)
        assert_memory_equal(atm_tensor_file_at(x, i)->data, atm_tensor_file_at(y, i)->data,
                            atm_tensor_file_at(x, i)->bytes);
    atm_tensor_file_close(x);
    atm_tensor_file_close(y);
}

static void older_attention_names_are_understood(void **state)
{
    (void)state;
    path_text old, config, weights, a, b, folder, inputs;
    made_path(old, "old_vae");
    made_path(config, "old_vae/config.json");
    made_path(weights, "old_vae/diffusion_pytorch_model.safetensors");
    made_path(a, "new.safetensors");
    made_path(b, "old.safetensors");
    fixture_folder(folder, "vae");
    mkdir(old, 0777);
    copy_config(fixture_path("networks/vae/config.json"), config);
    make_old(fixture_path("networks/vae/diffusion_pytorch_model.safetensors"), weights);
    fixture_folder(inputs, "vae/io_decoder.safetensors");
    atm_component_request request = { .component = "vae-decoder", .weights = folder, .inputs = inputs,
                                      .outputs = a };
    if (run(&request) != ATM_OK) fail_msg("%s", atm_error());
    request.weights = old;
    request.outputs = b;
    if (run(&request) != ATM_OK) fail_msg("%s", atm_error());
    check_same_tensors(a, b);
    remove(a);
    remove(b);
    remove(weights);
    remove(config);
    remove(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(outputs_that_cannot_be_written_are_reported),
        cmocka_unit_test(older_attention_names_are_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
