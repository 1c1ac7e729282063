/* budget.c - what a request costs.
 *
 * All plans are laid out before the first step: the decoder that needs the most
 * memory runs last, and finding out then would lose all the sampling. */
#include "generate/budget.h"

#include <stdio.h>
#include <sys/resource.h>

#include "base/size.h"
#include "generate/denoise.h"
#include "generate/stages.h"

static void append(const atm_model *model, const engine_request *r, engine_part part, atm_plan *plan)
{
    engine_denoiser denoiser;
    engine_stage stage;
    if (part == ENGINE_UNET) engine_denoiser_append(model, r, r->batch, plan, &denoiser);
    else engine_stage_append(model, part, r->frames, plan, &stage);
}

static atm_status outline(const atm_model *model, const engine_request *r, engine_part part, atm_plan **out)
{
    TRY_RETURN(atm_plan_create(model->device, out));
    append(model, r, part, *out);
    const atm_status status = atm_plan_finish(*out, (atm_plan_options){ .shapes_only = true });
    if (status != ATM_OK) atm_plan_destroy(*out);
    return status;
}

static atm_status cost_of(const atm_model *model, const engine_request *r, engine_part part, engine_cost *out)
{
    atm_plan *plan;
    TRY_RETURN(outline(model, r, part, &plan));
    const atm_plan_stats stats = atm_plan_get_stats(plan);
    *out = (engine_cost){ stats.param_bytes, stats.block_bytes, stats.flops };
    atm_plan_destroy(plan);
    return ATM_OK;
}

atm_status engine_print_plan(const atm_model *model, const engine_request *r, engine_part part, FILE *to,
                             int largest)
{
    atm_plan *plan;
    TRY_RETURN(outline(model, r, part, &plan));
    atm_plan_print_memory(plan, to, largest);
    atm_plan_destroy(plan);
    return ATM_OK;
}

static size_t result_bytes(const atm_model *model, const engine_request *r)
{
    const atm_model_config *c = &model->dir.config;
    const size_t mel = (size_t)r->frames * (size_t)atm_vae_scale(&c->vae) * (size_t)c->vocoder.model_in_dim;
    return (size_t)r->clips * (r->samples + mel + engine_latent_size(model, r->frames)) * sizeof(float);
}

atm_status engine_budget_make(const atm_model *model, const engine_request *r, engine_budget *out)
{
    *out = (engine_budget){ .results = result_bytes(model, r) };
    for (int part = r->n_images ? 0 : ENGINE_ADAPTER; part < ENGINE_PARTS; part++)
        TRY_RETURN(cost_of(model, r, (engine_part)part, &out->part[part]));
    return ATM_OK;
}

size_t engine_budget_peak(const engine_budget *b)
{
    size_t weights = 0, block = 0;
    for (int part = 0; part < ENGINE_PARTS; part++) {
        weights += b->part[part].weights;
        if (b->part[part].block > block) block = b->part[part].block;
    }
    return weights + block + b->results;
}

/* ------------------------------------------------------------------ what there is */

static size_t read_number(const char *path, const char *format, size_t otherwise)
{
    char line[128];
    unsigned long long value;
    size_t out = otherwise;
    FILE *file = fopen(path, "r");
    if (!file) return otherwise;
    while (out == otherwise && fgets(line, sizeof line, file))
        if (sscanf(line, format, &value) == 1) out = (size_t)value;
    fclose(file);
    return out;
}

static size_t left_of(size_t limit, size_t used)
{
    return limit == SIZE_MAX ? SIZE_MAX : limit > used ? limit - used : 0;
}

static size_t from_kib(size_t kib)
{
    size_t bytes;
    return atm_mul_size(kib, 1024, &bytes) ? bytes : SIZE_MAX;
}

/* What this machine has, this container may use, and this process may map. */
static size_t available_memory(void)
{
    struct rlimit space;
    const size_t machine = from_kib(read_number("/proc/meminfo", "MemAvailable: %llu", SIZE_MAX));
    const size_t container = left_of(read_number("/sys/fs/cgroup/memory.max", "%llu", SIZE_MAX),
                                     read_number("/sys/fs/cgroup/memory.current", "%llu", 0));
    const size_t mapped = from_kib(read_number("/proc/self/status", "VmSize: %llu", 0));
    const bool limited = getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY;
    const size_t process = limited ? left_of(space.rlim_cur, mapped) : SIZE_MAX;
    const size_t least = machine < container ? machine : container;
    return least < process ? least : process;
}

static size_t resident_weights(const atm_model *model, const engine_budget *b)
{
    size_t bytes = 0;
    for (int part = 0; part < ENGINE_PARTS; part++)
        if (model->resident[part]) bytes += b->part[part].weights;
    return bytes;
}

atm_status engine_budget_check(const atm_model *model, const engine_budget *b)
{
    const size_t peak = engine_budget_peak(b);
    const size_t needed = model->memory_limit ? peak : peak - resident_weights(model, b);
    const size_t have = model->memory_limit ? model->memory_limit : available_memory();
    if (needed <= have) return ATM_OK;
    return atm_fail(ATM_E_MEMORY,
                    "needs %.2f GB of memory, have %.2f GB: try a shorter duration or a smaller batch",
                    (double)needed / 1e9, (double)have / 1e9);
}
