#include "support/support.h"
#include "support/media.h"
#include "io/read_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libsndfile 1.2.0 forgets libvorbis's state when an OGG file's headers are cut or
 * broken: 6 KB a file, and nothing that we could free. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:vorbis_info_init\n"; }

uint32_t noise_at(uint32_t index)
{
    uint32_t h = index * 2654435761u;
    h = (h ^ h >> 15) * 2246822519u;
    h = (h ^ h >> 13) * 3266489917u;
    return h ^ h >> 16;
}

float noise_float_at(uint32_t index)
{
    return (float)((double)(noise_at(index) >> 8) / (1 << 23) - 1.0);
}

uint64_t fnv1a(const void *data, size_t size)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < size; i++) hash = (hash ^ ((const uint8_t *)data)[i]) * 0x100000001B3u;
    return hash;
}

static const char *media_path(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "data/%s", name);
    return fixture_path(path);
}

atm_bytes media(const char *name)
{
    char *file;
    size_t size;
    if (atm_read_file(media_path(name), (size_t)1 << 24, &file, &size) != ATM_OK) fail_msg("%s", atm_error());
    return (atm_bytes){ (uint8_t *)file, size, size };
}

float *media_floats(const char *name, size_t n)
{
    atm_bytes bytes = media(name);
    assert_int_equal(bytes.size, n * sizeof(float));
    return (float *)(void *)bytes.data;
}

void each_line(const char *index, void (*use)(const char *line))
{
    FILE *file = fopen(media_path(index), "r");
    assert_non_null(file);
    char line[256];
    int used = 0;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#' || line[0] == '\0') continue;
        use(line);
        used++;
    }
    fclose(file);
    assert_true(used > 0);
}

/* The copy is malloc'd at its exact size, so that a read past the end is seen. */
static void try_mutant(const atm_bytes *file, uint32_t seed, void (*read)(const void *data, size_t size))
{
    const size_t size = noise_at(seed) % 4 ? file->size : noise_at(seed + 1) % file->size;
    uint8_t *copy = malloc(size + (size == 0));
    assert_non_null(copy);
    memcpy(copy, file->data, size);
    for (uint32_t i = 0; size && i < 1 + noise_at(seed + 2) % 8; i++)
        copy[noise_at(seed + 3 + 2 * i) % size] = (uint8_t)noise_at(seed + 4 + 2 * i);
    read(copy, size);
    free(copy);
}

void each_mutant(const char *name, void (*read)(const void *data, size_t size))
{
    const char *wanted = getenv("ATM_MUTANTS");
    const uint32_t mutants = wanted ? (uint32_t)strtoul(wanted, NULL, 10) : 1000;
    atm_bytes file = media(name);
    for (uint32_t i = 0; file.size && i < mutants; i++) try_mutant(&file, 100 * i, read);
    atm_bytes_free(&file);
}
