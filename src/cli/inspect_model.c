/* inspect_model.c - see inspect_model.h. */
#include "cli/inspect_model.h"

#include <stdio.h>

#include "cli/terminal.h"
#include "generate/budget.h"
#include "generate/stages.h"

/* An opened model and the request that its memory plan is for. */
typedef struct {
    atm_model *model;
    engine_request request;
    engine_budget budget;
} subject;

static void close_subject(subject *s)
{
    engine_request_free(&s->request);
    atm_close(s->model);
}

/* On the CPU: a description must not depend on a GPU being there. */
static atm_status open_subject(const char *path, double duration, int batch, subject *s)
{
    const atm_open_options how = { .size = sizeof how, .backend = "cpu" };
    const atm_generate_options options = { .size = sizeof options, .duration = duration, .batch = batch };
    *s = (subject){ 0 };
    TRY_RETURN(atm_open(path, &how, &s->model));
    atm_status status = engine_request_make(s->model, batch, &options, &s->request);
    if (status == ATM_OK) status = engine_budget_make(s->model, &s->request, &s->budget);
    if (status != ATM_OK) close_subject(s);
    return status;
}

/* ------------------------------------------------------------------ describing */

static json_t *describe_part(const subject *s, int part)
{
    const engine_cost *cost = &s->budget.part[part];
    return json_pack("{s:s, s:I, s:I, s:I, s:f}", "name", engine_part_names[part], "parameters",
                     (json_int_t)(cost->weights / sizeof(float)), "weights", (json_int_t)cost->weights,
                     "block",
                     (json_int_t)cost->block, "flop", cost->work);
}

static json_t *describe(const subject *s)
{
    const atm_model_dir *dir = &s->model->dir;
    json_t *parts = json_array();
    for (int part = 0; part < ENGINE_PARTS; part++) json_array_append_new(parts, describe_part(s, part));
    return json_pack("{s:s, s:b, s:s, s:i, s:i, s:i, s:i, s:o, s:I, s:I}", "path", dir->path, "trained",
                     s->model->trained,
                     "conditioning", dir->conditioning.source, "image_size",
                     dir->config.image_encoder.image_size,
                     "sampling_rate", dir->config.vocoder.sampling_rate, "batch", s->request.batch,
                     "latent_frames", s->request.frames, "parts", parts, "results",
                     (json_int_t)s->budget.results, "peak",
                     (json_int_t)engine_budget_peak(&s->budget));
}

atm_status cli_describe_model(const char *path, double duration, int batch, json_t **out)
{
    subject s;
    TRY_RETURN(open_subject(path, duration, batch, &s));
    *out = describe(&s);
    close_subject(&s);
    return *out ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for the description");
}

/* ------------------------------------------------------------------ printing */

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

void cli_print_model(const json_t *d)
{
    size_t i;
    json_t *part;
    double parameters = 0;
    printf("%s: %s, images of %.0f pixels, music at %.0f Hz\nconditioning: %s\n\n", text(d, "path"),
           json_is_true(json_object_get(d, "trained")) ? "trained" : "untrained", number(d, "image_size"),
           number(d, "sampling_rate"), text(d, "conditioning"));
    printf("%-16s  %13s  %10s  %10s  %10s\n", "network", "parameters", "weights", "working", "GFLOP");
    json_array_foreach(json_object_get(d, "parts"), i, part) {
        printf("%-16s  %13.0f  %10s  %10s  %10.2f\n", text(part, "name"), number(part, "parameters"),
               cli_bytes_text(number(part, "weights")), cli_bytes_text(number(part, "block")),
               number(part, "flop") / 1e9);
        parameters += number(part, "parameters");
    }
    printf("%-16s  %13.0f\n\n", "all", parameters);
    printf("%.0f clips of %.0f latent frames need %s: all weights, the largest working memory,\n"
           "and %s of results.\n", number(d, "batch"), number(d, "latent_frames"),
           cli_bytes_text(number(d, "peak")), cli_bytes_text(number(d, "results")));
}

atm_status cli_print_plans(const char *path, double duration, int batch, int largest)
{
    subject s;
    TRY_RETURN(open_subject(path, duration, batch, &s));
    atm_status status = ATM_OK;
    for (int part = 0; part < ENGINE_PARTS && status == ATM_OK; part++) {
        printf("\n%s: ", engine_part_names[part]);
        status = engine_print_plan(s.model, &s.request, (engine_part)part, stdout, largest);
    }
    close_subject(&s);
    return status;
}
