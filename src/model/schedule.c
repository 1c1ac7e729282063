/* The variance-preserving diffusion of docs/MODEL.md: x_t = alpha_t x0 + sigma_t eps,
 * alpha_t = sqrt(abar_t), sigma_t = sqrt(1 - abar_t).
 *
 * DDIM (Song, Meng, Ermon 2021, eq. 12 and 16), from t to p = t - N / steps:
 *     s = eta sqrt((1 - abar_p) / (1 - abar_t) (1 - abar_t / abar_p))
 *     y = sqrt(abar_p) x0 + sqrt(1 - abar_p - s^2) eps + s n
 *
 * DPM-Solver++(2M) (Lu et al. 2022, algorithm 2, "midpoint"), with
 * lambda = log(alpha / sigma), h = lambda_p - lambda_t, r = (lambda_t - lambda_before) / h:
 *     y = sigma_p / sigma_t x - alpha_p (e^-h - 1) (x0 + (x0 - x0_before) / (2 r))
 * The first step has no past and drops the last term; so does the last, which goes to
 * sigma = 0, where h is infinite and y = x0.
 *
 * Karras et al. 2022, eq. 5 (rho = 7): sigmas equally spaced in sigma^(1/7).
 *
 * Details that have caused bugs, all as in diffusers 0.27.2:
 *  - DDIM's "leading" spacing divides by steps, DPM's by steps + 1 (it drops t = offset).
 *  - DDIM's past-the-end abar is abar[0] (set_alpha_to_one false); DPM's last sigma is 0.
 *  - With Karras' sigmas the network gets the nearest integer timestep, the
 *    equations the exact sigma. */
#include "model/schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const atm_beta_schedule_names[] = { "linear", "scaled_linear", "squaredcos_cap_v2", NULL };
const char *const atm_prediction_names[] = { "epsilon", "v_prediction", "sample", NULL };
const char *const atm_spacing_names[] = { "leading", "linspace", "trailing", NULL };
const char *const atm_sampler_names[ATM_SAMPLER_COUNT] = { "ddim", "dpm++", "dpm++-karras" };

const atm_schedule_config atm_schedule_audioldm2 = {
    .num_train_timesteps = 1000, .beta_start = 0.0015, .beta_end = 0.0195,
    .beta_schedule = ATM_BETA_SCALED_LINEAR, .prediction_type = ATM_PREDICT_EPSILON,
    .timestep_spacing = ATM_SPACING_LEADING, .steps_offset = 1, .set_alpha_to_one = false
};

enum { MAX_TRAIN_TIMESTEPS = 1000000 };

atm_status atm_sampler_find(const char *name, atm_sampler *out)
{
    for (int i = 0; i < ATM_SAMPLER_COUNT; i++)
        if (strcmp(name, atm_sampler_names[i]) == 0) {
            *out = (atm_sampler)i;
            return ATM_OK;
        }
    return atm_fail(ATM_E_USAGE, "sampler '%s' is unknown; known: %s, %s, %s", name,
                    atm_sampler_names[0], atm_sampler_names[1], atm_sampler_names[2]);
}

atm_status atm_schedule_check(const atm_schedule_config *c)
{
    if (c->num_train_timesteps < 2 || c->num_train_timesteps > MAX_TRAIN_TIMESTEPS)
        return atm_fail(ATM_E_CONFIG, "scheduler: num_train_timesteps %d is outside 2..%d",
                        c->num_train_timesteps, MAX_TRAIN_TIMESTEPS);
    if (!(c->beta_start > 0 && c->beta_start <= c->beta_end && c->beta_end < 1))
        return atm_fail(ATM_E_CONFIG, "scheduler: beta_start %g and beta_end %g must be 0 < start <= end < 1",
                        c->beta_start, c->beta_end);
    if (c->steps_offset < 0 || c->steps_offset >= c->num_train_timesteps)
        return atm_fail(ATM_E_CONFIG, "scheduler: steps_offset %d is outside 0..%d",
                        c->steps_offset, c->num_train_timesteps - 1);
    return ATM_OK;
}

/* ------------------------------------------------------------------ the noise schedule */

/* The i-th of n numbers from a to b. */
static double between(double a, double b, int i, int n)
{
    return n == 1 ? a : a + (b - a) * i / (n - 1);
}

/* Nichol and Dhariwal 2021, eq. 17; betas are cut at 0.999. */
static double cosine_abar(double u)
{
    double c = cos((u + 0.008) / 1.008 * 1.57079632679489661923);
    return c * c;
}

static double cosine_beta(double t, double n)
{
    return fmin(1 - cosine_abar((t + 1) / n) / cosine_abar(t / n), 0.999);
}

