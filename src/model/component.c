/* component.c - declaring a component's inputs and outputs; its outline. */
#include <limits.h>
#include <string.h>

#include "base/status.h"
#include "model/component.h"

const atm_component *atm_component_find(const char *name)
{
    for (int i = 0; i < atm_n_components; i++)
        if (strcmp(atm_components[i].name, name) == 0) return &atm_components[i];
    return NULL;
}

/* ------------------------------------------------------------------ inputs */

/* The first error stays; the plan is told too, so that nothing more is built. */
static void fail(atm_component_call *c)
{
    if (c->status == ATM_OK) c->status = ATM_E_DATA;
    atm_plan_fail(c->plan, "inputs do not fit");
}

static bool dim_fits(int64_t found, int wanted)
{
    return wanted < 0 ? found > 0 && found <= INT_MAX : found == wanted;
}

static bool shape_fits(const atm_file_tensor *t, int rank, const int *dim)
{
    bool fits = t->rank == rank;
    for (int i = 0; fits && i < rank; i++) fits = dim_fits(t->dim[i], dim[i]);
    return fits;
}

/* "[*, 8, *, *]" */
static const char *wanted_text(char text[128], int rank, const int *dim)
{
    size_t n = 0;
    for (int i = 0; i < rank; i++) {
        char number[16] = "*";
        if (dim[i] >= 0) snprintf(number, sizeof number, "%d", dim[i]);
        n += (size_t)snprintf(text + n, 128 - n, "%s%s", i ? ", " : "[", number);
    }
    snprintf(text + n, 128 - n, "]");
    return text;
}

static bool check_input(atm_component_call *c, const atm_file_tensor *t, const char *name, int rank,
                        const int *dim)
{
    char wanted[128], found[ATM_SHAPE_TEXT];
    if (t && shape_fits(t, rank, dim)) return true;
    if (c->status != ATM_OK) return false;
    wanted_text(wanted, rank, dim);
    if (t) atm_fail(ATM_E_DATA, "%s: input \"%s\" is %s; needed is %s", atm_tensor_file_path(c->file), name,
                    atm_shape_text(found, t->dim, t->rank), wanted);
    else atm_fail(ATM_E_DATA, "%s: there is no input \"%s\" %s", atm_tensor_file_path(c->file), name, wanted);
    fail(c);
    return false;
}

static bool is_listed(const char *const *list, const char *name)
{
    for (; list && *list; list++)
        if (strcmp(*list, name) == 0) return true;
    return false;
}

static atm_tensor declare(atm_component_call *c, const char *name, int rank, const int *dim)
{
    const int flags = is_listed(c->grad, name) ? ATM_INPUT_GRAD : ATM_INPUT_VARIES;
    if (c->n_inputs == ATM_COMPONENT_MAX_TENSORS) {
        atm_plan_fail(c->plan, "more than %d inputs", ATM_COMPONENT_MAX_TENSORS);
        return ATM_NONE;
    }
    const atm_tensor t = atm_input(c->plan, name, flags, rank, dim);
    c->input[c->n_inputs++] = (atm_named_tensor){ name, t };
    return t;
}

atm_tensor atm_component_input(atm_component_call *c, const char *name, int rank, const int *dim)
{
    int size[ATM_MAX_RANK];
    const atm_file_tensor *t = c->file ? atm_tensor_file_find(c->file, name) : NULL;
    if (c->file && !check_input(c, t, name, rank, dim)) return ATM_NONE;
    for (int i = 0; i < rank; i++) size[i] = t ? (int)t->dim[i] : dim[i] < 0 ? -dim[i] : dim[i];
    return declare(c, name, rank, size);
}

atm_tensor atm_component_optional(atm_component_call *c, const char *name, int rank, const int *dim)
{
    if (c->file && !atm_tensor_file_find(c->file, name)) return ATM_NONE;
    return atm_component_input(c, name, rank, dim);
}

void atm_component_output(atm_component_call *c, const char *name, atm_tensor t)
{
    if (c->n_outputs == ATM_COMPONENT_MAX_TENSORS) {
        atm_plan_fail(c->plan, "more than %d outputs", ATM_COMPONENT_MAX_TENSORS);
        return;
    }
    atm_output(c->plan, name, t);
    c->output[c->n_outputs++] = (atm_named_tensor){ name, t };
}

/* ------------------------------------------------------------------ outline */

atm_status atm_component_outline(atm_device *device, const atm_component *component, const atm_json *config,
                                 atm_plan **out)
{
    atm_status status = ATM_OK;
    atm_component_call call = { .config = config };
    TRY_RETURN(atm_plan_create(device, &call.plan));
    TRY(component->build(&call));
    *out = call.plan;
    return ATM_OK;
done:
    atm_plan_destroy(call.plan);
    return status;
}
