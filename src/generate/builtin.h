/* builtin.h - the model that needs no files. */
#ifndef ATM_GENERATE_BUILTIN_H
#define ATM_GENERATE_BUILTIN_H

#include "generate/engine.h"

/* configs/nano.yaml with the random weights of seed 0. */
atm_status engine_open_builtin(atm_model *model);

/* Opens the weights of `part` unless that has been done. */
atm_status engine_load(atm_model *model, engine_part part);

#endif
