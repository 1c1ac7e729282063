#include "train/model_card.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory_stream.h"
#include "io/atomic_file.h"
#include "io/file_digest.h"
#include "train/export_weights.h"
#include "train/provenance.h"

typedef struct {
    FILE *out;
    const atm_stage *stage;
    const char *folder;
    const atm_export_options *options;
} card;

/* ------------------------------------------------------------------ text */

/* The last word of a path, at most `bytes` long. */
static const char *base_name(const char *path, int *bytes)
{
    size_t end = strlen(path), begin;
    while (end > 1 && path[end - 1] == '/') end--;
    for (begin = end; begin && path[begin - 1] != '/'; ) begin--;
    *bytes = (int)(end - begin);
    return path + begin;
}

static void put_base_name(FILE *out, const char *path)
{
    int bytes;
    const char *name = base_name(path, &bytes);
    fprintf(out, "%.*s", bytes, name);
}

/* Foreign text in a cell of a table: nothing that Markdown or HTML would take for its own. */
static void put_cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("|\\`*_<[]", *text)) fputc('\\', out);
        fputc((unsigned char)*text < 0x20 ? ' ' : *text, out);
    }
}

static void put_time(FILE *out, double seconds)
{
    const long s = (long)(seconds + 0.5);
    if (s >= 3600) fprintf(out, "%ld h ", s / 3600);
    if (s >= 60) fprintf(out, "%ld min %ld s", s / 60 % 60, s % 60);
    else fprintf(out, "%.1f s", seconds);
}

/* ------------------------------------------------------------------ what it is */

/* The identifiers of Hugging Face for licences that collections of art and music use. */
static const char *const known_licence[] = {
    "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0",
    "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "gpl-2.0",
    "gpl-3.0", "lgpl-2.1", "lgpl-3.0", "mit", "apache-2.0", "bsd-3-clause", "artistic-2.0", "ofl-1.1", NULL
};

/* The one licence of all rows, if it is one and known; else "other". */
static atm_status find_licence(const atm_dataset *dataset, const char **out)
{
    static const char *const column[] = { "artworks/licence", "clips/licence" };
    char found[64] = "";
    bool one = true;
    *out = "other";
    for (int i = 0; i < 2; i++) {
        atm_values values;
        TRY_RETURN(atm_values_count(dataset, column[i], &values));
        if (values.n > 1 || (values.n && found[0] && strcasecmp(found, values.value[0].text) != 0)) one = false;
        if (values.n) snprintf(found, sizeof found, "%s", values.value[0].text);
        atm_values_free(&values);
    }
    for (int i = 0; one && known_licence[i]; i++)
        if (strcasecmp(found, known_licence[i]) == 0) *out = known_licence[i];
    return ATM_OK;
}

static atm_status put_head(const card *c)
{
    const char *licence;
    TRY_RETURN(find_licence(c->stage->dataset, &licence));
    fprintf(c->out, "---\nlicense: %s\n", licence);
    if (strcmp(licence, "other") == 0) fputs("license_name: see-the-table-of-licences-below\n", c->out);
    fputs("library_name: arttomus\ntags:\n- arttomus\n- image-to-audio\n- music-generation\n- art\n---\n\n# ", c->out);
    put_base_name(c->out, c->stage->config->output);
    fprintf(c->out, ": stage %s, %llu updates\n\n", c->stage->info->name, (unsigned long long)c->options->step);
    return ATM_OK;
}

static void put_list(FILE *out, const char *const *word)
{
    for (int i = 0; i < ATM_STAGE_COMPONENTS && word[i]; i++) fprintf(out, "%s`%s`", i ? ", " : "", word[i]);
}

static double trained_millions(const atm_stage *stage)
{
    size_t n = 0;
    for (int g = 0; g < stage->n_groups; g++)
        for (int i = 0; i < stage->group[g].n_params; i++) n += stage->group[g].param[i].count;
    return (double)n / 1e6;
}

