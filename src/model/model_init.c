/* A model folder with random weights, written tensor by tensor: memory stays at a few
 * megabytes whatever the size of the model.
 *
 * The lists of tensors come from the networks themselves: each part's configuration is
 * written, read back by the code that will load it, and outlined in a plan without
 * weights.  What files contain beyond that (and nobody reads) is added by name. */
#include "model/model_dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "io/safetensors.h"
#include "model/component.h"
#include "model/model_parts.h"
#include "model/random_weights.h"

typedef struct {
    const atm_model_config *config;
    const char *dir;
    atm_model_init_options options;
    atm_device *device;         /* any: plans are only outlined */
    void *scratch;
} init;

/* ------------------------------------------------------------------ lists of tensors */

typedef struct { atm_file_tensor *tensor; size_t n, capacity; atm_arena names; } tensor_list;

static atm_status add(tensor_list *list, atm_dtype dtype, const char *name, int rank, const int *dim)
{
    if (list->n == list->capacity) {
        const size_t more = list->capacity ? 2 * list->capacity : 256;
        atm_file_tensor *grown = realloc(list->tensor, more * sizeof *grown);
        if (!grown) return atm_fail(ATM_E_MEMORY, "no memory for a list of %zu tensors", more);
        list->tensor = grown;
        list->capacity = more;
    }
    atm_file_tensor t = { .name = atm_arena_strdup(&list->names, name), .dtype = dtype, .rank = rank,
                          .bytes = atm_dtype_size(dtype) };
    if (!t.name) return atm_fail(ATM_E_MEMORY, "no memory for tensor names");
    for (int i = 0; i < rank; i++) t.bytes *= (size_t)(t.dim[i] = dim[i]);
    list->tensor[list->n++] = t;
    return ATM_OK;
}

static atm_status add_component(const init *in, const char *name, const atm_json *json, tensor_list *list)
{
    atm_status status = ATM_OK;
    atm_plan *plan = NULL;
    TRY(atm_component_outline(in->device, atm_component_find(name), json, &plan));
    for (int i = 0; i < atm_plan_n_params(plan); i++) {
        const atm_named_tensor p = atm_plan_param_at(plan, i);
        TRY(add(list, in->options.dtype, p.name, p.t.rank, p.t.dim));
    }
done:
    atm_plan_destroy(plan);
    return status;
}

/* In every published file, read by nobody. */
static atm_status add_unread(const init *in, const char *folder, tensor_list *list)
{
    const atm_dtype dtype = in->options.dtype;
    const atm_gpt2_config *gpt2 = &in->config->language_model;
    const int bands = in->config->vocoder.model_in_dim;
    if (strcmp(folder, "language_model") == 0)
        return add(list, dtype, "wte.weight", ATM_DIMS(gpt2->vocab_size, gpt2->n_embd));
    if (strcmp(folder, "vocoder") != 0) return ATM_OK;
    TRY_RETURN(add(list, dtype, "mean", ATM_DIMS(bands)));
    return add(list, dtype, "scale", ATM_DIMS(bands));
}

/* ------------------------------------------------------------------ files */

static atm_status make_folder(const char *path)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST) return ATM_OK;
    return atm_fail(ATM_E_IO, "%s: cannot make this folder: %s", path, strerror(errno));
}

static atm_status append(void *writer, const void *data, size_t bytes)
{
    return atm_safetensors_append(writer, data, bytes);
}

static atm_status write_weights(const init *in, const atm_model_part_info *part, const tensor_list *list)
{
    atm_status status = ATM_OK;
    char path[ATM_PATH_BYTES];
    atm_safetensors_writer *writer = NULL;
    const atm_text_pair format = { "format", "pt" };
    TRY(atm_model_path(path, in->dir, part->folder, part->weights));
    TRY(atm_safetensors_begin(path, list->tensor, list->n, &format, 1, &writer));
    for (size_t i = 0; i < list->n; i++) {
        if (in->options.stop && in->options.stop()) TRY(atm_fail(ATM_E_CANCELLED, "interrupted"));
        TRY(atm_init_fill(in->options.seed, part->folder, &list->tensor[i], in->options.pool, in->scratch,
                          append, writer));
    }
    status = atm_safetensors_commit(writer);
    writer = NULL;
done:
    atm_safetensors_abort(writer);
    return status;
}

