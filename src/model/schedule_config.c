#include "model/schedule_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"
#include "model/config_fields.h"

static const atm_field fields[] = {
    ATM_FIELD_INT(atm_schedule_config, num_train_timesteps, 2, 1000000, ATM_REQUIRED),
    ATM_FIELD_DOUBLE(atm_schedule_config, beta_start, 0, 1, ATM_REQUIRED),
    ATM_FIELD_DOUBLE(atm_schedule_config, beta_end, 0, 1, ATM_REQUIRED),
    ATM_FIELD_ENUM(atm_schedule_config, beta_schedule, atm_beta_schedule_names, ATM_REQUIRED),
    ATM_FIELD_ENUM(atm_schedule_config, prediction_type, atm_prediction_names, ATM_OPTIONAL),
    ATM_FIELD_ENUM(atm_schedule_config, timestep_spacing, atm_spacing_names, ATM_OPTIONAL),
    ATM_FIELD_INT(atm_schedule_config, steps_offset, 0, 1000000, ATM_OPTIONAL),
    ATM_FIELD_BOOL(atm_schedule_config, set_alpha_to_one, ATM_OPTIONAL),
    ATM_FIELD_FIXED("clip_sample", "false"),
    ATM_FIELD_FIXED("thresholding", "false"),
    ATM_FIELD_FIXED("rescale_betas_zero_snr", "false"),
    ATM_FIELD_FIXED("trained_betas", "null"),
};

/* What diffusers' DDIMScheduler takes where its file says nothing. */
static const atm_schedule_config defaults = {
    .prediction_type = ATM_PREDICT_EPSILON, .timestep_spacing = ATM_SPACING_LEADING, .set_alpha_to_one = true
};

atm_status atm_schedule_config_read(const atm_json *json, atm_schedule_config *out)
{
    *out = defaults;
    TRY_RETURN(atm_fields_read(json, NULL, fields, ATM_N_FIELDS(fields), out));
    atm_status status = atm_schedule_check(out);
    return status == ATM_OK ? ATM_OK : atm_fail_in(status, "%s", json->path);
}

json_t *atm_schedule_config_json(const atm_schedule_config *config)
{
    json_t *object = json_pack("{s:s}", "_class_name", "DDIMScheduler");
    atm_fields_write(object, fields, ATM_N_FIELDS(fields), config);
    return object;
}

/* ------------------------------------------------------------------ the component */

/* A float tensor of the file as doubles, owned by the caller. */
static atm_status take(const atm_tensor_file *file, const char *name, const atm_file_tensor **tensor,
                       double **out)
{
    const atm_file_tensor *t = atm_tensor_file_find(file, name);
    if (!t) return atm_fail(ATM_E_NOINPUT, "%s: no tensor '%s'", atm_tensor_file_path(file), name);
    if (!atm_dtype_is_float(t->dtype))
        return atm_fail(ATM_E_DATA, "%s: '%s' is %s, not a float type", atm_tensor_file_path(file), name,
                        atm_dtype_name(t->dtype));
    const size_t n = t->bytes / atm_dtype_size(t->dtype);
    *out = malloc(n * sizeof **out + 1);
    if (!*out) return atm_fail(ATM_E_MEMORY, "no memory for '%s'", name);
    atm_convert(*out, ATM_F64, t->data, t->dtype, n);
    *tensor = t;
    return ATM_OK;
}

/* Is `outer` [steps] + `inner`'s shape? */
static bool stacks(const atm_file_tensor *outer, const atm_file_tensor *inner)
{
    return outer->rank == inner->rank + 1 &&
           memcmp(outer->dim + 1, inner->dim, sizeof inner->dim[0] * (size_t)inner->rank) == 0;
}

static atm_status write_trajectory(const char *path, const atm_schedule *schedule,
                                   const atm_file_tensor *shape, const double *trajectory)
{
    const size_t bytes = sizeof(int64_t) * (size_t)schedule->steps;
    int64_t *timesteps = malloc(bytes);
    if (!timesteps) return atm_fail(ATM_E_MEMORY, "no memory for %d timesteps", schedule->steps);
    for (int i = 0; i < schedule->steps; i++) timesteps[i] = schedule->row[i].timestep;
    atm_file_tensor tensor[] = {
        { .name = "trajectory", .dtype = ATM_F64, .rank = shape->rank, .data = trajectory },
        { .name = "timesteps", .dtype = ATM_I64, .rank = 1, .dim = { schedule->steps }, .data = timesteps,
          .bytes = bytes },
    };
    memcpy(tensor[0].dim, shape->dim, sizeof shape->dim);
    tensor[0].bytes = shape->bytes / atm_dtype_size(shape->dtype) * sizeof *trajectory;
    atm_status status = atm_safetensors_write(path, tensor, 2, NULL, 0);
    free(timesteps);
    return status;
}

static atm_status check_shapes(const atm_tensor_file *file, const atm_file_tensor *sample, const char *name,
                               const atm_file_tensor *stack, int steps)
{
    if (stacks(stack, sample) && stack->dim[0] == steps) return ATM_OK;
    char a[ATM_SHAPE_TEXT], b[ATM_SHAPE_TEXT];
    return atm_fail(ATM_E_DATA, "%s: '%s' is %s, expected %d steps of the sample's %s",
                    atm_tensor_file_path(file), name, atm_shape_text(a, stack->dim, stack->rank), steps,
                    atm_shape_text(b, sample->dim, sample->rank));
}

static atm_status read_folder(const char *folder, atm_schedule_config *out)
{
    char path[4096];
    atm_json json = { 0 };
    snprintf(path, sizeof path, "%s/scheduler_config.json", folder);
    TRY_RETURN(atm_json_load(path, &json));
    atm_status status = atm_schedule_config_read(&json, out);
    atm_json_free(&json);
    return status;
}

atm_status atm_schedule_forward(const atm_schedule_request *request)
{
    atm_status status = ATM_OK;
    atm_schedule_config config;
    atm_schedule schedule = { 0 };
    atm_tensor_file *file = NULL;
    const atm_file_tensor *sample = NULL, *output = NULL, *extra = NULL;
    double *x = NULL, *e = NULL, *noise = NULL, *trajectory = NULL;
    TRY(read_folder(request->folder, &config));
    TRY(atm_tensor_file_open(request->inputs, &file));
    TRY(take(file, "sample", &sample, &x));
    TRY(take(file, "model_output", &output, &e));
    const int steps = request->steps ? request->steps : output->rank ? (int)output->dim[0] : 0;
    TRY(check_shapes(file, sample, "model_output", output, steps));
    TRY(atm_schedule_make(&config, request->sampler, steps, request->eta, &schedule));
    if (schedule.uses_noise) {
        TRY(take(file, "variance_noise", &extra, &noise));
        TRY(check_shapes(file, sample, "variance_noise", extra, steps));
    }
    const size_t n = sample->bytes / atm_dtype_size(sample->dtype);
    trajectory = malloc(n * (size_t)steps * sizeof *trajectory + 1);
    if (!trajectory) TRY(atm_fail(ATM_E_MEMORY, "no memory for a trajectory of %d steps", steps));
    atm_schedule_run(&schedule, n, x, e, noise, trajectory);
    TRY(write_trajectory(request->outputs, &schedule, output, trajectory));
done:
    free(x);
    free(e);
    free(noise);
    free(trajectory);
    atm_schedule_free(&schedule);
    atm_tensor_file_close(file);
    return status;
}
