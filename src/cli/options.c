/* options.c - see options.h. */
#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"

enum { MAX_OPTIONS = 64, MAX_NAME = 64, FIRST_LONG = 256 };

static const char *const log_formats[] = { "text", "json", NULL };

static const cli_option common_options[] = {
    { "quiet",      'q', CLI_FLAG,   offsetof(cli_common, quiet),   .help = "only warnings and errors" },
    { "verbose",    'v', CLI_FLAG,   offsetof(cli_common, verbose), .help = "say more" },
    { "log-format", 0,   CLI_CHOICE, offsetof(cli_common, log_format), .choices = log_formats,
      .value = "FORMAT", .help = "of what goes to stderr: text or json" },
    { "help",       'h', CLI_FLAG,   offsetof(cli_common, help),    .help = "this text" },
    { "version",    'V', CLI_FLAG,   offsetof(cli_common, version), .help = "print the version" },
    { 0 }
};

/* ------------------------------------------------------------------ values by type */

typedef atm_status (*value_parser)(const cli_option *option, const char *text, void *member);

static atm_status bad_value(const cli_option *o, const char *text, const char *allowed)
{
    return atm_fail(ATM_E_USAGE, "--%s '%s': %s", o->name, text, allowed);
}

static atm_status bad_number(const cli_option *o, const char *text, const char *kind)
{
    char allowed[96];
    snprintf(allowed, sizeof allowed, "must be %s from %.10g to %.10g", kind, o->min, o->max);
    return bad_value(o, text, allowed);
}

static atm_status parse_flag(const cli_option *o, const char *text, void *member)
{
    (void)o;
    (void)text;
    *(bool *)member = true;
    return ATM_OK;
}

static atm_status parse_int(const cli_option *o, const char *text, void *member)
{
    char *end;
    errno = 0;
    const long v = strtol(text, &end, 10);
    if (end == text || *end || errno || (double)v < o->min || (double)v > o->max)
        return bad_number(o, text, "a whole number");
    *(int *)member = (int)v;
    return ATM_OK;
}

static atm_status parse_seed(const cli_option *o, const char *text, void *member)
{
    char *end;
    errno = 0;
    const unsigned long long v = strtoull(text, &end, 10);
    /* strtoull takes "-1" and means 2^64 - 1 */
    if (end == text || *end || errno || strchr(text, '-'))
        return bad_value(o, text, "must be a whole number from 0 to 18446744073709551615");
    *(uint64_t *)member = v;
    return ATM_OK;
}

static atm_status parse_double(const cli_option *o, const char *text, void *member)
{
    char *end;
    const double v = strtod(text, &end);    /* no setlocale() anywhere: the decimal point is a point */
    if (end == text || *end || !(v >= o->min && v <= o->max)) return bad_number(o, text, "a number");
    *(double *)member = v;
    return ATM_OK;
}

static atm_status parse_text(const cli_option *o, const char *text, void *member)
{
    if (!*text) return bad_value(o, text, "must not be empty");
    *(const char **)member = text;
    return ATM_OK;
}

static atm_status parse_choice(const cli_option *o, const char *text, void *member)
{
    char allowed[256] = "must be one of";
    for (const char *const *c = o->choices; *c; c++) {
        if (!strcmp(*c, text)) {
            *(const char **)member = *c;
            return ATM_OK;
        }
        strncat(allowed, " ", sizeof allowed - strlen(allowed) - 1);
        strncat(allowed, *c, sizeof allowed - strlen(allowed) - 1);
    }
    return bad_value(o, text, allowed);
}

static atm_status append(cli_list *list, const char *text)
{
    const char **item = realloc(list->item, ((size_t)list->n + 1) * sizeof *item);
    if (!item) return atm_fail(ATM_E_MEMORY, "no memory for the command line");
    list->item = item;
    list->item[list->n++] = text;
    return ATM_OK;
}

static atm_status parse_list(const cli_option *o, const char *text, void *member)
{
    return *text ? append(member, text) : bad_value(o, text, "must not be empty");
}

static const value_parser parser[CLI_TYPES] = {
    [CLI_FLAG] = parse_flag, [CLI_INT] = parse_int, [CLI_SEED] = parse_seed, [CLI_DOUBLE] = parse_double,
    [CLI_TEXT] = parse_text, [CLI_CHOICE] = parse_choice, [CLI_LIST] = parse_list
};

/* ------------------------------------------------------------------ the command line */

