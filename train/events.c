/* events.c - see events.h */
#include "train/events.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct ss_events {
    FILE *f;
    char *path;
    off_t whole; /* bytes that a flush wrote */
};

uint32_t ss_crc32c(const void *data, size_t n)
{
    /* polynomial 0x82f63b78, reflected; four bits at a time */
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    const unsigned char *p = data;
    uint32_t c = ~0u;

    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        c = table[c & 15] ^ c >> 4;
        c = table[c & 15] ^ c >> 4;
    }
    return ~c;
}

static uint32_t masked_crc(const void *data, size_t n)
{
    const uint32_t c = ss_crc32c(data, n);

    return (c >> 15 | c << 17) + 0xa282ead8u;
}

static void put_fixed(ss_str *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        ss_str_addn(b, (const char[]){(char)(v >> 8 * i & 0xff)}, 1);
}

static void put_varint(ss_str *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        put_fixed(b, (v & 0x7f) | 0x80, 1);
    put_fixed(b, v, 1);
}

/* How a value is written; follows the field's number in its key. */
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

static void put_key(ss_str *b, int field, int kind)
{
    put_varint(b, (uint64_t)(field << 3 | kind));
}

static void put_double(ss_str *b, int field, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    put_key(b, field, FIXED64);
    put_fixed(b, bits, 8);
}

static void put_float(ss_str *b, int field, double v)
{
    const float f = (float)v;
    uint32_t bits;

    memcpy(&bits, &f, sizeof bits);
    put_key(b, field, FIXED32);
    put_fixed(b, bits, 4);
}

static void put_bytes(ss_str *b, int field, const char *data, size_t n)
{
    put_key(b, field, BYTES);
    put_varint(b, n);
    ss_str_addn(b, data, n);
}

/* Puts a field that is a message itself, and releases the message. */
static void put_message(ss_str *b, int field, ss_str *inside)
{
    put_bytes(b, field, inside->s ? inside->s : "", inside->len);
    b->failed |= inside->failed;
    ss_str_release(inside);
}

/* Writes an event as one record and releases it. */
static ss_code write_event(ss_events *ev, ss_str *event, ss_err *e)
{
    ss_str record = {0};
    ss_code rc = SS_OK;

    put_fixed(&record, event->len, 8);
    if (!record.failed)
        put_fixed(&record, masked_crc(record.s, 8), 4);
    ss_str_addn(&record, event->s, event->len);
    put_fixed(&record, masked_crc(event->s, event->len), 4);
    if (event->failed || record.failed)
        rc = ss_no_memory(e, ev->path);
    else if (fwrite(record.s, 1, record.len, ev->f) != record.len)
        rc = ss_fail(e, SS_IO, "%s: %s", ev->path, strerror(errno));
    ss_str_release(&record);
    ss_str_release(event);
    return rc;
}

ss_code ss_events_open(const char *folder, double wall_time, ss_events **out, ss_err *e)
{
    static const char version[] = "brain.Event:2";
    ss_events *ev = ss_calloc(1, sizeof *ev);
    ss_str path = {0}, event = {0};
    ss_code rc = SS_OK;

    ss_str_addf(&path, "%s/events.out.tfevents.%010.0f.%ld", folder, wall_time, (long)getpid());
    if (!ev || !(ev->path = ss_str_detach(&path)))
        rc = ss_no_memory(e, folder);
    else if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        rc = ss_fail(e, SS_IO, "%s: %s", folder, strerror(errno));
    else if (!(ev->f = fopen(ev->path, "abe")))
        rc = ss_fail(e, SS_IO, "%s: %s", ev->path, strerror(errno));
    ss_str_release(&path);
    if (rc == SS_OK) {
        put_double(&event, 1, wall_time);
        put_bytes(&event, 3, version, sizeof version - 1);
        rc = write_event(ev, &event, e);
    }
    if (rc != SS_OK)
        ss_events_close(ev, NULL);
    else
        *out = ev;
    return rc;
}

/* Writes the event that a value of a step makes; releases the value. */
static ss_code write_value(ss_events *ev, double wall_time, int64_t step, ss_str *value, ss_err *e)
{
    ss_str event = {0}, summary = {0};

    put_message(&summary, 1, value);
    put_double(&event, 1, wall_time);
    put_key(&event, 2, VARINT);
    put_varint(&event, (uint64_t)step);
    put_message(&event, 5, &summary);
    return write_event(ev, &event, e);
}

ss_code ss_events_scalar(ss_events *ev, double wall_time, int64_t step, const char *tag,
                         double value, ss_err *e)
{
    ss_str tagged = {0};

    put_bytes(&tagged, 1, tag, strlen(tag));
    put_float(&tagged, 2, value);
    return write_value(ev, wall_time, step, &tagged, e);
}

ss_code ss_events_text(ss_events *ev, double wall_time, int64_t step, const char *tag,
                       const char *text, ss_err *e)
{
    enum { STRING = 7 };
    static const char plugin[] = "text";
    ss_str tagged = {0}, tensor = {0}, shape = {0}, dim = {0}, metadata = {0}, data = {0};

    put_key(&dim, 1, VARINT); /* size */
    put_varint(&dim, 1);
    put_message(&shape, 2, &dim);
    put_key(&tensor, 1, VARINT);
    put_varint(&tensor, STRING);
    put_message(&tensor, 2, &shape);
    put_bytes(&tensor, 8, text, strlen(text));
    put_bytes(&data, 1, plugin, sizeof plugin - 1);
    put_message(&metadata, 1, &data);
    put_bytes(&tagged, 1, tag, strlen(tag));
    put_message(&tagged, 8, &tensor);
    put_message(&tagged, 9, &metadata);
    return write_value(ev, wall_time, step, &tagged, e);
}

ss_code ss_events_flush(ss_events *ev, ss_err *e)
{
    if (fflush(ev->f) == 0 && !ferror(ev->f)) {
        ev->whole = lseek(fileno(ev->f), 0, SEEK_CUR);
        return SS_OK;
    }
    const ss_code rc = ss_fail(e, SS_IO, "%s: %s", ev->path, strerror(errno));
    if (ftruncate(fileno(ev->f), ev->whole) != 0)
        return ss_fail(e, SS_IO, "%s: %s, and half a record is in it", ev->path, strerror(errno));
    return rc;
}

ss_code ss_events_close(ss_events *ev, ss_err *e)
{
    ss_code rc = SS_OK;

    if (!ev)
        return SS_OK;
    if (ev->f && fclose(ev->f) != 0)
        rc = ss_fail(e, SS_IO, "%s: %s", ev->path, strerror(errno));
    ss_free(ev->path);
    ss_free(ev);
    return rc;
}
