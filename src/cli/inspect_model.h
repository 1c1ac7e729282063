/* inspect_model.h - a whole model, described. */
#ifndef ATM_CLI_INSPECT_MODEL_H
#define ATM_CLI_INSPECT_MODEL_H

#include <jansson.h>

#include "base/status.h"

/* {"path", "trained", "parts": [{"name", "parameters", "weights", "block", "flop"}],
 *  "results", "peak", "text_source", ...}; *out is the caller's to json_decref(). */
atm_status cli_describe_model(const char *path, double duration, int batch, json_t **out);

void cli_print_model(const json_t *description);

/* The largest tensors of each network's plan. */
atm_status cli_print_plans(const char *path, double duration, int batch, int largest);

#endif
