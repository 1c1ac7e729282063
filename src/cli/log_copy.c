/* log_copy.c - see log_copy.h. */
#include "cli/log_copy.h"

#include <stdbool.h>
#include <stdio.h>

static struct {
    bool wanted;
    json_t *early;                      /* lines before there is a file */
    FILE *file;
} copy;

static void write_line(const json_t *line)
{
    json_dumpf(line, copy.file, JSON_COMPACT);
    fputc('\n', copy.file);
    fflush(copy.file);
}

void cli_log_copy_begin(void)
{
    copy.wanted = true;
    copy.early = json_array();
}

void cli_log_copy_line(json_t *line)
{
    if (copy.file && line) write_line(line);
    else if (copy.wanted && !copy.file && line) json_array_append(copy.early, line);
    json_decref(line);
}

void cli_log_copy_to(const char *path)
{
    size_t i;
    json_t *line;
    if (copy.file || !(copy.file = fopen(path, "ae"))) return;
    setvbuf(copy.file, NULL, _IOFBF, BUFSIZ);
    json_array_foreach(copy.early, i, line) write_line(line);
    json_array_clear(copy.early);
}

void cli_log_copy_end(void)
{
    if (copy.file) fclose(copy.file);
    json_decref(copy.early);
    copy.file = NULL;
    copy.early = NULL;
    copy.wanted = false;
}
