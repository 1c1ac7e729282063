/* cmd_forward.c - `arttomus forward`: one component on tensors of a file, to compare
 * it with the reference.  Networks are rows of model/component.h; what has no
 * weights is in forward_data.c; a step of training is train/train_step.h. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "cli/commands.h"
#include "cli/forward_data.h"
#include "kernels/device.h"
#include "model/component.h"
#include "model/schedule_config.h"
#include "train/train_step.h"

typedef struct {
    cli_common common;
    const char *weights, *inputs, *outputs, *backend;
    const char *sampler, *framing;
    cli_list grad;
    int threads, steps, from, to, size;
    double eta, guidance, snr_gamma;
    bool checked;
} args;

static const args defaults = { .backend = "auto", .sampler = "ddim", .framing = "art2mus", .guidance = 1,
                               .snr_gamma = 5 };

static const char *const backends[] = { "auto", "cpu", "cuda", "ref", "ref64", NULL };
static const char *const framings[] = { "art2mus", "audioldm2", NULL };

#define AT(member) offsetof(args, member)
static const cli_option options[] = {
    { "weights", 'w', CLI_TEXT, AT(weights), .value = "DIR",
      .help = "the component's folder (config.json, weights)" },
    { "inputs", 'i', CLI_TEXT, AT(inputs), .value = "FILE", .help = "safetensors with the inputs" },
    { "outputs", 'o', CLI_TEXT, AT(outputs), .value = "FILE", .help = "safetensors to write" },
    { "grad", 0, CLI_LIST, AT(grad), .value = "NAME",
      .help = "also grad.NAME: of an input, or of weight.GLOB; may be repeated" },
    { "backend", 0, CLI_CHOICE, AT(backend), .choices = backends, .value = "NAME",
      .help = "auto (default), cpu, cuda, ref, ref64 (double)" },
    { "threads", 't', CLI_INT, AT(threads), 1, 1024, .value = "N", .help = "default: one for each core" },
    { "checked", 0, CLI_FLAG, AT(checked), .help = "stop at the first step whose result is not finite" },
    { "sampler", 0, CLI_TEXT, AT(sampler), .value = "NAME",
      .help = "scheduler: ddim (default), dpm++, dpm++-karras" },
    { "steps", 0, CLI_INT, AT(steps), 1, 1000, .value = "N",
      .help = "scheduler: default as many as model_output has" },
    { "eta", 0, CLI_DOUBLE, AT(eta), 0, 1, .value = "X", .help = "scheduler: share of fresh noise" },
    { "guidance", 0, CLI_DOUBLE, AT(guidance), 1, 100, .value = "X",
      .help = "train-step: inside the loss; 1 (default): none" },
    { "snr-gamma", 0, CLI_DOUBLE, AT(snr_gamma), 0, 1e6, .value = "X",
      .help = "train-step: of min-SNR weights, default 5; 0: none" },
    { "framing", 0, CLI_CHOICE, AT(framing), .choices = framings, .value = "NAME",
      .help = "mel: art2mus (default, centred) or audioldm2" },
    { "from", 0, CLI_INT, AT(from), 1, 768000, .value = "RATE", .help = "resample: Hz of the input" },
    { "to", 0, CLI_INT, AT(to), 1, 768000, .value = "RATE", .help = "resample: Hz of the output" },
    { "size", 0, CLI_INT, AT(size), 1, 4096, .value = "N", .help = "resize: side of the centre crop" },
    { 0 }
};

/* ------------------------------------------------------------------ what is no network */

static atm_status run_scheduler(const args *a)
{
    atm_schedule_request request = {
        .folder = a->weights, .inputs = a->inputs, .outputs = a->outputs, .steps = a->steps, .eta = a->eta
    };
    TRY_RETURN(atm_sampler_find(a->sampler, &request.sampler));
    return atm_schedule_forward(&request);
}

static atm_status run_mel(const args *a)
{
    return cli_forward_mel(a->inputs, a->outputs, strcmp(a->framing, "art2mus") ? ATM_FRAMING_AUDIOLDM2
                                                                                : ATM_FRAMING_ART2MUS);
}

static atm_status run_resample(const args *a)
{
    if (!a->from || !a->to) return atm_fail(ATM_E_USAGE, "resample needs --from RATE and --to RATE");
    return cli_forward_resample(a->inputs, a->outputs, a->from, a->to);
}

static atm_status run_resize(const args *a)
{
    if (!a->size) return atm_fail(ATM_E_USAGE, "resize needs --size N");
    return cli_forward_resize(a->inputs, a->outputs, a->size);
}

enum { MAX_NAMES = 64 };

/* The names of --grad, NULL ends. */
static atm_status list_grad(const args *a, const char *grad[MAX_NAMES + 1])
{
    if (a->grad.n > MAX_NAMES) return atm_fail(ATM_E_USAGE, "at most %d --grad", MAX_NAMES);
    for (int i = 0; i < a->grad.n; i++) grad[i] = a->grad.item[i];
    grad[a->grad.n] = NULL;
    return ATM_OK;
}

