/* ops.c - the op table, and the work of a step. */
#include "kernels/ops.h"

const atm_op_info atm_op_table[ATM_OP_COUNT] = {
#define HAS_GRADIENT true
#define NO_GRADIENT false
#define X(name, n_in, n_out, gradient) { #name, n_in, n_out, gradient },
    ATM_OPS(X)
#undef X
};

/* Multiply-adds of the implicit matrix product of a convolution whose smaller
 * side (the output of conv2d, the input of its transpose) is `image`. */
static double conv_macs(atm_tensor image, atm_tensor w)
{
    return (double)atm_rows(image) * (double)atm_count(w);
}

/* Recomputed for the backward pass, a convolution may have z alone. */
static atm_tensor conv2d_result(const atm_conv2d_args *a) { return atm_present(a->y) ? a->y : a->z; }

/* Products of one attention matrix [Lq, C] x [C, Lk], over the batch. */
static double attention_macs(atm_tensor q, atm_tensor k)
{
    return (double)atm_count(q) * (double)k.dim[1];
}

double atm_op_flops(atm_op op, const atm_op_args *a)
{
    switch (op) {
    case ATM_OP_linear:           return 2 * (double)atm_rows(a->linear.x) * (double)atm_count(a->linear.w);
    case ATM_OP_linear_dw:        return 2 * (double)atm_rows(a->linear_dw.x) * (double)atm_count(a->linear_dw.dw);
    case ATM_OP_conv2d:           return 2 * conv_macs(conv2d_result(&a->conv2d), a->conv2d.w);
    case ATM_OP_conv_transpose2d: return 2 * conv_macs(a->conv_transpose2d.x, a->conv_transpose2d.w);
    case ATM_OP_conv2d_dw:        return 2 * conv_macs(a->conv2d_dw.dy, a->conv2d_dw.dw);
    case ATM_OP_attention:        return 2 * 2 * attention_macs(a->attention.q, a->attention.k);
    case ATM_OP_attention_dx:     return 2 * 5 * attention_macs(a->attention_dx.q, a->attention_dx.k);
    default:                      return 0;
    }
}

double atm_op_bytes(atm_op op, const atm_op_args *a)
{
    double bytes = 0;
    for (int i = 0; i < atm_op_table[op].n_in + atm_op_table[op].n_out; i++)
        if (atm_present(a->t[i])) bytes += (double)atm_count(a->t[i]) * (double)atm_dtype_size(a->t[i].dtype);
    return bytes;
}
