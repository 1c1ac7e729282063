/* main.c - the program: finds the command, runs it, and turns its status into an
 * exit code (sysexits.h; arttomus/status.h).
 * stdout carries results alone; everything for people goes to stderr. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arttomus/arttomus.h"
#include "base/nearest.h"
#include "cli/commands.h"
#include "cli/signals.h"
#include "cli/terminal.h"

static const cli_command *const commands[] = {
    &cli_generate, &cli_prepare, &cli_train, &cli_eval, &cli_init, &cli_forward, &cli_inspect, &cli_doctor
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static void print_commands(void)
{
    printf("Usage: arttomus COMMAND [options]\n\nTurns an artwork into music.\n\nCommands:\n");
    for (int i = 0; i < N_COMMANDS; i++) printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
    printf("\narttomus COMMAND --help explains a command, arttomus --version prints the version.\n"
           "Exit codes: 0 done, 64 usage, 65 bad data, 66 no input, 69 no such device, 70 our bug,\n"
           "71 out of memory, 74 cannot write, 75 saved: run it again, 76 another rank was lost,\n"
           "78 configuration, 130 interrupted.\n");
}

static const cli_command *find_command(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++)
        if (!strcmp(commands[i]->name, name)) return commands[i];
    return NULL;
}

static atm_status unknown_command(const char *name)
{
    const char *names[N_COMMANDS];
    for (int i = 0; i < N_COMMANDS; i++) names[i] = commands[i]->name;
    const char *near = atm_nearest(name, names, N_COMMANDS, sizeof names[0]);
    return near ? atm_fail(ATM_E_USAGE, "no command '%s': did you mean %s?", name, near)
                : atm_fail(ATM_E_USAGE, "no command '%s': arttomus --help lists them", name);
}

static atm_status run_parsed(const cli_command *command, cli_common *common)
{
    if (common->help) {
        cli_print_help(command);
        return ATM_OK;
    }
    if (common->version) {
        printf("arttomus %s\n", atm_version());
        return ATM_OK;
    }
    cli_terminal_init(common);
    return command->run(common);
}

static atm_status run_command(const cli_command *command, int argc, char **argv)
{
    cli_common *values = malloc(command->size);
    if (!values) return atm_fail(ATM_E_MEMORY, "no memory for the command line");
    memcpy(values, command->defaults, command->size);
    atm_status status = cli_parse(command, argc, argv, values);
    if (status == ATM_OK) status = run_parsed(command, values);
    cli_free_options(command, values);
    free(values);
    return status;
}

static atm_status run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name) return atm_fail(ATM_E_USAGE, "a command is needed: arttomus --help lists them");
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        print_commands();
        return ATM_OK;
    }
    if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
        printf("arttomus %s\n", atm_version());
        return ATM_OK;
    }
    const cli_command *command = find_command(name);
    return command ? run_command(command, argc - 1, argv + 1) : unknown_command(name);
}

/* Results that never reached stdout are a failure too. */
static atm_status close_stdout(atm_status status)
{
    const int failed = ferror(stdout);
    if (fclose(stdout) == 0 && !failed) return status;
    if (status != ATM_OK) return status;
    return atm_fail(ATM_E_IO, "standard output: %s", errno ? strerror(errno) : "cannot write");
}

int main(int argc, char **argv)
{
    cli_signals_init();
    const atm_status status = run(argc, argv);
    if (status != ATM_OK && cli_signal()) return 128 + cli_signal();
    if (status != ATM_OK && *atm_error()) cli_print_error(atm_error());
    const atm_status closed = close_stdout(status);
    if (closed != status) cli_print_error(atm_error());
    return (int)closed;
}
