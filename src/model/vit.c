/* ImageBind's vision trunk (Girdhar et al., CVPR 2023; facebookresearch/ImageBind).
 *
 *     x = [class | W2d * pixels] + positions             W2d = W[:,:,0] + W[:,:,1]
 *     embeds = what imagebind.c makes of x               with a norm before the blocks
 *
 * Details that have caused bugs:
 *  - The stem is a Conv3d over the image repeated to two identical frames.  Adding
 *    its two taps gives the same numbers from one frame for half the work; the sum
 *    depends on weights alone, so it happens once, in the prologue.
 *  - All norms have eps 1e-6.
 *  - The published image embedding is the normalised one; vision has no logit scale. */
#include "model/vit.h"

#include "model/encoder.h"
#include "model/imagebind.h"

/* [C, 3, 2, k, k] -> [C, 3, k, k] */
static atm_tensor fold_frames(atm_plan *p, atm_tensor w, int c, int k)
{
    const atm_tensor taps = atm_reshape(p, w, ATM_DIMS(3 * c, 2, k * k));
    const atm_tensor sum = atm_add(p, atm_slice(p, taps, 1, 0, 1), atm_slice(p, taps, 1, 1, 1));
    return atm_reshape(p, sum, ATM_DIMS(c, 3, k, k));
}

static atm_tensor stem(atm_plan *p, const atm_image_encoder_config *c, atm_tensor pixels)
{
    const int width = c->hidden_size, k = c->patch_size, side = c->image_size / k;
    atm_scope(p, "modality_preprocessors.vision");
    const atm_tensor w = atm_param(p, "rgbt_stem.proj.1.weight", ATM_DIMS(width, 3, 2, k, k));
    const atm_tensor first = atm_param(p, "cls_token", ATM_DIMS(1, 1, width));
    const atm_tensor places = atm_param(p, "pos_embedding_helper.pos_embed",
                                        ATM_DIMS(1, 1 + side * side, width));
    const atm_tensor x = atm_nn_embed_patches(p, pixels, fold_frames(p, w, width, k), first, places);
    atm_scope_end(p);
    return x;
}

atm_tensor atm_vit(atm_plan *p, const atm_image_encoder_config *c, atm_tensor pixels)
{
    return atm_imagebind(p, stem(p, c, pixels), (atm_imagebind_trunk){
        .modality = "vision", .layers = c->num_hidden_layers, .heads = c->num_attention_heads,
        .intermediate = c->intermediate_size, .projection_dim = c->projection_dim,
        .eps = (double)c->layer_norm_eps, .norm_before = true });
}
