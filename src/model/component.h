/* component.h - each network alone: what `arttomus forward`, `inspect`, `init`
 * and the tests against the reference share.
 *
 * A component is a row of a table: a name, its folder in a model, and a function
 * that reads the configuration, declares inputs, appends the network to a plan
 * and declares outputs.  Inputs and outputs have the reference's names and
 * layouts (images [N, C, H, W]); the conversion to channels last is part of the
 * plan, so gradients come out in the reference's layout too.
 *
 * To add a component: a build function and a row in component_table.c:
 *
 *     static atm_status build_adapter(atm_component_call *c)
 *     {
 *         atm_adapter_config config;
 *         TRY_RETURN(atm_adapter_config_read(c->config, &config));
 *         atm_tensor x = atm_component_input(c, "image_embeds", ATM_DIMS(ATM_ANY(1), config.in_dim));
 *         atm_component_output(c, "tokens", atm_adapter(c->plan, &config, x));
 *         return ATM_OK;
 *     }
 */
#ifndef ATM_MODEL_COMPONENT_H
#define ATM_MODEL_COMPONENT_H

#include "io/json.h"
#include "model/params.h"
#include "plan/plan.h"

/* ------------------------------------------------------------------ rows */

enum { ATM_COMPONENT_MAX_TENSORS = 16 };

typedef struct {
    atm_plan *plan;
    const atm_json *config;             /* config.json of the folder */

    /* The rest belongs to component.c. */
    const atm_tensor_file *file;        /* where the inputs come from; NULL: nominal shapes */
    const char *const *grad;            /* names of inputs and "weight.GLOB"; NULL ends      */
    int n_inputs, n_outputs;
    atm_named_tensor input[ATM_COMPONENT_MAX_TENSORS], output[ATM_COMPONENT_MAX_TENSORS];
    atm_status status;
} atm_component_call;

/* A dimension that the inputs decide; `nominal` is used where there are none
 * (parameter lists, memory plans).  Plain dimensions must be met exactly. */
#define ATM_ANY(nominal) (-(nominal))

/* Declares an input in the reference's layout; its shape is that of the tensor
 * `name` in the inputs file.  An optional one that is not given is absent. */
atm_tensor atm_component_input(atm_component_call *c, const char *name, int rank, const int *dim);
atm_tensor atm_component_optional(atm_component_call *c, const char *name, int rank, const int *dim);
void       atm_component_output(atm_component_call *c, const char *name, atm_tensor t);

typedef struct {
    const char *name;                   /* "unet": arttomus forward NAME           */
    const char *folder;                 /* inside a model folder: "unet"           */
    const char *help;                   /* one line                                */
    atm_status (*build)(atm_component_call *c);
    atm_weight_rules rules;
} atm_component;

/* The table (component_table.c); NULL when there is no such name. */
extern const atm_component atm_components[];
extern const int atm_n_components;
const atm_component *atm_component_find(const char *name);

/* ------------------------------------------------------------------ using */

typedef struct {
    const char *component;              /* a name of the table                                  */
    const char *weights;                /* folder with config.json and weights                  */
    const char *inputs, *outputs;       /* safetensors; outputs are in the device's dtype       */
    const char *const *grad;            /* input names and "weight.GLOB", NULL ends; NULL: none */
    atm_plan_options options;
} atm_component_request;

/* Runs one component on tensors of a file.  With `grad`, cotangents are the
 * inputs "grad_output.NAME" (an output without one counts as zero), and the
 * outputs "grad.NAME" and "grad.weight.TENSOR" are written beside the results.
 * ATM_E_USAGE: unknown component, input or weight name; ATM_E_NOINPUT,
 * ATM_E_DATA, ATM_E_CONFIG: as the files deserve. */
atm_status atm_component_run(atm_device *device, const atm_component_request *request);

/* Every output of a plan that has run, into a safetensors file. */
atm_status atm_component_write_outputs(atm_plan *plan, const char *component, const char *path);

/* A plan of the component at nominal sizes, without weights and not finished:
 * for lists of parameters, counts, and (finished with shapes_only) memory.
 * Destroy *out with atm_plan_destroy. */
atm_status atm_component_outline(atm_device *device, const atm_component *component, const atm_json *config,
                                 atm_plan **out);

#endif
