#include "io/tensor_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/safetensors.h"
#include "io/tensor_set.h"
#include "io/torchfile.h"

struct atm_tensor_file {
    char *path;
    const char *format;
    const unsigned char *map;       /* NULL for an empty file */
    size_t size;
    atm_tensor_set set;
};

static bool is_zip(const unsigned char *p, size_t size) { return size >= 4 && memcmp(p, "PK\3\4", 4) == 0; }
static bool is_pickle(const unsigned char *p, size_t size) { return size >= 2 && p[0] == 0x80 && p[1] <= 5; }
static bool is_safetensors(const unsigned char *p, size_t size) { return size >= 9 && p[8] == '{'; }

/* The first that fits is taken; a pickle's second byte is its protocol. */
static const struct {
    const char *name;
    bool (*fits)(const unsigned char *bytes, size_t size);
    atm_status (*parse)(const void *bytes, size_t size, atm_tensor_set *set);
} format[] = {
    { "safetensors",  is_safetensors, atm_safetensors_parse },
    { "torch zip",    is_zip,         atm_torch_zip_parse },
    { "torch pickle", is_pickle,      atm_torch_legacy_parse },
};
enum { FORMATS = sizeof format / sizeof format[0] };

static atm_status parse(atm_tensor_file *file)
{
    for (size_t i = 0; i < FORMATS; i++)
        if (format[i].fits(file->map, file->size)) {
            file->format = format[i].name;
            TRY_RETURN(format[i].parse(file->map, file->size, &file->set));
            return atm_tensor_set_seal(&file->set);
        }
    return atm_fail(ATM_E_DATA, "neither safetensors nor a torch file");
}

static atm_status map_file(atm_tensor_file *file, int fd)
{
    struct stat info;
    if (fstat(fd, &info) < 0) return atm_fail(ATM_E_NOINPUT, "%s", strerror(errno));
    if (!S_ISREG(info.st_mode)) return atm_fail(ATM_E_NOINPUT, "not a regular file");
    if (info.st_size == 0) return ATM_OK;
    file->size = (size_t)info.st_size;
    void *map = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) return atm_fail(ATM_E_NOINPUT, "cannot map: %s", strerror(errno));
    file->map = map;
    return ATM_OK;
}

static atm_status load(atm_tensor_file *file)
{
    atm_status status = ATM_OK;
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return atm_fail(ATM_E_NOINPUT, "%s", strerror(errno));
    TRY(map_file(file, fd));
    TRY(parse(file));
done:
    close(fd);
    return status;
}

atm_status atm_tensor_file_open(const char *path, atm_tensor_file **out)
{
    atm_tensor_file *file = calloc(1, sizeof *file);
    if (!file || !(file->path = strdup(path))) {
        free(file);
        return atm_fail(ATM_E_MEMORY, "%s: no memory", path);
    }
    atm_status status = load(file);
    if (status != ATM_OK) {
        atm_tensor_file_close(file);
        return atm_fail_in(status, "%s", path);
    }
    *out = file;
    return ATM_OK;
}

void atm_tensor_file_close(atm_tensor_file *file)
{
    if (!file) return;
    atm_tensor_set_free(&file->set);
    if (file->map) munmap((void *)(uintptr_t)file->map, file->size);
    free(file->path);
    free(file);
}

const char *atm_tensor_file_path(const atm_tensor_file *file) { return file->path; }
const char *atm_tensor_file_format(const atm_tensor_file *file) { return file->format; }
size_t atm_tensor_file_count(const atm_tensor_file *file) { return file->set.n; }
size_t atm_tensor_file_metadata_count(const atm_tensor_file *file) { return file->set.n_metadata; }

const atm_file_tensor *atm_tensor_file_at(const atm_tensor_file *file, size_t i)
{
    return &file->set.tensor[i];
}

atm_text_pair atm_tensor_file_metadata_at(const atm_tensor_file *file, size_t i)
{
    return file->set.metadata[i];
}

const atm_file_tensor *atm_tensor_file_find(const atm_tensor_file *file, const char *name)
{
    return atm_tensor_set_find(&file->set, name);
}

const char *atm_tensor_file_metadata(const atm_tensor_file *file, const char *key)
{
    return atm_tensor_set_metadata(&file->set, key);
}

void atm_tensor_file_release_pages(const atm_tensor_file *file, const void *data, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), map = (uintptr_t)file->map, begin = (uintptr_t)data;
    if (begin < map || begin - map > file->size || bytes > file->size - (begin - map)) return;
    uintptr_t first = (begin + page - 1) / page * page, last = (begin + bytes) / page * page;
    if (first < last) madvise((void *)first, last - first, MADV_DONTNEED);
}

const char *atm_shape_text(char text[ATM_SHAPE_TEXT], const int64_t *dim, int rank)
{
    int at = snprintf(text, ATM_SHAPE_TEXT, "[");
    for (int i = 0; i < rank && i < ATM_FILE_RANK_MAX; i++)
        at += snprintf(text + at, (size_t)(ATM_SHAPE_TEXT - at), i ? ",%lld" : "%lld", (long long)dim[i]);
    snprintf(text + at, (size_t)(ATM_SHAPE_TEXT - at), "]");
    return text;
}
