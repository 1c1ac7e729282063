/* weights_locate.c - from a path to opened files.
 *
 * A sharded model has an index: {"weight_map": {"tensor": "file", ...}}. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "io/json.h"
#include "io/weights_private.h"

static const char *const candidate[] = {        /* the first that exists is taken */
    "diffusion_pytorch_model.safetensors", "model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json", "model.safetensors.index.json",
    "diffusion_pytorch_model.bin", "pytorch_model.bin",
    "diffusion_pytorch_model.bin.index.json", "pytorch_model.bin.index.json",
    "diffusion_pytorch_model.fp16.safetensors", "model.fp16.safetensors", NULL
};

static atm_status no_memory(const atm_weights *w) { return atm_fail(ATM_E_MEMORY, "%s: no memory", w->path); }

static atm_status add_part(atm_weights *w, const char *path)
{
    atm_weights_part *more = realloc(w->part, (w->n_files + 1) * sizeof *more);
    if (!more) return no_memory(w);
    w->part = more;
    atm_weights_part *part = &more[w->n_files];
    *part = (atm_weights_part){ 0 };
    TRY_RETURN(atm_tensor_file_open(path, &part->file));
    w->n_files++;
    size_t n = atm_tensor_file_count(part->file);
    part->state = calloc(n ? n : 1, sizeof *part->state);
    return part->state ? ATM_OK : no_memory(w);
}

static size_t directory_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* Opens `shard` beside the index unless it is open already.  A shard's name is
 * plain: an index must not lead out of its folder. */
static atm_status add_shard(atm_weights *w, const char *index, const char *shard)
{
    if (!*shard || strchr(shard, '/') || strcmp(shard, "..") == 0)
        return atm_fail(ATM_E_DATA, "%s: \"%s\" is not the plain name of a shard", index, shard);
    char *path = atm_arena_printf(&w->arena, "%.*s%s", (int)directory_length(index), index, shard);
    if (!path) return no_memory(w);
    for (size_t i = 0; i < w->n_files; i++)
        if (strcmp(atm_tensor_file_path(w->part[i].file), path) == 0) return ATM_OK;
    return add_part(w, path);
}

static bool in_some_part(const atm_weights *w, const char *name)
{
    for (size_t i = 0; i < w->n_files; i++)
        if (atm_tensor_file_find(w->part[i].file, name)) return true;
    return false;
}

static atm_status read_index(atm_weights *w, const char *index, const json_t *map)
{
    const char *name;
    json_t *shard;
    json_object_foreach((json_t *)(uintptr_t)map, name, shard) {
        if (!json_is_string(shard)) return atm_fail(ATM_E_DATA, "%s: weight_map.%s is not text", index, name);
        TRY_RETURN(add_shard(w, index, json_string_value(shard)));
    }
    json_object_foreach((json_t *)(uintptr_t)map, name, shard)
        if (!in_some_part(w, name))
            return atm_fail(ATM_E_DATA, "%s: tensor %s is in no shard (expected in %s)", index, name,
                            json_string_value(shard));
    return ATM_OK;
}

static atm_status open_index(atm_weights *w, const char *index)
{
    atm_status status = ATM_OK;
    atm_json json = { 0 };
    TRY(atm_json_load(index, &json));
    const json_t *map = atm_json_get(&json, "weight_map");
    if (!json_is_object(map)) status = atm_fail(ATM_E_DATA, "%s: has no weight_map", index);
    else status = read_index(w, index, map);
done:
    atm_json_free(&json);
    return status;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static atm_status open_file(atm_weights *w, const char *path)
{
    return ends_with(path, ".index.json") ? open_index(w, path) : add_part(w, path);
}

static atm_status open_folder(atm_weights *w)
{
    struct stat info;
    for (int i = 0; candidate[i]; i++) {
        char *path = atm_arena_printf(&w->arena, "%s/%s", w->path, candidate[i]);
        if (!path) return no_memory(w);
        if (stat(path, &info) == 0) return open_file(w, path);
    }
    return atm_fail(ATM_E_NOINPUT, "%s: no weights there: looked for %s, %s, pytorch_model.bin and their "
                    "sharded forms", w->path, candidate[0], candidate[1]);
}

atm_status atm_weights_open_parts(atm_weights *w)
{
    struct stat info;
    if (stat(w->path, &info) < 0) return atm_fail(ATM_E_NOINPUT, "%s: %s", w->path, strerror(errno));
    return S_ISDIR(info.st_mode) ? open_folder(w) : open_file(w, w->path);
}
