/* train_progress.c - see train_progress.h. */
#include "cli/train_progress.h"

#include <math.h>
#include <stdio.h>

#include "cli/terminal.h"

static const double BAR_EVERY = 0.1, LINE_EVERY = 10;       /* seconds */

/* JSON has no NaN. */
static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *as_json(const atm_train_progress *p)
{
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:s?}", "step", (json_int_t)p->step,
                     "steps", (json_int_t)p->max_steps, "loss", number(p->loss),
                     "it_per_s", number(p->steps_per_second), "left", number(p->seconds_left),
                     "data_wait", number(p->data_wait),
                     "bad_steps", (json_int_t)p->bad_steps, "note", p->note);
}

/* A step may take milliseconds or minutes. */
static int print_speed(char *out, size_t size, double steps_per_second)
{
    return steps_per_second >= 1 ? snprintf(out, size, "%.1f it/s", steps_per_second)
                                 : snprintf(out, size, "%.1f s/it", 1 / steps_per_second);
}

static void print_text(char *out, size_t size, const atm_train_progress *p)
{
    char eta[16], speed[32], bad[48] = "";
    if (p->note || !(p->steps_per_second > 0)) {
        snprintf(out, size, "%s", p->note ? p->note : "the first step");
        return;
    }
    print_speed(speed, sizeof speed, p->steps_per_second);
    if (p->bad_steps) snprintf(bad, sizeof bad, ", %llu skipped", (unsigned long long)p->bad_steps);
    snprintf(out, size, "loss %.4g, %s, %s left, data wait %.1f %%%s", p->loss, speed,
             cli_clock_text(p->seconds_left, eta), 100 * p->data_wait, bad);
}

void cli_train_progress(const atm_train_progress *p)
{
    char label[64], text[192];
    /* a note stays in the bar for as long as what it speaks of: it must not be missed */
    if (!cli_progress_due(p->note ? 0 : BAR_EVERY, LINE_EVERY)) return;
    snprintf(label, sizeof label, "%llu/%llu", (unsigned long long)p->step, (unsigned long long)p->max_steps);
    print_text(text, sizeof text, p);
    cli_progress_show(label, p->max_steps ? (double)p->step / (double)p->max_steps : 0, text, as_json(p));
}
