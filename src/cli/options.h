/* options.h - command-line options by a table, over getopt_long.
 *
 * A command is a row: its names, its options, a struct for their values with its
 * defaults, and the function to run.  Parsing, range checks, --help and the
 * list of commands all come from the rows.
 *
 *     typedef struct { cli_common common; int steps; } args;
 *     static const cli_option option[] = {
 *         { "steps", 's', CLI_INT, offsetof(args, steps), .min = 1, .max = 1000,
 *           .value = "N", .help = "denoising steps" },
 *         { 0 } };
 *
 * To add a type: a value of cli_type and a row of the table in options.c. */
#ifndef ATM_CLI_OPTIONS_H
#define ATM_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum {              /* C type of the member */
    CLI_FLAG,               /* bool                                              */
    CLI_INT,                /* int in min..max                                   */
    CLI_SEED,               /* uint64_t                                          */
    CLI_DOUBLE,             /* double in min..max                                */
    CLI_TEXT,               /* const char *                                      */
    CLI_CHOICE,             /* const char *, one of `choices`                    */
    CLI_LIST,               /* cli_list: may be given several times              */
    CLI_TYPES
} cli_type;

typedef struct { int n; const char **item; } cli_list;

typedef struct {
    const char *name;
    char letter;                        /* 0: none */
    cli_type type;
    size_t offset;
    double min, max;
    const char *const *choices;         /* NULL-terminated */
    const char *value;                  /* what --help calls the value */
    const char *help;
} cli_option;

/* What every command has: the first member of every command's struct. */
typedef struct {
    bool help, version, quiet, verbose;
    const char *log_format;
    cli_list rest;                      /* arguments that are not options */
} cli_common;

typedef struct {
    const char *name, *arguments, *summary;
    const char *details;                /* paragraphs for --help; may be NULL */
    const cli_option *options;          /* ends with a row without a name */
    const void *defaults;
    size_t size;                        /* of the struct of values */
    int min_rest, max_rest;             /* how many arguments */
    atm_status (*run)(void *args);
} cli_command;

/* Reads argv[1..] into `values` (of command->size bytes, defaults filled in).
 * Lists point into memory from cli_free_options.  ATM_E_USAGE on anything odd. */
atm_status cli_parse(const cli_command *command, int argc, char **argv, void *values);
void       cli_free_options(const cli_command *command, void *values);

void cli_print_help(const cli_command *command);

#endif
