#include "train/info_nce.h"

atm_tensor atm_info_nce(atm_plan *p, atm_tensor a, atm_tensor b, atm_tensor index, double temperature,
                        atm_tensor *logits)
{
    *logits = atm_affine(p, atm_linear(p, a, b, ATM_NONE, (atm_linear_options){ 0 }), 1 / temperature, 0);
    const atm_tensor rows = atm_cross_entropy(p, *logits, index);
    const atm_tensor columns = atm_cross_entropy(p, atm_transpose(p, *logits), index);
    return atm_add_scaled(p, rows, 0.5, columns, 0.5);
}
