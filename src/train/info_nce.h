/* info_nce.h - the loss of the stage `align`: which of these clips belongs to which of these artworks? */
#ifndef ATM_TRAIN_INFO_NCE_H
#define ATM_TRAIN_INFO_NCE_H

#include "plan/plan.h"

/*     s_ij = a_i . b_j / temperature
 *     loss = (mean_i -log softmax_j(s_i.)[i] + mean_j -log softmax_i(s_.j)[j]) / 2
 *
 * a, b [N, D], rows of length 1; index: I32 [N] that holds 0 .. N-1, for the caller to write; *logits [N, N] = s.
 *
 * Ranks.  With the rows of other ranks concatenated as constants before and behind one's own, each rank has the
 * loss of the whole, and the gradient by its own rows; the sum over ranks is the gradient of the whole.
 *
 * Sources: van den Oord et al. 2018; Radford et al., CLIP, 2021 (both directions). */
atm_tensor atm_info_nce(atm_plan *p, atm_tensor a, atm_tensor b, atm_tensor index, double temperature,
                        atm_tensor *logits);

#endif
