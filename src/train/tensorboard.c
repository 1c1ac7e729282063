/* tensorboard.c - see tensorboard.h. */
#include "train/tensorboard.h"

#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "data/bytes.h"
#include "io/append_file.h"

struct atm_tensorboard { atm_append_file file; };

/* ------------------------------------------------------------------ protocol buffers
 * A field is varint(number << 3 | wire type), then its value.  Memory that runs out is
 * remembered in the message and told when it is written. */

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

typedef struct { atm_bytes bytes; atm_status status; } message;

static void put(message *m, const void *data, size_t n)
{
    if (m->status == ATM_OK) m->status = atm_bytes_append(&m->bytes, data, n);
}

static void put_little(message *m, uint64_t value, int width)
{
    unsigned char byte[8];
    for (int i = 0; i < width; i++) byte[i] = (unsigned char)(value >> 8 * i);
    put(m, byte, (size_t)width);
}

static void put_varint(message *m, uint64_t value)
{
    for (; value > 127; value >>= 7) put_little(m, (value & 127) | 128, 1);
    put_little(m, value, 1);
}

static void put_key(message *m, int field, int wire) { put_varint(m, (uint64_t)field << 3 | (uint64_t)wire); }

static void put_int(message *m, int field, uint64_t value)
{
    put_key(m, field, WIRE_VARINT);
    put_varint(m, value);
}

static void put_double(message *m, int field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(m, field, WIRE_64);
    put_little(m, bits, 8);
}

static void put_float(message *m, int field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(m, field, WIRE_32);
    put_little(m, bits, 4);
}

static void put_bytes(message *m, int field, const void *data, size_t n)
{
    put_key(m, field, WIRE_BYTES);
    put_varint(m, n);
    put(m, data, n);
}

static void put_text(message *m, int field, const char *text) { put_bytes(m, field, text, strlen(text)); }

/* Takes `inner` over. */
static void put_message(message *m, int field, message *inner)
{
    if (inner->status != ATM_OK) m->status = inner->status;
    put_bytes(m, field, inner->bytes.data, inner->bytes.size);
    atm_bytes_free(&inner->bytes);
}

/* ------------------------------------------------------------------ records and events */

static uint32_t mask(uint32_t crc) { return (crc >> 15 | crc << 17) + 0xa282ead8u; }

static void put_checked(message *m, const void *data, size_t n)
{
    put(m, data, n);
    put_little(m, mask(atm_crc32c(0, data, n)), 4);
}

/* Takes `event` over. */
static atm_status write_record(atm_tensorboard *board, message *event)
{
    message length = { 0 }, record = { .status = event->status };
    put_little(&length, event->bytes.size, 8);
    put_checked(&record, length.bytes.data, length.bytes.size);
    put_checked(&record, event->bytes.data, event->bytes.size);
    if (length.status != ATM_OK) record.status = length.status;
    const atm_status status = record.status != ATM_OK ? record.status
                            : atm_append_write(&board->file, record.bytes.data, record.bytes.size);
    atm_bytes_free(&length.bytes);
    atm_bytes_free(&record.bytes);
    atm_bytes_free(&event->bytes);
    return status;
}