static atm_status run_train_step(const args *a)
{
    const char *grad[MAX_NAMES + 1];
    atm_device *device;
    TRY_RETURN(list_grad(a, grad));
    TRY_RETURN(atm_device_open(a->backend, a->threads, &device));
    const atm_status status = atm_train_step_forward(device, &(atm_train_step_request){
        .model = a->weights, .inputs = a->inputs, .outputs = a->outputs, .grad = a->grad.n ? grad : NULL,
        .guidance = a->guidance, .snr_gamma = a->snr_gamma });
    atm_device_close(device);
    return status;
}

static const struct {
    const char *name;
    bool needs_folder;
    atm_status (*run)(const args *a);
} plain[] = {
    { "scheduler", true, run_scheduler }, { "mel", false, run_mel }, { "resample", false, run_resample },
    { "resize", false, run_resize }, { "train-step", true, run_train_step }
};
enum { N_PLAIN = sizeof plain / sizeof plain[0] };

/* ------------------------------------------------------------------ networks */

static atm_status run_network(const args *a, const char *name)
{
    const char *grad[MAX_NAMES + 1];
    atm_device *device;
    TRY_RETURN(list_grad(a, grad));
    TRY_RETURN(atm_device_open(a->backend, a->threads, &device));
    const atm_component_request request = {
        .component = name, .weights = a->weights, .inputs = a->inputs, .outputs = a->outputs,
        .grad = a->grad.n ? grad : NULL, .options = { .checked = a->checked }
    };
    const atm_status status = atm_component_run(device, &request);
    atm_device_close(device);
    return status;
}

static atm_status unknown(const char *name)
{
    const char *names[MAX_NAMES];
    size_t n = 0;
    for (int i = 0; i < atm_n_components; i++) names[n++] = atm_components[i].name;
    for (int i = 0; i < N_PLAIN; i++) names[n++] = plain[i].name;
    const char *near = atm_nearest(name, names, n, sizeof names[0]);
    if (near) return atm_fail(ATM_E_USAGE, "no component '%s': did you mean %s?", name, near);
    return atm_fail(ATM_E_USAGE, "no component '%s': arttomus forward --help lists them", name);
}

static atm_status dispatch(const args *a, const char *name)
{
    for (int i = 0; i < N_PLAIN; i++) {
        if (strcmp(plain[i].name, name)) continue;
        if (plain[i].needs_folder && !a->weights)
            return atm_fail(ATM_E_USAGE, "%s needs --weights DIR", name);
        return plain[i].run(a);
    }
    if (!atm_component_find(name)) return unknown(name);
    if (!a->weights) return atm_fail(ATM_E_USAGE, "%s needs --weights DIR", name);
    return run_network(a, name);
}

static atm_status forward(void *values)
{
    const args *a = values;
    if (!a->inputs || !a->outputs)
        return atm_fail(ATM_E_USAGE, "forward needs --inputs FILE and --outputs FILE");
    TRY_RETURN(dispatch(a, a->common.rest.item[0]));
    printf("%s\n", a->outputs);
    return ATM_OK;
}

const cli_command cli_forward = {
    "forward", "COMPONENT", "run one component on tensors from a file",
    "  arttomus forward unet --weights model/unet --inputs in.safetensors --outputs out.safetensors\n\n"
    "  COMPONENT       inputs                                       outputs\n"
    "  image-encoder   pixel_values [B,3,224,224]                   image_embeds, image_embeds_norm\n"
    "  audio-encoder   input_features [B,1,128,204]                 audio_embeds, audio_embeds_norm\n"
    "  adapter         image_embeds [B,E]                           tokens [B,n,D]\n"
    "  language-model  inputs_embeds [B,L,D], attention_mask [B,L]  generated_embeds [B,8,D]\n"
    "  unet            sample [B,8,T,F], timestep [B] i64,          out\n"
    "                  encoder_hidden_states [B,8,D],\n"
    "                  encoder_hidden_states_1 [B,L,E],\n"
    "                  encoder_attention_mask_1 [B,L]\n"
    "  vae-encoder     mel [B,1,T,64]                               mean, logvar\n"
    "  vae-decoder     latents [B,8,T/4,16], not rescaled           mel\n"
    "  vocoder         spectrogram [B,T,64]                         waveform [B,N]\n"
    "  scheduler       sample, model_output [steps,B,...]           trajectory, timesteps\n"
    "  mel             waveform [B,N] at 16 kHz                     mel [B,T,64]\n"
    "  resample        waveform [B,N]                               waveform\n"
    "  resize          image [H,W,3] u8                             image [N,N,3] u8\n"
    "  train-step      image_embeds [B,E], latents [B,8,T,F],       loss, grad.adapter.TENSOR\n"
    "                  noise like it, timestep [B]; the tensors\n"
    "                  of conditioning.safetensors, or the model's\n\n"
    "With --grad, an input grad_output.NAME for each output gives grad.NAME.  train-step takes a whole\n"
    "model, latents as the UNet sees them, and globs: --grad 'unet.conv_in.*'; default adapter.*.",
    options, &defaults, sizeof(args), 1, 1, forward
};
