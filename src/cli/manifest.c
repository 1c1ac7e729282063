/* manifest.c - jobs from a file of JSON lines; see jobs.h. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "cli/jobs.h"
#include "io/read_file.h"

enum { MAX_BYTES = 64 << 20 };

typedef struct {
    cli_jobs *jobs;
    const char *path;
    int line;
    uint64_t seed;
} manifest;

static atm_status broken(const manifest *m, const char *reason)
{
    return atm_fail(ATM_E_DATA, "%s:%d: %s", m->path, m->line, reason);
}

static atm_status take_image(const manifest *m, const json_t *value, cli_job *job)
{
    const char *image = json_string_value(value), *slash = strrchr(m->path, '/');
    if (!image || !*image) return broken(m, "\"image\" must be a path");
    job->image = *image == '/' || !slash ? atm_arena_strdup(&m->jobs->arena, image)
               : atm_arena_printf(&m->jobs->arena, "%.*s/%s", (int)(slash - m->path), m->path, image);
    return job->image ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for the manifest");
}

static atm_status take_output(const manifest *m, const json_t *value, cli_job *job)
{
    const char *output = json_string_value(value);
    if (!output || !*output) return broken(m, "\"output\" must be a path");
    job->named_output = atm_arena_strdup(&m->jobs->arena, output);
    return job->named_output ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for the manifest");
}

static atm_status take_seed(const manifest *m, const json_t *value, cli_job *job)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return broken(m, "\"seed\" must be a whole number from 0 to 9223372036854775807");
    job->seed = (uint64_t)json_integer_value(value);
    return ATM_OK;
}

static const struct {
    const char *key;
    atm_status (*take)(const manifest *m, const json_t *value, cli_job *job);
} keys[] = { { "image", take_image }, { "output", take_output }, { "seed", take_seed } };

static atm_status take(const manifest *m, const char *key, const json_t *value, cli_job *job)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (!strcmp(keys[i].key, key)) return keys[i].take(m, value, job);
    const char *near = atm_nearest(key, keys, sizeof keys / sizeof keys[0], sizeof keys[0]);
    if (near)
        return atm_fail(ATM_E_DATA, "%s:%d: unknown key \"%s\": did you mean \"%s\"?", m->path, m->line, key,
                        near);
    return atm_fail(ATM_E_DATA, "%s:%d: unknown key \"%s\": known are image, output, seed", m->path, m->line,
                    key);
}

static atm_status take_line(const manifest *m, const char *text, size_t length)
{
    json_error_t error;
    cli_job job = { .seed = m->seed };
    atm_status status = ATM_OK;
    const char *key;
    json_t *value, *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(root)) {
        status = broken(m, root ? "must be a JSON object" : error.text);
    } else {
        json_object_foreach(root, key, value)
            if (status == ATM_OK) status = take(m, key, value, &job);
        if (status == ATM_OK && !job.image) status = broken(m, "has no \"image\"");
    }
    json_decref(root);
    if (status != ATM_OK) return status;
    TRY_RETURN(cli_jobs_add(m->jobs, job.image, job.seed));
    m->jobs->job[m->jobs->n - 1].named_output = job.named_output;
    return ATM_OK;
}

atm_status cli_jobs_add_manifest(cli_jobs *jobs, const char *path, uint64_t seed)
{
    manifest m = { jobs, path, 0, seed };
    atm_status status = ATM_OK;
    char *text;
    size_t bytes;
    TRY_RETURN(atm_read_file(path, MAX_BYTES, &text, &bytes));
    for (const char *line = text, *end = text + bytes, *next; status == ATM_OK && line < end; line = next) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        next = newline ? newline + 1 : end;
        m.line++;
        if (line + strspn(line, " \t\r\n") < next) status = take_line(&m, line, (size_t)(next - line));
    }
    if (status == ATM_OK && jobs->n == 0) status = atm_fail(ATM_E_DATA, "%s: names no artwork", path);
    free(text);
    jobs->many = true;
    return status;
}
