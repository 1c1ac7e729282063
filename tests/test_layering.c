/* test_layering.c - who may include whom, and who may print or end the program.
 *
 *     base <- kernels (ops.h, device.h) <- plan        base <- io <- data
 *     plan, io <- model        model, data <- generate, train, eval <- serve, cli
 *
 * The sources are read as text; a new layer is a row of the table. */
#include "support/support.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INNER     " base kernels plan io data model arttomus "
#define OUTER     INNER " comm generate prepare train eval "

static const struct { const char *folder, *may_include; } layer[] = {
    { "src/base",     " base arttomus " },
    { "kernels",      " base kernels " },
    { "kernels/ref",  " base kernels " },
    { "kernels/cpu",  " base kernels " },
    { "kernels/cpu/simd", " base kernels " },
    { "kernels/cuda", " base kernels " },
    { "src/plan",     " base kernels plan " },
    { "src/io",       " base io " },
    { "src/data",     " base io data " },
    { "src/model",    " base kernels plan io model " },
    { "src/generate", INNER " generate " },
    { "src/comm",     " base comm " },
    { "src/comm/mpi", " base comm " },
    { "src/prepare",  INNER " prepare " },
    { "src/train",    INNER " comm train " },
    { "src/eval",     INNER " eval " },
    { "src/serve",    OUTER " serve " },
    { "src/cli",      OUTER " serve cli " },
};
enum { N_LAYERS = sizeof layer / sizeof *layer };

static int n_files;

static void complain(int *failures, const char *path, int line, const char *what, const char *text)
{
    print_error("%s:%d: %s: %.*s\n", path, line, what, (int)strcspn(text, "\n"), text);
    ++*failures;
}

/* ------------------------------------------------------------------ rules for one line */

/* Whether `first/...` is among the words of `allowed`. */
static bool may_include(const char *allowed, const char *header)
{
    char word[80];
    snprintf(word, sizeof word, " %.*s ", (int)strcspn(header, "/\""), header);
    return strchr(header, '/') && strstr(allowed, word);
}

/* Of the kernels only kernels/NAME.h is known outside: the backends are reached
 * through a table.  The command `doctor` looks at the machine's variants. */
static bool is_private_kernel_header(const char *folder, const char *header)
{
    bool outside = strncmp(folder, "kernels", 7) != 0 && strcmp(folder, "src/cli") != 0;
    return outside && strncmp(header, "kernels/", 8) == 0 && strchr(header + 8, '/');
}

static void check_include(int k, const char *path, int number, const char *line, int *failures)
{
    const char *quote;
    if (line[0] != '#' || !strstr(line, "include") || (quote = strchr(line, '"')) == NULL) return;
    if (!may_include(layer[k].may_include, quote + 1) || is_private_kernel_header(layer[k].folder, quote + 1))
        complain(failures, path, number, "includes outward", line);
}

/* Ending the program and the standard streams belong to src/cli. */
static void check_words(int k, const char *path, int number, const char *line, int *failures)
{
    static const char *const forbidden[] = {
        "printf(", "vprintf(", "puts(", "putchar(", "perror(", "exit(", "_exit(", "abort(", "assert(",
        "stdout", "stderr",
    };
    if (strcmp(layer[k].folder, "src/cli") == 0) return;
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        for (const char *at = line; (at = strstr(at, forbidden[i])) != NULL; at++) {
            char before = at == line ? ' ' : at[-1];
            if (!isalnum((unsigned char)before) && before != '_')
                complain(failures, path, number, "only src/cli may print or end the program", line);
        }
}

/* ------------------------------------------------------------------ files */

/* Blanks comments and the text of string literals, but not the names of #include. */
static void strip(char *s)
{
    enum { CODE, COMMENT, LINE_COMMENT, STRING } in = CODE;
    bool directive = false;
    for (; *s; s++) {
        if (*s == '\n') { directive = s[1] == '#'; if (in == LINE_COMMENT) in = CODE; continue; }
        if (in == COMMENT && s[0] == '*' && s[1] == '/') { in = CODE; s[0] = s[1] = ' '; }
        else if (in == STRING && *s == '\\' && s[1]) { s[0] = ' '; *++s = ' '; }
        else if (in == STRING && *s == '"') in = CODE;
        else if (in != CODE) *s = ' ';
        else if (s[0] == '/' && s[1] == '*') { in = COMMENT; *s++ = ' '; *s = ' '; }
        else if (s[0] == '/' && s[1] == '/') { in = LINE_COMMENT; *s = ' '; }
        else if (*s == '"' && !directive && (s[-1] != '\'')) in = STRING;
    }
}

