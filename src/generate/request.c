/* request.c - see request.h. */
#include "generate/request.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

static const atm_generate_options defaults = {
    .size = sizeof defaults, .steps = 25, .sampler = "dpm++", .guidance = 3.5, .duration = 10,
    .n = 1, .batch = 1
};

enum { MAX_STEPS = 1000, MAX_CLIPS = 1 << 20 };
static const double MIN_SECONDS = 1, MAX_SECONDS = 600;

/* The caller's struct may be older and shorter than ours. */
static atm_generate_options with_defaults(const atm_generate_options *given)
{
    atm_generate_options o = { 0 };
    if (given) memcpy(&o, given, given->size < sizeof o ? given->size : sizeof o);
    if (!o.steps) o.steps = defaults.steps;
    if (!o.sampler) o.sampler = defaults.sampler;
    if (o.guidance == 0) o.guidance = defaults.guidance;
    if (o.duration == 0) o.duration = defaults.duration;
    if (!o.n) o.n = defaults.n;
    if (!o.batch) o.batch = defaults.batch;
    return o;
}

static atm_status out_of_range(const char *name, double value, double min, double max)
{
    return atm_fail(ATM_E_USAGE, "%s %.10g is out of range: %.10g to %.10g", name, value, min, max);
}

static atm_status check_ranges(const atm_generate_options *o)
{
    const struct { const char *name; double value, min, max; } range[] = {
        { "steps",    o->steps,    1,           MAX_STEPS   },
        { "guidance", o->guidance, 1,           100         },
        { "duration", o->duration, MIN_SECONDS, MAX_SECONDS },
        { "eta",      o->eta,      0,           1           },
        { "n",        o->n,        1,           1000        },
        { "batch",    o->batch,    1,           ENGINE_MAX_BATCH }
    };
    for (size_t i = 0; i < sizeof range / sizeof range[0]; i++)
        if (!(range[i].value >= range[i].min && range[i].value <= range[i].max))
            return out_of_range(range[i].name, range[i].value, range[i].min, range[i].max);
    return ATM_OK;
}

/* Mel frames for so many seconds, a multiple of what one latent frame holds.
 * The reference truncates first, duration / 0.01, and then rounds up; where
 * that leaves fewer samples than were asked for, one latent frame more. */
static int mel_frames(const atm_model *model, double duration)
{
    const atm_model_config *c = &model->dir.config;
    const int hop = engine_hop(model), rate = c->vocoder.sampling_rate, scale = atm_vae_scale(&c->vae);
    int frames = (int)(duration / ((double)hop / rate));
    frames = (frames + scale - 1) / scale * scale;
    if ((double)frames * hop < floor(duration * rate)) frames += scale;
    return frames;
}

int atm_latent_frames(const atm_model *model, double duration)
{
    if (!(duration >= MIN_SECONDS && duration <= MAX_SECONDS)) return 0;
    return mel_frames(model, duration) / atm_vae_scale(&model->dir.config.vae);
}

static atm_status check_latents(const atm_model *model, const engine_request *r, size_t given)
{
    size_t wanted = engine_latent_size(model, r->frames);
    if (!r->latents) return ATM_OK;
    if (!atm_mul_size(wanted, (size_t)r->clips, &wanted) || wanted != given)
        return atm_fail(ATM_E_USAGE, "n_latents is %zu, and %d clips of %d frames take %zu", given, r->clips,
                        r->frames,
                        wanted);
    return ATM_OK;
}

atm_status engine_request_make(const atm_model *model, int n_artworks, const atm_generate_options *options,
                               engine_request *out)
{
    const atm_generate_options o = with_defaults(options);
    atm_sampler sampler;
    *out = (engine_request){ 0 };
    if (n_artworks < 1) return atm_fail(ATM_E_USAGE, "a request needs at least one artwork");
    TRY_RETURN(check_ranges(&o));
    TRY_RETURN(atm_sampler_find(o.sampler, &sampler));
    if (n_artworks > MAX_CLIPS / o.n)
        return atm_fail(ATM_E_USAGE, "%d artworks with %d variants each: at most %d clips", n_artworks, o.n,
                        MAX_CLIPS);
    *out = (engine_request){
        .n_artworks = n_artworks, .n_images = n_artworks, .n = o.n, .clips = n_artworks * o.n,
        .batch = o.batch < n_artworks * o.n ? o.batch : n_artworks * o.n,
        .frames = atm_latent_frames(model, o.duration),
        .samples = (size_t)(o.duration * model->dir.config.vocoder.sampling_rate),
        .guidance = o.guidance, .latents = o.latents, .progress = o.progress, .user = o.user
    };
    TRY_RETURN(check_latents(model, out, o.n_latents));
    return atm_schedule_make(&model->dir.config.schedule, sampler, o.steps, o.eta, &out->schedule);
}

void engine_request_free(engine_request *r)
{
    atm_schedule_free(&r->schedule);
    free((void *)r->seeds);
    *r = (engine_request){ 0 };
}

atm_status engine_report(engine_request *r, const char *stage, int step, int n_steps, double work)
{
    r->work_done += work;
    const double fraction = r->work_total > 0 ? r->work_done / r->work_total : 0;
    const atm_progress progress = {
        .size = sizeof progress, .fraction = fmin(fraction, 1), .stage = stage, .step = step,
            .n_steps = n_steps
    };
    if (!r->progress || r->progress(&progress, r->user) == 0) return ATM_OK;
    return atm_fail(ATM_E_CANCELLED, "stopped by the caller in %s, step %d of %d", stage, step, n_steps);
}
