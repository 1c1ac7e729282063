/* forward_data.h - the components without weights: mel, resample, resize. */
#ifndef ATM_CLI_FORWARD_DATA_H
#define ATM_CLI_FORWARD_DATA_H

#include "base/status.h"
#include "data/stft.h"

/* From and to safetensors files; names and shapes: arttomus forward --help. */
atm_status cli_forward_mel(const char *inputs, const char *outputs, atm_framing framing);
atm_status cli_forward_resample(const char *inputs, const char *outputs, int from, int to);
atm_status cli_forward_resize(const char *inputs, const char *outputs, int size);

#endif