/* A command's options and the common ones, in the forms that getopt wants. */
typedef struct {
    const cli_option *option[MAX_OPTIONS];
    struct option longs[MAX_OPTIONS + 1];
    char letters[2 * MAX_OPTIONS + 2];
    int n;
} option_set;

static void add_options(option_set *set, const cli_option *options)
{
    for (const cli_option *o = options; o->name && set->n < MAX_OPTIONS; o++) {
        const int argument = o->type == CLI_FLAG ? no_argument : required_argument;
        set->option[set->n] = o;
        set->longs[set->n] = (struct option){ o->name, argument, NULL, FIRST_LONG + set->n };
        set->n++;
        if (!o->letter) continue;
        const size_t end = strlen(set->letters);
        set->letters[end] = o->letter;
        if (argument) set->letters[end + 1] = ':';
    }
}

static option_set all_options(const cli_command *command)
{
    option_set set = { .letters = ":" };        /* tell a missing value from an unknown option */
    add_options(&set, command->options);
    add_options(&set, common_options);
    return set;
}

static const cli_option *option_of(const option_set *set, int code)
{
    if (code >= FIRST_LONG) return set->option[code - FIRST_LONG];
    for (int i = 0; i < set->n; i++)
        if (set->option[i]->letter == code) return set->option[i];
    return NULL;
}

static atm_status unknown_option(const option_set *set, const cli_command *command, const char *text)
{
    const char *names[MAX_OPTIONS];
    char name[MAX_NAME];
    for (int i = 0; i < set->n; i++) names[i] = set->option[i]->name;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(text, "="), text);
    const char *near = !strncmp(name, "--", 2)
                     ? atm_nearest(name + 2, names, (size_t)set->n, sizeof names[0]) : NULL;
    return near ? atm_fail(ATM_E_USAGE, "unknown option %s: did you mean --%s?", name, near)
                : atm_fail(ATM_E_USAGE, "unknown option %s: see arttomus %s --help", name, command->name);
}

static atm_status check_rest(const cli_command *command, const cli_common *common)
{
    const int n = common->rest.n;
    if (common->help || common->version) return ATM_OK;
    if (n < command->min_rest)
        return atm_fail(ATM_E_USAGE, "arttomus %s needs %s: see arttomus %s --help",
                        command->name, command->arguments, command->name);
    if (n > command->max_rest)
        return atm_fail(ATM_E_USAGE, "unexpected argument '%s'", common->rest.item[command->max_rest]);
    return ATM_OK;
}

atm_status cli_parse(const cli_command *command, int argc, char **argv, void *values)
{
    const option_set set = all_options(command);
    cli_common *common = values;
    opterr = 0;
    optind = 0;         /* glibc: start afresh */
    for (int code; (code = getopt_long(argc, argv, set.letters, set.longs, NULL)) != -1; ) {
        if (code == ':') return atm_fail(ATM_E_USAGE, "%s needs a value", argv[optind - 1]);
        const cli_option *o = code == '?' ? NULL : option_of(&set, code);
        if (!o) return unknown_option(&set, command, argv[optind - 1]);
        TRY_RETURN(parser[o->type](o, optarg, (char *)values + o->offset));
    }
    for (int i = optind; i < argc; i++) TRY_RETURN(append(&common->rest, argv[i]));
    return check_rest(command, common);
}

void cli_free_options(const cli_command *command, void *values)
{
    for (const cli_option *o = command->options; o->name; o++)
        if (o->type == CLI_LIST) free(((cli_list *)((char *)values + o->offset))->item);
    free(((cli_common *)values)->rest.item);
}

/* ------------------------------------------------------------------ help */

static void print_options(const cli_option *options)
{
    for (const cli_option *o = options; o->name; o++) {
        char left[80];
        const int n = snprintf(left, sizeof left, "%s%c%s--%s%s%s", o->letter ? "-" : " ",
                               o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name,
                               o->value ? " " : "", o->value ? o->value : "");
        if (n > 27) printf("  %s\n  %27s %s\n", left, "", o->help);
        else        printf("  %-27s %s\n", left, o->help);
    }
}

void cli_print_help(const cli_command *command)
{
    printf("Usage: arttomus %s [options] %s\n\n%s.\n", command->name, command->arguments, command->summary);
    if (command->details) printf("\n%s\n", command->details);
    printf("\nOptions:\n");
    print_options(command->options);
    print_options(common_options);
}