static void put_summary(const card *c)
{
    const atm_stage *s = c->stage;
    fputs("Music for pictures of artworks: a model folder of `arttomus`. It is a copy of the model `", c->out);
    put_base_name(c->out, s->model->path);
    fputs("`, in which training has changed ", c->out);
    put_list(c->out, s->trained);
    fputs(".\n\n| | |\n|---|---|\n| trained from | `", c->out);
    put_base_name(c->out, s->model->path);
    fprintf(c->out, "` |\n| stage | %s |\n| updates | %llu, of %d samples |\n| time | ", s->info->name,
            (unsigned long long)c->options->step, s->config->train.batch_size);
    put_time(c->out, c->options->seconds);
    fprintf(c->out, " |\n| parameters in training | %.3f million |\n| weights | ", trained_millions(s));
    if (s->group[0].ema) fprintf(c->out, "moving average (decay %.10g)", s->config->train.ema_decay);
    else fputs("of the last update", c->out);
    fprintf(c->out, ", %s |\n\n", atm_dtype_name(c->options->dtype));
}

static void put_use(const card *c)
{
    fputs("## Use\n\n```sh\narttomus generate --model ", c->out);
    put_base_name(c->out, c->stage->config->output);
    fputs("/model painting.jpg -o music.wav\n```\n\n", c->out);
}

static void put_metrics(const card *c)
{
    if (!c->options->metric || !c->options->metric[0]) return;
    fputs("## Validation\n\nThe last one of this training, on the dataset's validation split.\n\n"
          "| measure | value |\n|---|---|\n", c->out);
    for (int i = 0; c->options->metric[i]; i++)
        fprintf(c->out, "| %s | %.6g |\n", c->options->metric[i], c->options->value[i]);
    fputc('\n', c->out);
}

/* ------------------------------------------------------------------ data */

enum { SHOWN = 40 };                        /* values in a table */

static atm_status put_values(const card *c, const char *title, const char *column)
{
    atm_values values;
    TRY_RETURN(atm_values_count(c->stage->dataset, column, &values));
    if (values.n) fprintf(c->out, "| %s | rows |\n|---|---|\n", title);
    size_t rest = values.other_rows;
    for (int i = 0; i < values.n; i++) {
        if (i >= SHOWN) {
            rest += values.value[i].rows;
            continue;
        }
        fputs("| ", c->out);
        put_cell(c->out, values.value[i].text[0] ? values.value[i].text : "not stated");
        fprintf(c->out, " | %zu |\n", values.value[i].rows);
    }
    if (rest) fprintf(c->out, "| others | %zu |\n", rest);
    if (values.n) fputc('\n', c->out);
    atm_values_free(&values);
    return ATM_OK;
}

static void put_splits(const card *c)
{
    size_t pairs[ATM_SPLITS] = { 0 };
    const atm_pair *pair = atm_dataset_pairs(c->stage->dataset);
    for (size_t i = 0; i < atm_dataset_n_pairs(c->stage->dataset); i++) pairs[pair[i].split]++;
    for (int s = 0; s < ATM_SPLITS; s++) fprintf(c->out, "%s%zu %s", s ? ", " : "", pairs[s], atm_split_names[s]);
}

static atm_status put_data(const card *c)
{
    static const char *const table[][2] = {
        { "licence of artworks", "artworks/licence" }, { "licence of music", "clips/licence" },
        { "source of artworks", "artworks/source" }, { "source of music", "clips/source" },
    };
    fputs("## Data\n\n`", c->out);
    put_base_name(c->out, atm_dataset_path(c->stage->dataset));
    fprintf(c->out, "`, fingerprint `%s`. Pairs: ", atm_dataset_fingerprint(c->stage->dataset));
    put_splits(c);
    fputs(".\n\n", c->out);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        TRY_RETURN(put_values(c, table[i][0], table[i][1]));
    return ATM_OK;
}

