/* backend.c - the whole backend as one compilation unit, included by one file
 * for each instruction set (avx512.c, avx2.c, portable.c), which defines
 * ATM_CPU_BACKEND, the object's name, and ATM_CPU_NAME.  Everything else is
 * static, so the copies do not meet.  The order below is that of use. */
#include "kernels/cpu/cpu.h"

#include "kernels/device.h"
#include "base/status.h"

#include "kernels/cpu/simd/vmath.h"
#include "kernels/cpu/simd/micro.h"
#include "kernels/cpu/simd/parallel.h"

#include "kernels/cpu/simd/pack.c"
#include "kernels/cpu/simd/gemm.c"
#include "kernels/cpu/simd/linear.c"
#include "kernels/cpu/simd/conv.c"
#include "kernels/cpu/simd/conv_columns.c"
#include "kernels/cpu/simd/dw.c"
#include "kernels/cpu/simd/attention.c"
#include "kernels/cpu/simd/attention_dx.c"
#include "kernels/cpu/simd/reduce.c"
#include "kernels/cpu/simd/group_norm.c"
#include "kernels/cpu/simd/layer_norm.c"
#include "kernels/cpu/simd/elementwise.c"
#include "kernels/cpu/simd/move.c"
#include "kernels/cpu/simd/small.c"
#include "kernels/cpu/simd/loss.c"

const atm_backend ATM_CPU_BACKEND = {
    .name = ATM_CPU_NAME,
    .dtype = ATM_F32,
    .kernel = {
        [ATM_OP_linear]             = { prepare_linear, run_linear },
        [ATM_OP_linear_dw]          = { prepare_linear_dw, run_linear_dw },
        [ATM_OP_conv2d]             = { prepare_conv2d, run_conv2d },
        [ATM_OP_conv2d_dw]          = { prepare_conv2d_dw, run_conv2d_dw },
        [ATM_OP_conv_transpose2d]   = { prepare_conv_transpose2d, run_conv_transpose2d },
        [ATM_OP_reduce_rows]        = { prepare_reduce_rows, run_reduce_rows },
        [ATM_OP_group_norm]         = { prepare_group_norm, run_group_norm },
        [ATM_OP_group_norm_dx]      = { prepare_group_norm_dx, run_group_norm_dx },
        [ATM_OP_layer_norm]         = { NULL, run_layer_norm },
        [ATM_OP_layer_norm_dx]      = { NULL, run_layer_norm_dx },
        [ATM_OP_layer_norm_dw]      = { prepare_layer_norm_dw, run_layer_norm_dw },
        [ATM_OP_attention]          = { prepare_attention, run_attention },
        [ATM_OP_attention_dx]       = { prepare_attention_dx, run_attention_dx },
        [ATM_OP_geglu]              = { NULL, run_geglu },
        [ATM_OP_geglu_dx]           = { NULL, run_geglu_dx },
        [ATM_OP_act]                = { NULL, run_act },
        [ATM_OP_act_dx]             = { NULL, run_act_dx },
        [ATM_OP_add]                = { NULL, run_add },
        [ATM_OP_affine]             = { NULL, run_affine },
        [ATM_OP_upsample]           = { NULL, run_upsample },
        [ATM_OP_upsample_dx]        = { NULL, run_upsample_dx },
        [ATM_OP_concat]             = { NULL, run_concat },
        [ATM_OP_slice]              = { NULL, run_slice },
        [ATM_OP_slice_dx]           = { NULL, run_slice_dx },
        [ATM_OP_transpose]          = { NULL, run_transpose },
        [ATM_OP_gather]             = { NULL, run_gather },
        [ATM_OP_gather_dx]          = { NULL, run_gather_dx },
        [ATM_OP_copy]               = { NULL, run_copy },
        [ATM_OP_timestep_embedding] = { NULL, run_timestep_embedding },
        [ATM_OP_l2_normalize]       = { NULL, run_l2_normalize },
        [ATM_OP_l2_normalize_dx]    = { NULL, run_l2_normalize_dx },
        [ATM_OP_mix]                = { NULL, run_mix },
        [ATM_OP_mix_dx]             = { NULL, run_mix_dx },
        [ATM_OP_magnitude]          = { NULL, run_magnitude },
        [ATM_OP_magnitude_dx]       = { NULL, run_magnitude_dx },
        [ATM_OP_posterior]          = { NULL, run_posterior },
        [ATM_OP_posterior_dx]       = { NULL, run_posterior_dx },
        [ATM_OP_mse]                = { prepare_loss, run_mse },
        [ATM_OP_mse_dx]             = { NULL, run_mse_dx },
        [ATM_OP_l1]                 = { prepare_loss, run_l1 },
        [ATM_OP_l1_dx]              = { NULL, run_l1_dx },
        [ATM_OP_kl]                 = { prepare_loss, run_kl },
        [ATM_OP_kl_dx]              = { NULL, run_kl_dx },
        [ATM_OP_spectral_convergence]    = { prepare_spectral_convergence, run_spectral_convergence },
        [ATM_OP_spectral_convergence_dx] = { NULL, run_spectral_convergence_dx },
        [ATM_OP_cross_entropy]      = { prepare_cross_entropy, run_cross_entropy },
        [ATM_OP_cross_entropy_dx]   = { NULL, run_cross_entropy_dx },
        [ATM_OP_sampler_step]       = { NULL, run_sampler_step },
    }
};
