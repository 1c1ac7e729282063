/* cmd_inspect.c - `arttomus inspect`: what is in a weights file, a component's folder, or
 * a model, and what a model needs to run. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/inspect_model.h"
#include "cli/terminal.h"
#include "io/json.h"
#include "io/weights.h"

typedef struct {
    cli_common common;
    double duration;
    int batch, largest;
    bool json;
} args;

static const args defaults = { .duration = 10, .batch = 1 };

#define AT(member) offsetof(args, member)
static const cli_option options[] = {
    { "json", 0, CLI_FLAG, AT(json), .help = "as JSON, for programs" },
    { "duration", 'd', CLI_DOUBLE, AT(duration), 1, 600, .value = "SECONDS",
      .help = "for a model's memory plan (default 10)" },
    { "batch", 'b', CLI_INT, AT(batch), 1, 64, .value = "N",
      .help = "for a model's memory plan (default 1)" },
    { "largest", 0, CLI_INT, AT(largest), 0, 1000, .value = "N",
      .help = "also the N largest tensors of each network's plan" },
    { 0 }
};

/* ------------------------------------------------------------------ tensors */

static json_t *tensor_json(const atm_file_tensor *t)
{
    json_t *shape = json_array();
    for (int i = 0; i < t->rank; i++) json_array_append_new(shape, json_integer(t->dim[i]));
    return json_pack("{s:s, s:s, s:o, s:I}", "name", t->name, "dtype", atm_dtype_name(t->dtype), "shape",
                     shape,
                     "bytes", (json_int_t)t->bytes);
}

static json_t *file_json(const atm_tensor_file *file)
{
    json_t *tensors = json_array(), *metadata = json_object();
    json_int_t bytes = 0, elements = 0;
    for (size_t i = 0; i < atm_tensor_file_count(file); i++) {
        const atm_file_tensor *t = atm_tensor_file_at(file, i);
        json_array_append_new(tensors, tensor_json(t));
        bytes += (json_int_t)t->bytes;
        elements += (json_int_t)(t->bytes / atm_dtype_size(t->dtype));
    }
    for (size_t i = 0; i < atm_tensor_file_metadata_count(file); i++) {
        const atm_text_pair pair = atm_tensor_file_metadata_at(file, i);
        json_object_set_new(metadata, pair.key, json_string(pair.value));
    }
    return json_pack("{s:s, s:s, s:I, s:I, s:o, s:o}", "path", atm_tensor_file_path(file), "format",
                     atm_tensor_file_format(file), "elements", elements, "bytes", bytes, "metadata", metadata,
                     "tensors", tensors);
}

static void print_file(const json_t *file)
{
    const char *key;
    json_t *value;
    size_t i;
    printf("%s (%s)\n", json_string_value(json_object_get(file, "path")),
           json_string_value(json_object_get(file, "format")));
    json_object_foreach(json_object_get(file, "metadata"), key, value)
        printf("  metadata %s: %s\n", key, json_string_value(value));
    json_array_foreach(json_object_get(file, "tensors"), i, value) {
        char *shape = json_dumps(json_object_get(value, "shape"), JSON_COMPACT | JSON_ENCODE_ANY);
        printf("  %-4s  %-22s  %s\n", json_string_value(json_object_get(value, "dtype")), shape ? shape : "",
               json_string_value(json_object_get(value, "name")));
        free(shape);
    }
    printf("  %zu tensors, %" JSON_INTEGER_FORMAT " elements, %s\n",
           json_array_size(json_object_get(file, "tensors")),
           json_integer_value(json_object_get(file, "elements")),
           cli_bytes_text((double)json_integer_value(json_object_get(file, "bytes"))));
}

static atm_status print_json(json_t *root)
{
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    if (!text) return atm_fail(ATM_E_MEMORY, "no memory for the description");
    printf("%s\n", text);
    free(text);
    return ATM_OK;
}

/* ------------------------------------------------------------------ files and component folders */

static void print_config(const char *folder)
{
    char path[PATH_MAX];
    atm_json config = { 0 };
    snprintf(path, sizeof path, "%s/config.json", folder);
    if (access(path, R_OK) || atm_json_load(path, &config) != ATM_OK) return;
    char *text = json_dumps(config.root, JSON_INDENT(2));
    printf("%s\n%s\n", path, text ? text : "");
    free(text);
    atm_json_free(&config);
}

static atm_status inspect_weights(const args *a, const char *path)
{
    atm_weights *weights;
    TRY_RETURN(atm_weights_open(path, NULL, &weights));
    json_t *files = json_array();
    for (size_t i = 0; i < atm_weights_file_count(weights); i++)
        json_array_append_new(files, file_json(atm_weights_file(weights, i)));
    atm_weights_close(weights);
    if (a->json) return print_json(files);
    size_t i;
    json_t *file;
    json_array_foreach(files, i, file) print_file(file);
    json_decref(files);
    print_config(path);
    return ATM_OK;
}

/* ------------------------------------------------------------------ models */

static atm_status inspect_model(const args *a, const char *path)
{
    json_t *root;
    TRY_RETURN(cli_describe_model(path, a->duration, a->batch, &root));
    if (a->json) return print_json(root);
    cli_print_model(root);
    json_decref(root);
    return a->largest ? cli_print_plans(path, a->duration, a->batch, a->largest) : ATM_OK;
}

static atm_status inspect(void *values)
{
    const args *a = values;
    const char *path = a->common.rest.item[0];
    char index[PATH_MAX];
    const int n = snprintf(index, sizeof index, "%s/model_index.json", path);
    if (n > 0 && n < (int)sizeof index && access(index, F_OK) == 0) return inspect_model(a, path);
    return inspect_weights(a, path);
}

const cli_command cli_inspect = {
    "inspect", "FILE|DIR", "show what is in a weights file, a component or a model",
    "A file or a component's folder: its tensors, their types and shapes. A model's folder:\n"
    "its networks, and the memory that generating with it takes.",
    options, &defaults, sizeof(args), 1, 1, inspect
};