static double beta_at(const atm_schedule_config *c, int t)
{
    const int n = c->num_train_timesteps;
    const double root = between(sqrt(c->beta_start), sqrt(c->beta_end), t, n);
    switch (c->beta_schedule) {
    case ATM_BETA_LINEAR:         return between(c->beta_start, c->beta_end, t, n);
    case ATM_BETA_SQUARED_COSINE: return cosine_beta(t, n);
    default:                      return root * root;
    }
}

void atm_alphas_cumprod(const atm_schedule_config *config, double *abar)
{
    double product = 1;
    for (int t = 0; t < config->num_train_timesteps; t++) abar[t] = product *= 1 - beta_at(config, t);
}

/* A place on the schedule: alpha^2 + sigma^2 = 1. */
typedef struct { double alpha, sigma; } level;

static level level_of_abar(double abar) { return (level){ sqrt(abar), sqrt(1 - abar) }; }

/* `ratio`: sigma / alpha, what Karras and diffusers' DPM code call sigma. */
static level level_of_ratio(double ratio)
{
    double alpha = 1 / sqrt(ratio * ratio + 1);
    return (level){ alpha, ratio * alpha };
}

static double log_snr(level l) { return log(l.alpha / l.sigma); }

/* How the network's output e becomes x0 and eps: each = [0] x + [1] e. */
typedef struct { double x0[2], eps[2]; } reading;

static reading read_output(atm_prediction prediction, level l)
{
    const double a = l.alpha, s = l.sigma;
    switch (prediction) {
    case ATM_PREDICT_V:      return (reading){ { a, -s }, { s, a } };
    case ATM_PREDICT_SAMPLE: return (reading){ { 0, 1 }, { 1 / s, -a / s } };
    default:                 return (reading){ { 1 / a, -s / a }, { 0, 1 } };
    }
}

/* ------------------------------------------------------------------ timesteps */

/* Step i of `steps`, first step first.  `skip_last` is DPM's way: it walks a grid
 * with one more point and leaves the last one out. */
static int timestep_at(const atm_schedule_config *c, int steps, int i, bool skip_last)
{
    const int n = c->num_train_timesteps, points = steps + (skip_last ? 1 : 0), k = points - 1 - i;
    switch (c->timestep_spacing) {
    case ATM_SPACING_LINSPACE: return (int)nearbyint(between(0, n - 1, k, points));
    case ATM_SPACING_TRAILING: return (int)nearbyint(n - i * ((double)n / steps)) - 1;
    default:                   return k * (n / points) + c->steps_offset;
    }
}

static atm_status check_steps(const atm_schedule_config *c, int steps, bool skip_last)
{
    const int n = c->num_train_timesteps, most = n - (skip_last ? 1 : 0);
    if (steps < 1 || steps > most)
        return atm_fail(ATM_E_USAGE, "steps: %d is outside 1..%d", steps, most);
    int first = timestep_at(c, steps, 0, skip_last);
    if (first >= n)
        return atm_fail(ATM_E_USAGE, "steps: %d steps with steps_offset %d begin at timestep %d, but the "
                        "network knows 0..%d; ask for fewer", steps, c->steps_offset, first, n - 1);
    return ATM_OK;
}

/* ------------------------------------------------------------------ samplers */

typedef struct {
    const atm_schedule_config *config;
    const double *abar;
    double eta;
    bool karras;
} maker;

static atm_status fill_ddim(const maker *m, int steps, atm_schedule_row *row)
{
    const atm_schedule_config *c = m->config;
    TRY_RETURN(check_steps(c, steps, false));
    const double end = c->set_alpha_to_one ? 1 : m->abar[0];
    for (int i = 0; i < steps; i++) {
        const int t = timestep_at(c, steps, i, false), p = t - c->num_train_timesteps / steps;
        const double abar = m->abar[t], abar_p = p >= 0 ? m->abar[p] : end;
        const reading r = read_output(c->prediction_type, level_of_abar(abar));
        const double noise = m->eta * sqrt((1 - abar_p) / (1 - abar) * (1 - abar / abar_p));
        const double along = sqrt(fmax(1 - abar_p - noise * noise, 0));
        row[i] = (atm_schedule_row){ t, { r.x0[0], r.x0[1], along * r.eps[0], sqrt(abar_p), along * r.eps[1],
                                          0, noise } };
    }
    return ATM_OK;
}

static double ratio_at(const double *abar, int t) { return sqrt((1 - abar[t]) / abar[t]); }

/* The timestep whose ratio is nearest to `ratio`, in logarithms: what a network
 * that knows integers is told. */
static int nearest_timestep(const maker *m, double ratio)
{
    const int last = m->config->num_train_timesteps - 1;
    int low = 0;
    while (low < last - 1 && ratio_at(m->abar, low + 1) <= ratio) low++;
    double a = log(ratio_at(m->abar, low)), b = log(ratio_at(m->abar, low + 1));
    double w = fmin(fmax((log(ratio) - a) / (b - a), 0), 1);
    return (int)nearbyint(low + w);
}

