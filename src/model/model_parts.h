/* model_parts.h - the table of a model folder's parts, shared by reading (model_dir.c)
 * and writing (model_init.c).  To add a part: a member of atm_model_config and a row. */
#ifndef ATM_MODEL_MODEL_PARTS_H
#define ATM_MODEL_MODEL_PARTS_H

#include "model/model_dir.h"

enum { ATM_PART_COMPONENTS = 2 };

typedef struct {
    const char *folder, *config;            /* "unet", "config.json"                              */
    const char *weights;                    /* name that `init` writes; NULL: a part without      */
    const char *library, *class_name;       /* model_index.json's words                           */
    atm_status (*read)(const atm_json *json, atm_model_config *out);
    json_t *(*json)(const atm_model_config *config);
    const char *component[ATM_PART_COMPONENTS];     /* of component_table.c: they share the weights */
    bool (*absent)(const atm_model_config *config); /* a part that a model may lack; NULL: never */
} atm_model_part_info;

extern const atm_model_part_info atm_model_parts[];
extern const int atm_n_model_parts;

enum { ATM_PATH_BYTES = 4096 };

/* "DIR/FOLDER/FILE" into `path`; FILE may be NULL.  ATM_E_USAGE when it is too long. */
atm_status atm_model_path(char path[ATM_PATH_BYTES], const char *dir, const char *folder, const char *file);

#endif
