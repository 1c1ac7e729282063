/* rival_onednn.c - oneDNN 2.x primitives, each in the layout oneDNN prefers;
 * reordering weights and activations to it happens before the clock starts. */
#include <dnnl.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "rivals.h"

struct rival_problem {
    dnnl_primitive_t primitive;
    dnnl_memory_t x, w, y;
    dnnl_memory_desc_t y_plain;
};

static dnnl_engine_t engine;
static dnnl_stream_t stream;

static void start(void)
{
    if (engine) return;
    dnnl_engine_create(&engine, dnnl_cpu, 0);
    dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
}

static dnnl_memory_desc_t describe(int rank, const dnnl_dim_t *dim, dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t d;
    dnnl_memory_desc_init_by_tag(&d, rank, dim, dnnl_f32, tag);
    return d;
}

static dnnl_memory_t empty(const dnnl_memory_desc_t *d)
{
    dnnl_memory_t m = NULL;
    dnnl_memory_create(&m, d, engine, DNNL_MEMORY_ALLOCATE);
    return m;
}

static void reorder(dnnl_memory_t from, const dnnl_memory_desc_t *from_desc, dnnl_memory_t to, const dnnl_memory_desc_t *to_desc)
{
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t r;
    dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, from }, { DNNL_ARG_TO, to } };
    dnnl_reorder_primitive_desc_create(&pd, from_desc, engine, to_desc, engine, NULL);
    dnnl_primitive_create(&r, pd);
    dnnl_primitive_execute(r, stream, 2, args);
    dnnl_stream_wait(stream);
    dnnl_primitive_destroy(r);
    dnnl_primitive_desc_destroy(pd);
}

/* `data`, laid out as `plain`, in the layout the primitive asks for. */
static dnnl_memory_t filled(dnnl_primitive_desc_t pd, dnnl_query_t what, const dnnl_memory_desc_t *plain, void *data)
{
    const dnnl_memory_desc_t *wanted = dnnl_primitive_desc_query_md(pd, what, 0);
    dnnl_memory_t m = empty(wanted), from = NULL;
    dnnl_memory_create(&from, plain, engine, data);
    reorder(from, plain, m, wanted);
    dnnl_memory_destroy(from);
    return m;
}

static rival_problem *finish(const dnnl_op_desc_t op, dnnl_memory_desc_t x, void *x_data, dnnl_memory_desc_t w, void *w_data,
                             dnnl_memory_desc_t y)
{
    dnnl_primitive_desc_t pd;
    if (dnnl_primitive_desc_create(&pd, op, NULL, engine, NULL) != dnnl_success) return NULL;
    rival_problem *p = calloc(1, sizeof *p);
    dnnl_primitive_create(&p->primitive, pd);
    p->x = filled(pd, dnnl_query_src_md, &x, x_data);
    p->w = filled(pd, dnnl_query_weights_md, &w, w_data);
    p->y = empty(dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0));
    p->y_plain = y;
    dnnl_primitive_desc_destroy(pd);
    return p;
}

static rival_problem *prepare_conv(const atm_conv2d_args *a)
{
    dnnl_dim_t xd[] = { a->x.dim[0], a->x.dim[3], a->x.dim[1], a->x.dim[2] };
    dnnl_dim_t wd[] = { a->w.dim[0], a->w.dim[1], a->w.dim[2], a->w.dim[3] };
    dnnl_dim_t yd[] = { a->y.dim[0], a->y.dim[3], a->y.dim[1], a->y.dim[2] };
    dnnl_dim_t stride[] = { a->s.stride_h, a->s.stride_w }, dil[] = { a->s.dil_h - 1, a->s.dil_w - 1 };
    dnnl_dim_t before[] = { a->s.pad_top, a->s.pad_left }, after[2];
    for (int i = 0; i < 2; i++)     /* what the output size says about the far sides */
        after[i] = (yd[2 + i] - 1) * stride[i] + (dil[i] + 1) * (wd[2 + i] - 1) + 1 - xd[2 + i] - before[i];
    dnnl_memory_desc_t x_any = describe(4, xd, dnnl_format_tag_any), w_any = describe(4, wd, dnnl_format_tag_any),
                       y_any = describe(4, yd, dnnl_format_tag_any);
    dnnl_convolution_desc_t op;
    if (dnnl_dilated_convolution_forward_desc_init(&op, dnnl_forward_inference, dnnl_convolution_direct, &x_any, &w_any,
                                                   NULL, &y_any, stride, dil, before, after) != dnnl_success) return NULL;
    return finish(&op, describe(4, xd, dnnl_nhwc), a->x.data, describe(4, wd, dnnl_oihw), a->w.data,
                  describe(4, yd, dnnl_nhwc));
}

static rival_problem *prepare_linear(const atm_linear_args *a)
{
    dnnl_dim_t m = (dnnl_dim_t)atm_rows(a->x), k = atm_last_dim(a->x), n = atm_last_dim(a->y);
    dnnl_dim_t xd[] = { m, k }, wd[] = { k, n }, yd[] = { m, n };
    dnnl_memory_desc_t x_plain = describe(2, xd, dnnl_ab), y_plain = describe(2, yd, dnnl_ab);
    dnnl_memory_desc_t w_any = describe(2, wd, dnnl_format_tag_any);
    dnnl_matmul_desc_t op;
    if (dnnl_matmul_desc_init(&op, &x_plain, &w_any, NULL, &y_plain) != dnnl_success) return NULL;
    return finish(&op, x_plain, a->x.data, describe(2, wd, a->transposed ? dnnl_ab : dnnl_ba), a->w.data, y_plain);
}

static rival_problem *prepare(atm_op op, const atm_op_args *args)
{
    start();
    if (op == ATM_OP_conv2d && args->conv2d.act == ATM_ACT_NONE) return prepare_conv(&args->conv2d);
    if (op == ATM_OP_linear && args->linear.act == ATM_ACT_NONE) return prepare_linear(&args->linear);
    return NULL;
}

static void run(rival_problem *p)
{
    dnnl_exec_arg_t args[] = { { DNNL_ARG_SRC, p->x }, { DNNL_ARG_WEIGHTS, p->w }, { DNNL_ARG_DST, p->y } };
    dnnl_primitive_execute(p->primitive, stream, 3, args);
    dnnl_stream_wait(stream);
}

static void result(rival_problem *p, float *y)
{
    const dnnl_memory_desc_t *d;
    dnnl_memory_t to;
    dnnl_memory_get_memory_desc(p->y, &d);
    dnnl_memory_create(&to, &p->y_plain, engine, y);
    reorder(p->y, d, to, &p->y_plain);
    dnnl_memory_destroy(to);
}

static void release(rival_problem *p)
{
    dnnl_primitive_destroy(p->primitive);
    dnnl_memory_destroy(p->x);
    dnnl_memory_destroy(p->w);
    dnnl_memory_destroy(p->y);
    free(p);
}

const rival rival_onednn = { "oneDNN", prepare, run, result, release, omp_set_num_threads };
