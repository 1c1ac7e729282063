/* hand_stage.h - a training stage without network: two groups of three tensors, of which the
 * first has a moving average, and numbers that say where and when they belong. */
#ifndef ATM_TEST_HAND_STAGE_H
#define ATM_TEST_HAND_STAGE_H

#include "train/checkpoint.h"

enum { HAND_COUNT = 96 };               /* floats of an array: 56 + 8 padded, 8 + 8 padded, 1 + 15 */

atm_stage       hand_stage_make(void);
void            hand_stage_free(atm_stage *stage);
void            hand_stage_set(atm_stage *stage, int step);             /* all kept numbers */
void            hand_stage_check(const atm_stage *stage, int step);     /* ends the test when one differs */
atm_train_state hand_state(int step);

#endif
