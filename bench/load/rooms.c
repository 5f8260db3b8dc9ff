/* Rounds: each gives every reader one message, be they all in one room or each in its own, so that what is written at
 * once is the same. The next round starts when the last reader has this one. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double WARM_UP = 0.3;

static struct {
    const struct options *options;
    uint32_t first;
    uint64_t missing, delivered;
} run;

static void note_heard(struct connection *listener, unsigned speaker, unsigned sequence)
{
    unsigned room = (listener->index - run.first) % (unsigned)run.options->rooms;
    if (speaker != room || sequence != (unsigned)listener->heard)
        fail("connection %u in room %u heard message %u of room %u", listener->index, room, sequence, speaker);
    listener->heard++;
    run.missing--;
    run.delivered++;
}

/* The server's handler moves each into the room that its first line names. */
static struct connection *join_rooms(const struct options *options)
{
    struct connection *readers = allocate((size_t)options->readers, sizeof *readers);
    for (int room = 0; room < options->rooms; room++) {
        char hello[32];
        int size = snprintf(hello, sizeof hello, "join %04x\n", (unsigned)room), count = 0;
        struct text joined = { "joined ", 7 };
        char ready[32];
        joined.bytes = ready;
        joined.size = (size_t)snprintf(ready, sizeof ready, "joined %04x\n", (unsigned)room);
        for (int i = room; i < options->readers; i += options->rooms)
            count++;
        struct connection *opened = open_connections(count, (struct text){ hello, (size_t)size }, joined, options);
        for (int i = 0; i < count; i++) {
            readers[room + i * options->rooms] = opened[i];
            readers[room + i * options->rooms].index = (uint32_t)(room + i * options->rooms);
        }
    }
    return readers;
}

void run_rooms(const struct options *options)
{
    size_t size = (size_t)options->size, round_size = size * (size_t)options->rooms;
    struct epoll_event events[EVENTS_LIMIT];
    char *round = allocate(1, round_size);
    run.options = options;
    struct connection *readers = join_rooms(options);
    struct text hello = { "speak\n", 6 }, ready = { "speaking\n", 9 };
    struct connection *sender = open_connections(1, hello, ready, options);
    for (int i = 0; i < options->readers; i++)
        watch(&readers[i], EPOLLIN);
    watch(sender, EPOLLIN);
    double begun = now();
    struct moment start = look(options), end = start;
    bool measuring = false;
    for (unsigned number = 0; !measuring || end.wall < start.wall + options->seconds; number++) {
        for (int room = 0; room < options->rooms; room++)
            write_payload(round + (size_t)room * size, size, (unsigned)room, number);
        size_t sent = 0;
        run.missing = (uint64_t)options->readers;
        while (run.missing) {
            sent += sent < round_size ? send_some(sender, round + sent, round_size - sent) : 0;
            int count = wait_for_events(events, EVENTS_LIMIT, sent < round_size ? 0 : PATIENCE);
            if (!count && sent == round_size)
                fail("%llu readers have not heard round %u for %.0f s", (unsigned long long)run.missing, number, PATIENCE);
            for (int i = 0; i < count; i++)
                if (events[i].data.ptr != sender)
                    take_records(events[i].data.ptr, receive(events[i].data.ptr), options, note_heard);
        }
        end = look(options);
        if (!measuring && end.wall > begun + WARM_UP) {
            measuring = true;
            start = end;
            run.delivered = 0;
        }
    }
    begin_result();
    put_figure("deliveries_per_s", (double)run.delivered / (end.wall - start.wall));
    put_figure("server_us_per_delivery", 1e6 * (end.server - start.server) / (double)run.delivered);
    put_shares(start, end);
    end_result();
}