static message event_at(uint64_t step)
{
    struct timespec now;
    message event = { 0 };
    clock_gettime(CLOCK_REALTIME, &now);
    put_double(&event, 1, (double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
    put_int(&event, 2, step);
    return event;
}

static atm_status write_summary(atm_tensorboard *board, uint64_t step, message *summary)
{
    message event = event_at(step);
    put_message(&event, 5, summary);
    return write_record(board, &event);
}

/* One value: `content` as its field `field`, taken over. */
static atm_status write_value(atm_tensorboard *board, uint64_t step, const char *tag, int field,
                              message *content, message *metadata)
{
    message value = { 0 }, summary = { 0 };
    put_text(&value, 1, tag);
    put_message(&value, field, content);
    if (metadata) put_message(&value, 9, metadata);
    put_message(&summary, 1, &value);
    return write_summary(board, step, &summary);
}

/* ------------------------------------------------------------------ opening */

static atm_status write_version(atm_tensorboard *board)
{
    message event = event_at(0);
    put_text(&event, 3, "brain.Event:2");
    return write_record(board, &event);
}

/* SessionLog START: the reader drops what it has of this step and later ones. */
static atm_status write_start(atm_tensorboard *board, uint64_t first_step)
{
    message event = event_at(first_step), session = { 0 };
    put_int(&session, 1, 1);
    put_message(&event, 7, &session);
    return write_record(board, &event);
}

/* TensorBoard reads files in the order of their names: ten digits of seconds come first. */
static atm_status create_file(atm_tensorboard *board, const char *folder)
{
    static atomic_uint counter;
    char host[64] = "host", path[PATH_MAX];
    gethostname(host, sizeof host - 1);
    const int n = snprintf(path, sizeof path, "%s/events.out.tfevents.%010lld.%s.%ld.%u", folder,
                           (long long)time(NULL), host, (long)getpid(), atomic_fetch_add(&counter, 1));
    if (n >= (int)sizeof path) return atm_fail(ATM_E_IO, "%s: the path is too long", folder);
    return atm_append_open(path, 0, &board->file);
}

atm_status atm_tensorboard_open(const char *folder, uint64_t first_step, atm_tensorboard **out)
{
    atm_status status = ATM_OK;
    atm_tensorboard *board = calloc(1, sizeof *board);
    if (!board) return atm_fail(ATM_E_MEMORY, "no memory for TensorBoard's events");
    TRY(create_file(board, folder));
    TRY(write_version(board));
    TRY(write_start(board, first_step));
    *out = board;
    return ATM_OK;
done:
    atm_tensorboard_close(board);
    return status;
}

void atm_tensorboard_close(atm_tensorboard *board)
{
    if (!board) return;
    atm_append_close(&board->file);
    free(board);
}

atm_status atm_tensorboard_sync(atm_tensorboard *board) { return atm_append_sync(&board->file); }

/* ------------------------------------------------------------------ what can be shown */

atm_status atm_tensorboard_scalars(atm_tensorboard *board, uint64_t step, const char *group, int n,
                                   const char *const *name, const double *value)
{
    message summary = { 0 };
    for (int i = 0; i < n; i++) {
        char tag[128];
        message entry = { 0 };
        snprintf(tag, sizeof tag, "%s/%s", group, name[i]);
        put_text(&entry, 1, tag);
        put_float(&entry, 2, (float)value[i]);
        put_message(&summary, 1, &entry);
    }
    return write_summary(board, step, &summary);
}

/* Width, height and colour type stand at fixed places behind the signature. */
enum { PNG_WIDTH = 16, PNG_HEIGHT = 20, PNG_COLOUR = 25, PNG_HEADER = 26 };

static uint64_t big_endian(const unsigned char *p)
{
    return (uint64_t)p[0] << 24 | (uint64_t)p[1] << 16 | (uint64_t)p[2] << 8 | p[3];
}

atm_status atm_tensorboard_image(atm_tensorboard *board, uint64_t step, const char *tag,
                                 const void *png, size_t bytes)
{
    static const unsigned char channels[] = { 1, 0, 3, 3, 2, 0, 4 };        /* by PNG's colour type */
    const unsigned char *p = png;
    if (bytes < PNG_HEADER || memcmp(p, "\x89PNG\r\n\x1a\n", 8) || p[PNG_COLOUR] >= sizeof channels)
        return atm_fail(ATM_E_DATA, "%s: the picture is not a PNG", tag);
    message image = { 0 };
    put_int(&image, 1, big_endian(p + PNG_HEIGHT));
    put_int(&image, 2, big_endian(p + PNG_WIDTH));
    put_int(&image, 3, channels[p[PNG_COLOUR]]);
    put_bytes(&image, 4, png, bytes);
    return write_value(board, step, tag, 4, &image, NULL);
}

atm_status atm_tensorboard_audio(atm_tensorboard *board, uint64_t step, const char *tag, const void *wav,
                                 size_t bytes, int frames, int rate)
{
    message audio = { 0 };
    put_float(&audio, 1, (float)rate);
    put_int(&audio, 2, 1);
    put_int(&audio, 3, (uint64_t)frames);
    put_bytes(&audio, 4, wav, bytes);
    put_text(&audio, 5, "audio/wav");
    return write_value(board, step, tag, 6, &audio, NULL);
}

atm_status atm_tensorboard_text(atm_tensorboard *board, uint64_t step, const char *tag, const char *text)
{
    message tensor = { 0 }, shape = { 0 }, dim = { 0 }, metadata = { 0 }, plugin = { 0 };
    put_int(&dim, 1, 1);
    put_message(&shape, 2, &dim);
    put_int(&tensor, 1, 7);
    put_message(&tensor, 2, &shape);
    put_text(&tensor, 8, text);
    put_text(&plugin, 1, "text");
    put_message(&metadata, 1, &plugin);
    return write_value(board, step, tag, 8, &tensor, &metadata);
}
