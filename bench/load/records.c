/* Payloads, and records of several speakers in one stream. */
#define _GNU_SOURCE
#include "load.h"

#include <stdio.h>
#include <string.h>

void write_payload(char *to, size_t size, unsigned speaker, unsigned sequence)
{
    char header[HEADER_SIZE + 1];
    snprintf(header, sizeof header, "%04x %08x ", speaker & 0xffff, sequence);
    memcpy(to, header, HEADER_SIZE);
    for (size_t i = HEADER_SIZE; i < size - 1; i++)
        to[i] = (char)('a' + i % 26);
    to[size - 1] = '\n';
}

/* A record as it is received, but for its header. */
static struct { char *bytes; size_t size, header; } model;

static void make_model(const struct options *options)
{
    size_t size = (size_t)options->size;
    char *payload = allocate(1, size);
    write_payload(payload, size, 0, 0);
    model.bytes = allocate(1, size + WRAPPING_LIMIT);
    model.size = options->dialect->wrap_received(model.bytes, payload, size);
    model.header = (size_t)((char *)memmem(model.bytes, model.size, payload, size) - model.bytes);
}

static bool read_number(const char *digits, int count, unsigned *number)
{
    *number = 0;
    for (int i = 0; i < count; i++) {
        unsigned char digit = (unsigned char)digits[i];
        if (digit >= '0' && digit <= '9')
            *number = *number << 4 | (digit - '0');
        else if (digit >= 'a' && digit <= 'f')
            *number = *number << 4 | (digit - 'a' + 10);
        else
            return false;
    }
    return digits[count] == ' ';
}

static void take_record(struct connection *listener, const char *record, on_record *act)
{
    const char *header = record + model.header;
    size_t after = model.header + HEADER_SIZE;
    unsigned speaker, sequence;
    if (memcmp(record, model.bytes, model.header) || memcmp(record + after, model.bytes + after, model.size - after)
        || !read_number(header, 4, &speaker) || !read_number(header + 5, 8, &sequence))
        fail("connection %u heard what nobody said: %.60s", listener->index, record);
    act(listener, speaker, sequence);
}

void take_records(struct connection *listener, size_t count, const struct options *options, on_record *act)
{
    const char *data = received, *end = received + count;
    if (!model.bytes)
        make_model(options);
    if (!listener->partial)
        listener->partial = allocate(1, model.size);
    while (data < end) {
        struct text aside = options->dialect->aside;
        if (!listener->place && !listener->skipping && aside.size && *data == aside.bytes[0])
            listener->skipping = aside.size;
        size_t whole = listener->skipping ? listener->skipping : model.size - listener->place;
        size_t taken = (size_t)(end - data) < whole ? (size_t)(end - data) : whole;
        if (listener->skipping) {
            listener->skipping -= taken;
        } else if (taken == model.size) {
            take_record(listener, data, act);
        } else {
            memcpy(listener->partial + listener->place, data, taken);
            listener->place += taken;
            if (listener->place == model.size) {
                take_record(listener, listener->partial, act);
                listener->place = 0;
            }
        }
        data += taken;
    }
}