static double karras_ratio(const maker *m, int steps, int i)
{
    const double rho = 7, low = ratio_at(m->abar, 0);
    const double high = ratio_at(m->abar, m->config->num_train_timesteps - 1);
    return pow(between(pow(high, 1 / rho), pow(low, 1 / rho), i, steps), rho);
}

/* The ratio that step i starts from; past the last step it is 0: no noise left. */
static double dpm_ratio(const maker *m, int steps, int i)
{
    if (i == steps) return 0;
    return m->karras ? karras_ratio(m, steps, i) : ratio_at(m->abar, timestep_at(m->config, steps, i, true));
}

static atm_status fill_dpm(const maker *m, int steps, atm_schedule_row *row)
{
    TRY_RETURN(check_steps(m->config, steps, true));
    for (int i = 0; i < steps; i++) {
        const double ratio = dpm_ratio(m, steps, i);
        const level from = level_of_ratio(ratio), to = level_of_ratio(dpm_ratio(m, steps, i + 1));
        const reading r = read_output(m->config->prediction_type, from);
        const double h = log_snr(to) - log_snr(from), a = -to.alpha * expm1(-h);
        double past = 0;                /* a / (2 r): the weight of x0 - x0_before */
        if (i > 0 && i < steps - 1) {
            double before = log_snr(level_of_ratio(dpm_ratio(m, steps, i - 1)));
            past = a * h / (2 * (log_snr(from) - before));
        }
        const int t = m->karras ? nearest_timestep(m, ratio) : timestep_at(m->config, steps, i, true);
        row[i] = (atm_schedule_row){ t, { r.x0[0], r.x0[1], to.sigma / from.sigma, a + past, 0, -past } };
    }
    return ATM_OK;
}

static const struct {
    atm_status (*fill)(const maker *m, int steps, atm_schedule_row *row);
    bool karras, takes_eta;
} samplers[ATM_SAMPLER_COUNT] = {
    [ATM_SAMPLER_DDIM]            = { fill_ddim, false, true  },
    [ATM_SAMPLER_DPMPP_2M]        = { fill_dpm,  false, false },
    [ATM_SAMPLER_DPMPP_2M_KARRAS] = { fill_dpm,  true,  false },
};

static void note_uses(atm_schedule *s)
{
    for (int i = 0; i < s->steps; i++) {
        s->uses_history |= s->row[i].coef[5] != 0;
        s->uses_noise |= s->row[i].coef[6] != 0;
    }
}

atm_status atm_schedule_make(const atm_schedule_config *config, atm_sampler sampler, int steps, double eta,
                             atm_schedule *out)
{
    atm_status status = ATM_OK;
    double *abar = NULL;
    atm_schedule made = { .steps = steps };
    TRY(atm_schedule_check(config));
    if (!(eta >= 0 && eta <= 1)) TRY(atm_fail(ATM_E_USAGE, "eta: %g is outside 0..1", eta));
    if (eta > 0 && !samplers[sampler].takes_eta)
        TRY(atm_fail(ATM_E_USAGE, "eta: %g has no meaning for the sampler '%s'; use ddim or eta 0", eta,
                     atm_sampler_names[sampler]));
    if (steps < 1 || steps > config->num_train_timesteps)
        TRY(atm_fail(ATM_E_USAGE, "steps: %d is outside 1..%d", steps, config->num_train_timesteps));
    abar = malloc(sizeof *abar * (size_t)config->num_train_timesteps);
    made.row = calloc((size_t)steps, sizeof *made.row);
    if (!abar || !made.row) TRY(atm_fail(ATM_E_MEMORY, "no memory for a schedule of %d steps", steps));
    atm_alphas_cumprod(config, abar);
    const maker m = { config, abar, eta, samplers[sampler].karras };
    TRY(samplers[sampler].fill(&m, steps, made.row));
    note_uses(&made);
    *out = made;
    made.row = NULL;
done:
    free(abar);
    free(made.row);
    return status;
}

void atm_schedule_free(atm_schedule *schedule)
{
    free(schedule->row);
    *schedule = (atm_schedule){ 0 };
}

/* ------------------------------------------------------------------ on the host */

void atm_schedule_run(const atm_schedule *schedule, size_t n, const double *sample,
                      const double *model_output, const double *noise, double *trajectory)
{
    for (size_t k = 0; k < n; k++) {
        double x = sample[k], h = 0;
        for (int i = 0; i < schedule->steps; i++) {
            const double *c = schedule->row[i].coef;
            const size_t at = (size_t)i * n + k;
            const double e = model_output[at], x0 = c[0] * x + c[1] * e;
            x = c[2] * x + c[3] * x0 + c[4] * e + c[5] * h + (noise ? c[6] * noise[at] : 0);
            trajectory[at] = x;
            h = x0;
        }
    }
}
