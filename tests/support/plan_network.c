#include "support/plan_network.h"

#include "base/philox.h"

static atm_tensor input(plan_network *n, const char *name, int flags, int rank, const int *dim)
{
    return n->in[n->n_in++] = atm_input(n->p, name, flags, rank, dim);
}

static void begin(plan_network *n) { if (n->segments) atm_segment_begin(n->p); }
static void end(plan_network *n)   { if (n->segments) atm_segment_end(n->p); }

static atm_tensor dense(plan_network *n, const char *name, atm_tensor x, int out, atm_linear_options o)
{
    atm_scope(n->p, "%s", name);
    atm_tensor w = atm_param(n->p, "weight", ATM_DIMS(out, atm_last_dim(x)));
    atm_tensor y = atm_linear(n->p, x, w, atm_param(n->p, "bias", ATM_DIMS(out)), o);
    atm_scope_end(n->p);
    return y;
}

static atm_tensor normed(plan_network *n, const char *name, atm_tensor x)
{
    atm_scope(n->p, "%s", name);
    atm_tensor w = atm_param(n->p, "weight", ATM_DIMS(atm_last_dim(x)));
    atm_tensor y = atm_layer_norm(n->p, x, w, atm_param(n->p, "bias", ATM_DIMS(atm_last_dim(x))), 1e-5);
    atm_scope_end(n->p);
    return y;
}

/* Names y and the gradients of everything as outputs. */
static void differentiate(plan_network *n, atm_tensor y)
{
    atm_tensor dy = input(n, "dy", 0, y.rank, y.dim);
    atm_output(n->p, "y", y);
    atm_plan_backward(n->p, 1, &y, &dy);
    for (int i = 0; i < n->n_in; i++) atm_output(n->p, "input", atm_grad(n->p, n->in[i]));
    for (int i = 0; i < atm_plan_n_params(n->p); i++) {
        atm_named_tensor w = atm_plan_param_at(n->p, i);
        atm_output(n->p, w.name, atm_grad(n->p, w.t));
    }
}

/* ------------------------------------------------------------------ UNet-like */

static atm_tensor resblock(plan_network *n, const char *name, atm_tensor x, atm_tensor e)
{
    atm_plan *p = n->p;
    int c = atm_last_dim(x);
    atm_scope(p, "%s", name);
    begin(n);
    atm_tensor w = atm_param(p, "norm.weight", ATM_DIMS(c)), b = atm_param(p, "norm.bias", ATM_DIMS(c));
    atm_tensor h = atm_group_norm(p, x, w, b, 2, 1e-5, ATM_ACT_SILU);
    w = atm_param(p, "conv.weight", ATM_DIMS(c, c, 3, 3));
    b = atm_param(p, "conv.bias", ATM_DIMS(c));
    atm_tensor shift = dense(n, "time", e, c, (atm_linear_options){ 0 });
    h = atm_conv2d(p, h, w, b, (atm_conv_options){ .pad = 1, .act = ATM_ACT_SILU, .residual = x,
                                                   .per_sample = shift });
    end(n);
    atm_scope_end(p);
    return h;
}

static atm_tensor cross_attention(plan_network *n, atm_tensor x, atm_tensor context)
{
    int c = atm_last_dim(x);
    begin(n);
    atm_tensor h = normed(n, "norm", x);
    atm_tensor q = dense(n, "to_q", h, c, (atm_linear_options){ 0 });
    atm_tensor k = dense(n, "to_k", context, c, (atm_linear_options){ 0 });
    atm_tensor v = dense(n, "to_v", context, c, (atm_linear_options){ 0 });
    h = atm_attention(n->p, q, k, v, (atm_attention_options){ .heads = 2 });
    h = dense(n, "to_out", h, c, (atm_linear_options){ .residual = x });
    atm_tensor f = atm_geglu(n->p, dense(n, "ff.in", h, 4 * c, (atm_linear_options){ 0 }));
    h = dense(n, "ff.out", f, c, (atm_linear_options){ .residual = h });
    end(n);
    return h;
}

void plan_build_unet(plan_network *n)
{
    atm_plan *p = n->p;
    atm_tensor x = input(n, "x", ATM_INPUT_GRAD, ATM_DIMS(2, 6, 4, 4));
    atm_tensor t = input(n, "time", 0, ATM_DIMS(2));
    atm_tensor context = input(n, "context", ATM_INPUT_STATIC | ATM_INPUT_GRAD, ATM_DIMS(2, 3, 5));
    atm_tensor e = atm_activate(p, atm_timestep_embedding(p, t, 6, true, 0), ATM_ACT_SILU, 0);
    atm_tensor skip = resblock(n, "down", x, e);
    atm_tensor h = atm_conv2d(p, skip, atm_param(p, "down.w", ATM_DIMS(4, 4, 3, 3)), ATM_NONE,
                              (atm_conv_options){ .pad = 1, .stride = 2 });
    h = atm_reshape(p, h, ATM_DIMS(2, 6, 4));
    h = atm_reshape(p, cross_attention(n, h, context), ATM_DIMS(2, 3, 2, 4));
    h = atm_upsample(p, resblock(n, "mid", h, e), 6, 4);
    h = resblock(n, "up", atm_concat(p, h, skip, -1), e);
    differentiate(n, atm_slice(p, h, 3, 1, 5));
}

