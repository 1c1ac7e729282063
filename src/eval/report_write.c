/* report_write.c - rows as JSON and as Markdown. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval/report.h"
#include "io/atomic_file.h"
#include "io/json.h"

enum { PATH_BYTES = 4096 };

/* ------------------------------------------------------------------ JSON */

/* JSON has no NaN. */
static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *interval(atm_estimate e)
{
    return atm_has_interval(e) ? json_pack("[o, o]", number(e.low), number(e.high)) : json_null();
}

static json_t *row_controls(const atm_eval_row *row)
{
    json_t *list = json_array();
    for (int i = 0; i < row->n_controls; i++)
        json_array_append_new(list, json_pack("{s:s, s:o, s:o}", "name", row->control[i].name,
                                              "value", number(row->control[i].is.value),
                                              "interval_95", interval(row->control[i].is)));
    return list;
}

static json_t *row_json(const atm_eval_row *row)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:s?, s:o, s:o, s:o}",
                     "measure", row->measure, "name", row->name, "unit", row->unit, "meaning", row->meaning,
                     "n", row->n, "of", row->of, "units", row->units ? row->units : row->n,
                     "units_of", row->units ? row->units_of : row->of, "value", number(row->is.value),
                     "interval_95", interval(row->is), "controls", row_controls(row));
}

static json_t *report_json(const atm_eval_report *r)
{
    json_t *facts = json_object(), *rows = json_array(), *notes = json_array();
    for (int i = 0; i < r->n_facts; i++)
        json_object_set_new(facts, r->fact[i].name, json_string(r->fact[i].value));
    for (int i = 0; i < r->n_rows; i++) json_array_append_new(rows, row_json(&r->row[i]));
    for (int i = 0; i < r->n_notes; i++)
        json_array_append_new(notes, json_pack("{s:s, s:s}", "measure", r->note[i].measure,
                                               "text", r->note[i].text));
    return json_pack("{s:s, s:o, s:o, s:o}", "schema", "arttomus-eval-1", "setup", facts, "rows", rows,
                     "notes", notes);
}

/* ------------------------------------------------------------------ Markdown */

static void put_number(FILE *out, double x)
{
    if (!isfinite(x)) fputs("-", out);
    else if (x != 0 && fabs(x) < 0.001) fprintf(out, "%.2e", x);
    else if (fabs(x) >= 100) fprintf(out, "%.1f", x);
    else fprintf(out, "%.*f", fabs(x) < 10 ? 3 : 2, x);
}

static void put_estimate(FILE *out, atm_estimate e)
{
    put_number(out, e.value);
    if (!atm_has_interval(e)) return;
    fputs(" [", out);
    put_number(out, e.low);
    fputs(", ", out);
    put_number(out, e.high);
    fputs("]", out);
}

static void put_row(FILE *out, const atm_eval_row *row)
{
    fprintf(out, "| %s | %s | %d %s", row->name, row->unit, row->n, row->of);
    if (row->units) fprintf(out, " of %d %s", row->units, row->units_of);
    fputs(" | **", out);
    put_estimate(out, row->is);
    fputs("** | ", out);
    for (int i = 0; i < row->n_controls; i++) {
        fprintf(out, "%s%s ", i ? "; " : "", row->control[i].name);
        put_estimate(out, row->control[i].is);
    }
    fprintf(out, " | %s |\n", row->meaning);
}

static void put_notes(FILE *out, const atm_eval_report *r, const char *measure)
{
    for (int i = 0; i < r->n_notes; i++)
        if (strcmp(r->note[i].measure, measure) == 0) fprintf(out, "\n%s\n", r->note[i].text);
}

/* True: an earlier row has it already. */
static bool was_told(const atm_eval_report *r, int row)
{
    for (int i = 0; i < row; i++)
        if (strcmp(r->row[i].measure, r->row[row].measure) == 0) return true;
    return false;
}

static void put_measure(FILE *out, const atm_eval_report *r, const char *measure)
{
    fprintf(out, "\n## %s\n\n| what | unit | n | value [95 %%] | beside it | meaning |\n"
            "|---|---|---|---|---|---|\n", measure);
    for (int i = 0; i < r->n_rows; i++)
        if (strcmp(r->row[i].measure, measure) == 0) put_row(out, &r->row[i]);
    put_notes(out, r, measure);
}

static bool has_rows(const atm_eval_report *r, const char *measure)
{
    for (int i = 0; i < r->n_rows; i++)
        if (strcmp(r->row[i].measure, measure) == 0) return true;
    return false;
}

static void put_report(FILE *out, const atm_eval_report *r)
{
    fputs("# Evaluation\n\n", out);
    for (int i = 0; i < r->n_facts; i++)
        fprintf(out, "%s%s %s", i ? ", " : "", r->fact[i].name, r->fact[i].value);
    fputs(".\nIntervals are 95 % bootstrap intervals over the independent units of column n; over fewer than "
          "about ten they are too narrow.\n", out);
    for (int i = 0; i < r->n_rows; i++)
        if (!was_told(r, i)) put_measure(out, r, r->row[i].measure);
    for (int i = 0; i < r->n_notes; i++)
        if (!has_rows(r, r->note[i].measure))
            fprintf(out, "\n## %s\n\nNot measured: %s\n", r->note[i].measure, r->note[i].text);
}

/* ------------------------------------------------------------------ files */

static atm_status with_ending(const char *path, const char *ending, char out[PATH_BYTES])
{
    if (snprintf(out, PATH_BYTES, "%s%s", path, ending) < PATH_BYTES) return ATM_OK;
    return atm_fail(ATM_E_USAGE, "%.60s...: the path is too long", path);
}

static atm_status write_json(const atm_eval_report *r, const char *path)
{
    char file[PATH_BYTES];
    TRY_RETURN(with_ending(path, ".json", file));
    json_t *root = report_json(r);
    if (!root) return atm_fail(ATM_E_MEMORY, "%s: no memory", file);
    const atm_status status = atm_json_write(file, root);
    json_decref(root);
    return status;
}

static atm_status write_markdown(const atm_eval_report *r, const char *path)
{
    char file[PATH_BYTES], *text = NULL;
    size_t bytes = 0;
    TRY_RETURN(with_ending(path, ".md", file));
    FILE *out = open_memstream(&text, &bytes);
    if (!out) return atm_fail(ATM_E_MEMORY, "%s: no memory", file);
    put_report(out, r);
    const bool broken = ferror(out) != 0;
    atm_status status = ATM_OK;
    if (fclose(out) != 0 || broken) status = atm_fail(ATM_E_MEMORY, "%s: no memory", file);
    if (status == ATM_OK) status = atm_atomic_write_file(file, text, bytes);
    free(text);
    return status;
}

atm_status atm_eval_report_write(const atm_eval_report *r, const char *path)
{
    TRY_RETURN(write_json(r, path));
    return write_markdown(r, path);
}
