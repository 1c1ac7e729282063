/* terminal.c - see terminal.h. */
#include "cli/terminal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/log_copy.h"
#include "io/utf8.h"

enum { BAR_WIDTH = 28 };
static const double BAR_EVERY = 0.1, LINE_EVERY = 5.0;     /* seconds */

static struct {
    bool tty, colour, json, quiet;
    atm_log_level least;
    int rank;                   /* of several processes; -1: there is one */
    bool bar_shown;
    double started, last;
} terminal = { .rank = -1 };

double cli_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

const char *cli_bytes_text(double bytes)
{
    static char text[4][32];
    static int next;
    static const char *const unit[] = { "B", "kB", "MB", "GB", "TB" };
    int u = 0;
    for (; bytes >= 999.5 && u < 4; u++) bytes /= 1000;
    char *out = text[next++ % 4];
    snprintf(out, sizeof text[0], bytes < 10 && u > 0 ? "%.1f %s" : "%.0f %s", bytes, unit[u]);
    return out;
}

/* ------------------------------------------------------------------ log */

static void wipe_bar(void)
{
    if (terminal.bar_shown) fputs("\r\033[K", stderr);
    terminal.bar_shown = false;
}

static void print_json(json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    if (text) fprintf(stderr, "%s\n", text);
    free(text);
    json_decref(object);
}

static double wall_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-3 * (double)(t.tv_nsec / 1000000);
}

/* File names hold anything: none of it may steer the terminal or be refused by JSON. */
static void make_printable(char *text)
{
    const bool valid = atm_utf8_valid(text, strlen(text));
    for (char *c = text; *c; c++) {
        const unsigned char byte = (unsigned char)*c;
        if (byte < 0x20 || byte == 0x7f || (!valid && byte > 0x7f)) *c = '?';
    }
}

/* A list that the library writes below each other goes behind each other here: one
 * message is one line. */
static const char *one_line(const char *text, char *out, size_t size)
{
    size_t n = 0;
    for (; *text && n + 3 < size; text++) {
        if (*text != '\n') {
            out[n++] = *text;
            continue;
        }
        if (n > 0 && out[n - 1] != ':') out[n++] = ',';
        out[n++] = ' ';
        while (text[1] == ' ') text++;
    }
    out[n] = '\0';
    make_printable(out);
    return out;
}

static const struct { const char *name, *prefix, *colour; } look[] = {
    { "debug",   "",          "\033[2m"    },
    { "info",    "",          ""           },
    { "warning", "warning: ", "\033[1;33m" },
    { "error",   "error: ",   "\033[1;31m" }
};

static json_t *line_json(atm_log_level level, const char *text)
{
    json_t *line = json_pack("{s:f, s:s, s:s%}", "time", wall_clock(), "level", look[level].name,
                             "text", text, strlen(text));
    if (line && terminal.rank >= 0) json_object_set_new(line, "rank", json_integer(terminal.rank));
    return line;
}

static void print_text(atm_log_level level, const char *text)
{
    char rank[32] = "";
    if (terminal.rank > 0) snprintf(rank, sizeof rank, "rank %d: ", terminal.rank);
    if (terminal.colour)
        fprintf(stderr, "arttomus: %s%s%s%s%s\n", rank, look[level].colour, look[level].prefix,
                level < ATM_LOG_WARNING ? "" : "\033[0m", text);
    else
        fprintf(stderr, "arttomus: %s%s%s\n", rank, look[level].prefix, text);
    if (terminal.colour && level == ATM_LOG_DEBUG) fputs("\033[0m", stderr);
}

static void print_line(atm_log_level level, const char *message)
{
    char line[8192];
    const char *text = one_line(message, line, sizeof line);
    cli_log_copy_line(line_json(level, text));
    if (level < terminal.least) return;
    wipe_bar();
    if (terminal.json) print_json(line_json(level, text));
    else print_text(level, text);
}

static void on_log(atm_log_level level, const char *text, void *user)
{
    (void)user;
    if (level >= terminal.least || level >= ATM_LOG_INFO) print_line(level, text);
}

void cli_print_error(const char *text) { print_line(ATM_LOG_ERROR, text); }

void cli_terminal_init(const cli_common *common)
{
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    terminal.json = common->log_format && !strcmp(common->log_format, "json");
    terminal.tty = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") && !terminal.json;
    terminal.colour = terminal.tty && !(no_colour && *no_colour);
    terminal.quiet = common->quiet;
    terminal.least = common->verbose ? ATM_LOG_DEBUG : common->quiet ? ATM_LOG_WARNING : ATM_LOG_INFO;
    atm_log_to(on_log, NULL);
}

void cli_terminal_rank(int rank, const cli_common *common)
{
    terminal.rank = rank;
    if (rank > 0 && !common->verbose) terminal.least = ATM_LOG_WARNING;
}

/* ------------------------------------------------------------------ progress */

void cli_progress_begin(void)
{
    terminal.started = cli_seconds();
    terminal.last = terminal.started - (terminal.tty ? BAR_EVERY : 0);
}

const char *cli_clock_text(double seconds, char text[16])
{
    const int s = (int)fmin(fmax(seconds, 0), 359999);
    if (s < 3600) snprintf(text, 16, "%d:%02d", s / 60, s % 60);
    else snprintf(text, 16, "%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
    return text;
}

static void draw_bar(const char *label, double fraction, const char *text)
{
    char bar[BAR_WIDTH + 1];
    const int full = (int)(fraction * BAR_WIDTH);
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', (size_t)full);
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r\033[K%.40s [%s] %3.0f %%  %s", label, bar, 100 * fraction, text);
    fflush(stderr);
    terminal.bar_shown = true;
}

bool cli_progress_due(double bar_every, double line_every)
{
    const double now = cli_seconds();
    if (terminal.quiet || now - terminal.last < (terminal.tty ? bar_every : line_every)) return false;
    terminal.last = now;
    return true;
}

void cli_progress_show(const char *label, double fraction, const char *text, json_t *json)
{
    char name[256];
    snprintf(name, sizeof name, "%s", label);
    make_printable(name);
    fraction = fmin(fmax(fraction, 0), 1);
    if (terminal.json) {
        if (json) json_object_set_new(json, "time", json_real(wall_clock()));
        print_json(json);
        return;
    }
    json_decref(json);
    if (terminal.tty) draw_bar(name, fraction, text);
    else fprintf(stderr, "arttomus: %s: %.0f %%, %s\n", name, 100 * fraction, text);
}

void cli_progress(const char *label, double fraction, const atm_progress *p)
{
    char text[128], eta[16] = "-:--", name[256];
    if (!cli_progress_due(BAR_EVERY, LINE_EVERY)) return;
    fraction = fmin(fmax(fraction, 0), 1);
    const double left = fraction > 0 ? (cli_seconds() - terminal.started) * (1 - fraction) / fraction : 0;
    if (fraction > 0) cli_clock_text(left, eta);
    snprintf(text, sizeof text, "%s %d/%d, %s left", p->stage, p->step, p->n_steps, eta);
    snprintf(name, sizeof name, "%s", label);
    make_printable(name);           /* what is no text makes no JSON */
    cli_progress_show(name, fraction, text,
                      json_pack("{s:s, s:f, s:s, s:i, s:i, s:f}", "item", name, "progress", fraction,
                                "stage", p->stage, "step", p->step, "steps", p->n_steps, "left", left));
}

void cli_progress_end(void)
{
    wipe_bar();
    fflush(stderr);
}
