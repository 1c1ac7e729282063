/* config_print.c - a resolved configuration back as YAML. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory_stream.h"
#include "io/config.h"
#include "io/yaml.h"

static void print_int(FILE *out, const atm_config_field *field, const void *in)
{
    (void)field;
    fprintf(out, "%d", *(const int *)in);
}

static void print_int64(FILE *out, const atm_config_field *field, const void *in)
{
    (void)field;
    fprintf(out, "%lld", (long long)*(const int64_t *)in);
}

static void print_double(FILE *out, const atm_config_field *field, const void *in)
{
    char text[ATM_YAML_DOUBLE_TEXT];
    (void)field;
    atm_yaml_print_double(text, *(const double *)in);
    fputs(text, out);
}

static void print_bool(FILE *out, const atm_config_field *field, const void *in)
{
    (void)field;
    fputs(*(const bool *)in ? "true" : "false", out);
}

/* The code point at *p, which moves past it. */
static unsigned next_code(const char **p)
{
    const unsigned char *u = (const unsigned char *)*p;
    const int more = u[0] >= 0xf0 ? 3 : u[0] >= 0xe0 ? 2 : u[0] >= 0xc0 ? 1 : 0;
    unsigned code = more ? u[0] & (0x3fu >> more) : u[0];
    int n = 1;
    for (; n <= more && (u[n] & 0xc0) == 0x80; n++) code = code << 6 | (u[n] & 0x3fu);
    *p += n;
    return code;
}

/* Double quotes: the one style of YAML that can hold any character.  Beyond ASCII all
 * are escaped: readers refuse some (U+0081) and fold others (U+2028) as line breaks. */
static void print_text(FILE *out, const atm_config_field *field, const void *in)
{
    (void)field;
    fputc('"', out);
    for (const char *p = in; *p; ) {
        const unsigned code = next_code(&p);
        if (code > 0xffff) fprintf(out, "\\U%08x", code);
        else if (code > 0xff) fprintf(out, "\\u%04x", code);
        else if (code < 0x20 || code > 0x7e) fprintf(out, "\\x%02x", code);
        else fprintf(out, code == '"' || code == '\\' ? "\\%c" : "%c", (int)code);
    }
    fputc('"', out);
}

static void print_enum(FILE *out, const atm_config_field *field, const void *in)
{
    fputs(field->names[*(const int *)in], out);
}

static void print_ints(FILE *out, const atm_config_field *field, const void *in)
{
    const atm_int_list *list = in;
    (void)field;
    fputc('[', out);
    for (int i = 0; i < list->n; i++) fprintf(out, i ? ", %d" : "%d", list->v[i]);
    fputc(']', out);
}

static void print_table(FILE *out, const atm_config_field *field, const void *in)
{
    const atm_int_table *table = in;
    fputc('[', out);
    for (int i = 0; i < table->n; i++) {
        if (i) fputs(", ", out);
        print_ints(out, field, &table->row[i]);
    }
    fputc(']', out);
}

static void (*const print[])(FILE *out, const atm_config_field *field, const void *in) = {
    [ATM_CONFIG_TYPE_INT]    = print_int,    [ATM_CONFIG_TYPE_INT64] = print_int64,
    [ATM_CONFIG_TYPE_DOUBLE] = print_double, [ATM_CONFIG_TYPE_BOOL]  = print_bool,
    [ATM_CONFIG_TYPE_TEXT]   = print_text,   [ATM_CONFIG_TYPE_ENUM]  = print_enum,
    [ATM_CONFIG_TYPE_INTS]   = print_ints,   [ATM_CONFIG_TYPE_TABLE] = print_table,
};

/* Length of the groups, "a.b." of "a.b.c", that both keys begin with. */
static size_t common_groups(const char *a, const char *b)
{
    size_t common = 0;
    for (size_t i = 0; a[i] && a[i] == b[i]; i++)
        if (a[i] == '.') common = i + 1;
    return common;
}

/* The lines of the groups that `key` opens. */
static void print_groups(FILE *out, const char *before, const char *key)
{
    const size_t common = common_groups(before, key);
    int depth = 0;
    for (const char *word = key, *dot; (dot = strchr(word, '.')); word = dot + 1, depth++)
        if ((size_t)(dot - key) >= common) fprintf(out, "%*s%.*s:\n", 2 * depth, "", (int)(dot - word), word);
}

/* The last word, as deep as its groups. */
static void print_name(FILE *out, const char *key)
{
    int depth = 0;
    const char *word = key;
    for (const char *dot; (dot = strchr(word, '.')); word = dot + 1) depth++;
    fprintf(out, "%*s%s: ", 2 * depth, "", word);
}

/* ------------------------------------------------------------------ the whole */

enum { COMMENT_COLUMN = 52 };

enum { WORTH_TELLING = 100000 };         /* bounds that nobody meets are left out */

/* "   # help (1 to 1000)" */
static void print_comment(FILE *out, const atm_config_field *field, long column)
{
    fprintf(out, "%*s # %s", column < COMMENT_COLUMN ? (int)(COMMENT_COLUMN - column) : 0, "", field->help);
    if (field->max > field->min && field->max <= WORTH_TELLING)
        fprintf(out, " (%.10g to %.10g)", field->min, field->max);
}

static void print_field(FILE *out, const char *before, const atm_config_field *field, const void *in,
                        bool explained)
{
    print_groups(out, before, field->key);
    const long start = ftell(out);
    print_name(out, field->key);
    print[field->type](out, field, (const char *)in + field->offset);
    if (explained) print_comment(out, field, ftell(out) - start);
    fputc('\n', out);
}

static atm_status print_all(const atm_config_field *field, size_t n, const void *in, bool explained,
                            char **out)
{
    size_t bytes;
    *out = NULL;
    FILE *stream = atm_memory_stream(out, &bytes);
    if (!stream) return atm_fail(ATM_E_MEMORY, "no memory to print a configuration");
    for (size_t i = 0; i < n; i++) print_field(stream, i ? field[i - 1].key : "", &field[i], in, explained);
    if (fclose(stream) == 0) return ATM_OK;
    return atm_fail(ATM_E_MEMORY, "no memory to print a configuration");
}

atm_status atm_config_print(const atm_config_field *field, size_t n, const void *in, char **out)
{
    return print_all(field, n, in, false, out);
}

atm_status atm_config_print_explained(const atm_config_field *field, size_t n, const void *in, char **out)
{
    return print_all(field, n, in, true, out);
}