/* ------------------------------------------------------------------ GPT-like */

/* One more vector a turn: causal attention over all so far, the last one appended. */
void plan_build_gpt(plan_network *n)
{
    atm_plan *p = n->p;
    enum { C = 8, TURNS = 4 };
    atm_tensor sequence = input(n, "x", ATM_INPUT_GRAD, ATM_DIMS(2, 2, C));
    for (int turn = 0; turn < TURNS; turn++) {
        begin(n);
        int length = sequence.dim[1];
        atm_tensor h = normed(n, "norm", sequence);
        atm_tensor qkv = dense(n, "qkv", h, 3 * C, (atm_linear_options){ 0 });
        atm_tensor q = atm_slice(p, qkv, 2, 0, C), k = atm_slice(p, qkv, 2, C, C);
        h = atm_attention(p, q, k, atm_slice(p, qkv, 2, 2 * C, C),
                          (atm_attention_options){ .heads = 2, .causal = true });
        h = dense(n, "out", h, C, (atm_linear_options){ .act = ATM_ACT_GELU_TANH, .residual = sequence });
        sequence = atm_concat(p, sequence, atm_slice(p, h, 1, length - 1, 1), 1);
        end(n);
    }
    differentiate(n, atm_slice(p, sequence, 1, 2, TURNS));
}

/* ------------------------------------------------------------------ random */

enum { ROWS = 6, COLS = 8, MOST = 40 };

typedef struct { plan_network *n; atm_tensor made[MOST + 8]; int n_made; uint32_t drawn; } sketch;

static uint32_t draw(sketch *s, uint32_t below)
{
    atm_rng rng = { .seed = 11, .stream = ATM_STREAM_TEST, .sample = s->n->seed };
    return atm_uint32(rng, s->drawn++) % below;
}

/* Any tensor so far, the recent ones more often. */
static atm_tensor any(sketch *s)
{
    uint32_t a = draw(s, (uint32_t)s->n_made), b = draw(s, (uint32_t)s->n_made);
    return s->made[a > b ? a : b];
}

static const char *any_name(sketch *s)
{
    static const char *const names[] = { "p0", "p1", "p2", "p3", "p4" };        /* some are used twice */
    return names[draw(s, 5)];
}

static atm_tensor transposed_view(sketch *s)
{
    atm_tensor t = atm_reshape(s->n->p, any(s), ATM_DIMS(1, COLS, ROWS));
    return atm_reshape(s->n->p, atm_transpose(s->n->p, t), ATM_DIMS(ROWS, COLS));
}

static atm_tensor random_attention(sketch *s)
{
    atm_tensor q = atm_reshape(s->n->p, any(s), ATM_DIMS(1, ROWS, COLS));
    atm_tensor k = atm_reshape(s->n->p, any(s), ATM_DIMS(1, ROWS, COLS));
    atm_tensor y = atm_attention(s->n->p, q, k, k, (atm_attention_options){ .heads = 2 });
    return atm_reshape(s->n->p, y, ATM_DIMS(ROWS, COLS));
}

static atm_tensor swapped_halves(sketch *s)
{
    atm_plan *p = s->n->p;
    atm_tensor x = any(s);
    return atm_concat(p, atm_slice(p, x, 1, 3, COLS - 3), atm_slice(p, any(s), 1, 0, 3), 1);
}

static atm_tensor random_step(sketch *s)
{
    atm_plan *p = s->n->p;
    atm_linear_options o = { .act = draw(s, 2) ? ATM_ACT_SILU : ATM_ACT_NONE };
    switch (draw(s, 9)) {
    case 0:  return atm_add(p, any(s), any(s));
    case 1:  return atm_add_scaled(p, any(s), 0.5, any(s), -2);
    case 2:  return atm_activate(p, any(s), ATM_ACT_TANH, 0);
    case 3:  return normed(s->n, "norm", any(s));
    case 4:  return transposed_view(s);
    case 5:  return random_attention(s);
    case 6:  return swapped_halves(s);
    case 7:  o.residual = any(s); return dense(s->n, any_name(s), any(s), COLS, o);
    default: return dense(s->n, any_name(s), any(s), COLS, o);
    }
}

void plan_build_random(plan_network *n)
{
    sketch s = { .n = n };
    s.made[s.n_made++] = input(n, "x", ATM_INPUT_GRAD, ATM_DIMS(ROWS, COLS));
    s.made[s.n_made++] = input(n, "still", ATM_INPUT_STATIC | ATM_INPUT_GRAD, ATM_DIMS(ROWS, COLS));
    s.made[s.n_made++] = input(n, "frozen", ATM_INPUT_STATIC, ATM_DIMS(ROWS, COLS));
    bool open = false;
    for (int i = 0, steps = 4 + (int)draw(&s, MOST - 8); i < steps; i++) {
        if (draw(&s, 4) == 0) {
            if (open) end(n); else begin(n);
            open = !open;
        }
        atm_tensor made = random_step(&s);
        s.made[s.n_made++] = made;
    }
    if (open) end(n);
    atm_output(n->p, "middle", s.made[s.n_made / 2]);
    differentiate(n, atm_activate(n->p, s.made[s.n_made - 1], ATM_ACT_TANH, 0));
}
