#include "support/bytes.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/support.h"

void bytes_put(bytes *b, const void *data, size_t n)
{
    if (b->n + n > b->capacity) {
        b->capacity = 2 * (b->n + n) + 64;
        b->p = realloc(b->p, b->capacity);
        assert_non_null(b->p);
    }
    if (n) memcpy(b->p + b->n, data, n);
    b->n += n;
}

void bytes_text(bytes *b, const char *text) { bytes_put(b, text, strlen(text)); }

void bytes_little(bytes *b, uint64_t value, int width)
{
    for (int i = 0; i < width; i++) {
        unsigned char byte = (unsigned char)(i < 8 ? value >> (8 * i) : 0);
        bytes_put(b, &byte, 1);
    }
}

void bytes_free(bytes *b)
{
    free(b->p);
    *b = (bytes){ 0 };
}

void bytes_safetensors(bytes *b, const char *header, size_t n)
{
    bytes_little(b, strlen(header), 8);
    bytes_text(b, header);
    for (size_t i = 0; i < n; i++) bytes_little(b, i, 1);
}

static char scratch[4096];

const char *scratch_make(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%s/atm-test-XXXXXX", base && *base ? base : "/tmp");
    assert_non_null(mkdtemp(scratch));
    return scratch;
}

const char *scratch_path(const char *name)
{
    static char path[8][4200];
    static int next;
    char *out = path[next++ % 8];
    snprintf(out, sizeof path[0], "%s/%s", scratch, name);
    return out;
}

/* Calls `each` on every entry of the scratch folder. */
static int for_each(int (*each)(const char *path))
{
    int n = 0;
    DIR *folder = opendir(scratch);
    assert_non_null(folder);
    for (const struct dirent *e; (e = readdir(folder)); ) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        n++;
        if (each) each(scratch_path(e->d_name));
    }
    closedir(folder);
    return n;
}

int scratch_count(void) { return for_each(NULL); }

void scratch_remove(void)
{
    for_each(remove);
    assert_int_equal(rmdir(scratch), 0);
}

void write_bytes(const char *path, const void *data, size_t n)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

bytes read_bytes(const char *path)
{
    bytes b = { 0 };
    char block[4096];
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    for (size_t n; (n = fread(block, 1, sizeof block, in)) > 0; ) bytes_put(&b, block, n);
    fclose(in);
    return b;
}