/* ------------------------------------------------------------------ weights */

static int is_weights(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && atm_is_weights_name(entry->d_name);
}

static atm_status put_file(const card *c, const char *part, const char *name)
{
    char path[ATM_PATH_BYTES];
    atm_file_digest digest;
    TRY_RETURN(atm_model_path(path, c->folder, part, name));
    TRY_RETURN(atm_file_digest_read(path, ATM_DIGEST_FULL, &digest));
    fprintf(c->out, "| `%s/%s` | %lld | `%s` |\n", part, name, (long long)digest.bytes, digest.sha256);
    return ATM_OK;
}

static atm_status put_part(const card *c, const char *part)
{
    char path[ATM_PATH_BYTES];
    struct dirent **entry;
    TRY_RETURN(atm_model_path(path, c->folder, part, NULL));
    const int n = scandir(path, &entry, is_weights, alphasort);
    if (n < 0) return errno == ENOENT ? ATM_OK : atm_fail(ATM_E_NOINPUT, "%s: %s", path, strerror(errno));
    atm_status status = ATM_OK;
    for (int i = 0; i < n; i++) {
        if (status == ATM_OK) status = put_file(c, part, entry[i]->d_name);
        free(entry[i]);
    }
    free(entry);
    return status;
}

static atm_status put_hashes(const card *c)
{
    fputs("## Weights\n\n| file | bytes | SHA-256 |\n|---|---|---|\n", c->out);
    for (int i = 0; i < atm_n_model_parts; i++) TRY_RETURN(put_part(c, atm_model_parts[i].folder));
    TRY_RETURN(put_part(c, "conditioning"));
    fputc('\n', c->out);
    return ATM_OK;
}

/* ------------------------------------------------------------------ configuration */

/* `key: "/home/somebody/x"` becomes `key: "x"`. */
static void put_line(FILE *out, const char *line, size_t bytes)
{
    const char *quote = memchr(line, '"', bytes);
    size_t end = bytes, begin;
    if (quote && line[bytes - 1] == '"') {
        for (end--; end && line[end - 1] == '/'; ) end--;
        for (begin = end; line + begin > quote + 1 && line[begin - 1] != '/'; ) begin--;
        fprintf(out, "%.*s%.*s\"\n", (int)(quote + 1 - line), line, (int)(end - begin), line + begin);
    } else {
        fprintf(out, "%.*s\n", (int)bytes, line);
    }
}

static void put_config(const card *c)
{
    fputs("## Configuration\n\n```yaml\n", c->out);
    for (const char *line = c->options->config_yaml; *line; ) {
        const size_t bytes = strcspn(line, "\n");
        if (bytes) put_line(c->out, line, bytes);
        line += bytes + (line[bytes] == '\n');
    }
    fputs("```\n", c->out);
}

/* ------------------------------------------------------------------ the whole */

static atm_status put_all(const card *c)
{
    TRY_RETURN(put_head(c));
    put_summary(c);
    put_use(c);
    put_metrics(c);
    TRY_RETURN(put_data(c));
    TRY_RETURN(put_hashes(c));
    put_config(c);
    return ATM_OK;
}

atm_status atm_model_card_write(const atm_stage *stage, const char *folder, const atm_export_options *options)
{
    char path[ATM_PATH_BYTES], *text = NULL;
    size_t bytes = 0;
    TRY_RETURN(atm_model_path(path, folder, "README.md", NULL));
    FILE *out = atm_memory_stream(&text, &bytes);
    if (!out) return atm_fail(ATM_E_MEMORY, "%s: no memory", path);
    atm_status status = put_all(&(card){ out, stage, folder, options });
    if (fclose(out) != 0 && status == ATM_OK) status = atm_fail(ATM_E_MEMORY, "%s: no memory", path);
    if (status == ATM_OK) status = atm_atomic_write_file(path, text, bytes);
    free(text);
    return status;
}