/* The text with a newline before it, so that every line begins after one. */
static char *read_text(const char *path)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t room = 1 << 20;
    char *text = calloc(1, room);
    assert_non_null(text);
    text[0] = '\n';
    assert_true(fread(text + 1, 1, room - 2, f) < room - 2);
    fclose(f);
    return text;
}

static void check_file(int k, const char *path, int *failures)
{
    char *text = read_text(path), *rest = NULL;
    int number = 0;
    strip(text);
    for (char *line = text + 1, *end; line; line = rest) {
        end = strchr(line, '\n');
        rest = end ? end + 1 : NULL;
        if (end) *end = '\0';
        number++;
        check_include(k, path, number, line, failures);
        check_words(k, path, number, line, failures);
    }
    free(text);
    n_files++;
}

static bool is_source(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && strstr(" .c .h .inc .cu .cuh ", dot);
}

static void check_layer(int k, int *failures)
{
    char folder[4096], path[8192];
    snprintf(folder, sizeof folder, "%s/%s", ATM_SOURCE_DIR, layer[k].folder);
    DIR *d = opendir(folder);
    if (!d) return;                                             /* a layer that is still to come */
    for (struct dirent *e; (e = readdir(d)) != NULL; ) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_type == DT_REG && is_source(e->d_name)) check_file(k, path, failures);
    }
    closedir(d);
}

static void test_sources(void **state)
{
    int failures = 0;
    (void)state;
    for (int k = 0; k < N_LAYERS; k++) check_layer(k, &failures);
    assert_true(n_files > 20);
    assert_int_equal(failures, 0);
}

/* A folder without a row would escape the check. */
static void check_folders(const char *parent, int *failures)
{
    char folder[4096], name[600];
    snprintf(folder, sizeof folder, "%s/%s", ATM_SOURCE_DIR, parent);
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL; ) {
        bool known = e->d_name[0] == '.' || e->d_type != DT_DIR;
        snprintf(name, sizeof name, "%s/%s", parent, e->d_name);
        for (int k = 0; k < N_LAYERS; k++) known |= strcmp(name, layer[k].folder) == 0;
        if (!known) complain(failures, name, 0, "a folder without a row in this test", "");
    }
    closedir(d);
}

static void test_folders(void **state)
{
    int failures = 0;
    (void)state;
    check_folders("src", &failures);
    check_folders("kernels", &failures);
    check_folders("kernels/cpu", &failures);
    assert_int_equal(failures, 0);
}

/* The rules themselves: what they must refuse, and what not. */
static int refusals(const char *folder, const char *code)
{
    int failures = 0, k = 0;
    char text[256];
    while (k < N_LAYERS && strcmp(layer[k].folder, folder) != 0) k++;
    assert_true(k < N_LAYERS);
    snprintf(text, sizeof text, "\n%s", code);
    strip(text);
    check_include(k, "(expected)", 0, text + 1, &failures);
    check_words(k, "(expected)", 0, text + 1, &failures);
    return failures;
}

static void test_rules(void **state)
{
    (void)state;
    assert_int_equal(refusals("src/base", "#include \"plan/plan.h\""), 1);
    assert_int_equal(refusals("src/plan", "#include \"kernels/ref/ref.inc\""), 1);
    assert_int_equal(refusals("src/plan", "#include \"neighbour.h\""), 1);
    assert_int_equal(refusals("src/data", "    exit(1);"), 1);
    assert_int_equal(refusals("src/data", "    fprintf(stderr, text);"), 1);
    assert_int_equal(refusals("src/plan", "#include \"kernels/ops.h\""), 0);
    assert_int_equal(refusals("src/plan", "    fprintf(to, text); /* not printf( */"), 0);
    assert_int_equal(refusals("src/data", "    error_exit(\"abort()\");"), 0);
    assert_int_equal(refusals("src/cli", "    printf(\"x\"); exit(0);"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules), cmocka_unit_test(test_folders), cmocka_unit_test(test_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
