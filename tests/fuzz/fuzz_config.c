/* fuzz_config.c - any YAML: refused, or a configuration that prints and reads back the same. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "io/config.h"

typedef struct {
    int steps, kind;
    int64_t seed;
    double rate;
    bool verbose;
    atm_config_text name;
    atm_int_list channels;
    atm_int_table dilation;
} config;

static const char *const kinds[] = { "ddim", "dpm++", NULL };

static const atm_config_field field[] = {
    ATM_CONFIG_TEXT(config, name, "name", ""),
    ATM_CONFIG_INT(config, steps, "sampler.steps", 1, 1000, ""),
    ATM_CONFIG_ENUM(config, kind, "sampler.kind", kinds, ""),
    ATM_CONFIG_DOUBLE(config, rate, "sampler.rate", -1e300, 1e300, ""),
    ATM_CONFIG_INT64(config, seed, "seed", -0x1p63, 0x1p63, ""),
    ATM_CONFIG_INTS(config, channels, "unet.block_out_channels", 1, 8192, ""),
    ATM_CONFIG_TABLE(config, dilation, "vocoder.dilation", -9, 64, ""),
    ATM_CONFIG_BOOL(config, verbose, "verbose", ""),
};
enum { FIELDS = sizeof field / sizeof field[0] };

/* The bytes after a text's end are nobody's: blank them before comparing. */
static void normalise(config *c)
{
    size_t used = strlen(c->name);
    memset(c->name + used, 0, sizeof c->name - used);
    for (int i = c->channels.n; i < ATM_LIST_MAX; i++) c->channels.v[i] = 0;
    for (int r = 0; r < ATM_LIST_MAX; r++) {
        atm_int_list *row = &c->dilation.row[r];
        if (r >= c->dilation.n) row->n = 0;
        for (int i = row->n; i < ATM_LIST_MAX; i++) row->v[i] = 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static config c, again;
    char *text;
    memset(&c, 0, sizeof c);
    memset(&again, 0, sizeof again);
    c.steps = again.steps = 1;
    atm_status status = atm_config_parse((const char *)bytes, size, "fuzz", field, FIELDS, &c);
    check(status == ATM_OK || status == ATM_E_CONFIG);
    if (status != ATM_OK) return 0;
    check(atm_config_print(field, FIELDS, &c, &text) == ATM_OK);
    check(atm_config_parse(text, strlen(text), "printed", field, FIELDS, &again) == ATM_OK);
    free(text);
    normalise(&c);
    normalise(&again);
    check(memcmp(&c, &again, sizeof c) == 0);
    return 0;
}
