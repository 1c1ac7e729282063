#include "rivals.h"

extern const rival rival_openblas, rival_onednn;

const rival *const rivals[] = {
#ifdef ATM_RIVAL_OPENBLAS
    &rival_openblas,
#endif
#ifdef ATM_RIVAL_ONEDNN
    &rival_onednn,
#endif
    0
};
