/* random_group.h - first values of parameters that no model holds: discriminators. */
#ifndef ATM_TRAIN_RANDOM_GROUP_H
#define ATM_TRAIN_RANDOM_GROUP_H

#include "base/threads.h"
#include "train/group.h"

/* Fills p (and ema, when there is one) of an allocated group by the table of model/random_weights.c
 * for `part`: a function of seed, part and names alone. */
atm_status atm_group_randomize(atm_group *group, uint64_t seed, const char *part, atm_pool *pool);

#endif
