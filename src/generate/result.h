/* result.h - the clips that a request made. */
#ifndef ATM_GENERATE_RESULT_H
#define ATM_GENERATE_RESULT_H

#include "generate/request.h"

/* Room for everything; filled stage by stage. */
atm_status engine_result_create(const atm_model *model, const engine_request *request, atm_result **out);

/* Clips lie one after the other. */
float *engine_result_latent(atm_result *result, int clip);      /* [C, T, F]      */
float *engine_result_mel(atm_result *result, int clip);         /* [frames, bins] */

/* Takes the first of the vocoder's samples, as many as the clip is long.
 * ATM_E_DATA when one is not finite: the weights are broken. */
atm_status engine_result_set_audio(atm_result *result, int clip, const float *samples);

#endif
