/* commands.h - one row per command; a new one is a file cmd_NAME.c, its row
 * here, and its place in the list of main.c. */
#ifndef ATM_CLI_COMMANDS_H
#define ATM_CLI_COMMANDS_H

#include "cli/options.h"

extern const cli_command cli_generate, cli_init, cli_forward, cli_inspect, cli_doctor, cli_prepare, cli_train, cli_eval;

#endif