static atm_status write_part(const init *in, const atm_model_part_info *part)
{
    atm_status status = ATM_OK;
    char path[ATM_PATH_BYTES];
    atm_json json = { 0 };
    tensor_list list = { 0 };
    TRY(atm_model_path(path, in->dir, part->folder, NULL));
    TRY(make_folder(path));
    TRY(atm_model_path(path, in->dir, part->folder, part->config));
    json = (atm_json){ path, part->json(in->config) };
    if (!json.root) TRY(atm_fail(ATM_E_MEMORY, "no memory for %s", path));
    TRY(atm_json_write(path, json.root));
    for (int i = 0; i < ATM_PART_COMPONENTS && part->component[i]; i++)
        TRY(add_component(in, part->component[i], &json, &list));
    TRY(add_unread(in, part->folder, &list));
    if (part->weights) TRY(write_weights(in, part, &list));
done:
    json_decref(json.root);
    free(list.tensor);
    atm_arena_free(&list.names);
    return status;
}

static bool is_absent(const atm_model_config *config, int part)
{
    return atm_model_parts[part].absent && atm_model_parts[part].absent(config);
}

static atm_status write_index(const init *in)
{
    char path[ATM_PATH_BYTES];
    TRY_RETURN(atm_model_path(path, in->dir, "model_index.json", NULL));
    json_t *root = json_pack("{s:s}", "_class_name", "AudioLDM2Pipeline");
    for (int i = 0; i < atm_n_model_parts; i++)
        if (!is_absent(in->config, i)) json_object_set_new(root, atm_model_parts[i].folder,
                            json_pack("[s,s]", atm_model_parts[i].library, atm_model_parts[i].class_name));
    const atm_status status = atm_json_write(path, root);
    json_decref(root);
    return status;
}

static atm_status write_conditioning(const init *in)
{
    char path[ATM_PATH_BYTES];
    atm_conditioning c = { .text_tokens = in->options.text_tokens, .text_dim = atm_model_text_dim(in->config),
                           .loa_tokens = in->config->language_model.max_new_tokens,
                           .loa_dim = atm_model_loa_dim(in->config) };
    if (c.text_dim == 0) c.text_dim = 1;    /* a UNet without text: the file still has its shape */
    TRY_RETURN(atm_model_path(path, in->dir, "conditioning", NULL));
    TRY_RETURN(make_folder(path));
    TRY_RETURN(atm_model_path(path, in->dir, "conditioning", "conditioning.safetensors"));
    TRY_RETURN(atm_conditioning_random(in->options.seed, &c));
    const atm_status status = atm_conditioning_write(path, &c);
    atm_conditioning_free(&c);
    return status;
}

static atm_status check_options(const atm_model_init_options *o)
{
    if (o->dtype != ATM_F32 && o->dtype != ATM_F16 && o->dtype != ATM_BF16)
        return atm_fail(ATM_E_USAGE, "weights are written as F32, F16 or BF16, not %s",
                        atm_dtype_name(o->dtype));
    if (o->text_tokens < 1 || o->text_tokens > 512)
        return atm_fail(ATM_E_USAGE, "text_tokens %d is outside 1..512", o->text_tokens);
    return ATM_OK;
}

atm_status atm_model_dir_init(const atm_model_config *config, const char *dir, atm_model_init_options options)
{
    atm_status status = ATM_OK;
    init in = { .config = config, .dir = dir, .options = options };
    TRY(check_options(&options));
    TRY(atm_model_config_check(config));
    TRY(atm_device_open("ref", 1, &in.device));
    in.scratch = malloc(atm_init_scratch());
    if (!in.scratch) TRY(atm_fail(ATM_E_MEMORY, "no memory for random weights"));
    TRY(make_folder(dir));
    for (int i = 0; i < atm_n_model_parts; i++)
        if (!is_absent(config, i)) TRY(write_part(&in, &atm_model_parts[i]));
    TRY(write_conditioning(&in));
    TRY(write_index(&in));              /* last: without it the folder is not a model */
done:
    free(in.scratch);
    atm_device_close(in.device);
    return status;
}
