/* Finding out that all who listen are in the broadcast. */
#define _GNU_SOURCE
#include "load.h"

#include <stdlib.h>
#include <string.h>

static const double PROBE_TIME = 0.05;

struct probe { struct text wire; size_t after; /* bytes received behind the payload */ };

static struct probe make_probe(char filler, const struct options *options)
{
    size_t size = (size_t)options->size;
    char *payload = allocate(1, size), *wire = allocate(1, size + WRAPPING_LIMIT);
    memset(payload, filler, size - 1);
    payload[size - 1] = '\n';
    size_t wrapped = options->dialect->wrap_received(wire, payload, size);
    if (memchr(wire, filler, wrapped) != memmem(wire, wrapped, payload, size - 1))
        fail("a wrapped message has a %c before the payload", filler);
    size_t after = wrapped - ((size_t)((char *)memrchr(wire, filler, wrapped) - wire) + 1);
    return (struct probe){ { wire, options->dialect->wrap_sent(wire, payload, size) }, after };
}

/* Whether `reader` has the last probe with all that belongs to it, when so many bytes more have come. */
static bool take_probe(struct connection *reader, size_t size, const struct options *options,
                       char filler, size_t after)
{
    for (const char *data = received; data < received + size; data++) {
        if (*data == filler)
            reader->heard++;
        else if (reader->heard == (uint64_t)options->size - 1)
            reader->place++;
    }
    if (reader->heard < (uint64_t)options->size - 1 || reader->place < after)
        return false;
    reader->heard = reader->place = 0;
    return true;
}

/* A server may accept late: `speaker` says probes until every listener has heard one, then a last one. */
void probe(struct connection *speaker, struct connection *listeners, int count, const struct options *options)
{
    struct probe again = make_probe('p', options), last = make_probe('q', options);
    bool *told = allocate((size_t)count, sizeof *told), ended = false;
    struct epoll_event events[EVENTS_LIMIT];
    uint32_t first = listeners[0].index;
    double begun = now(), next = 0;
    for (int probed = 0, ready = 0; ready < count;) {
        if (now() > begun + PATIENCE)
            fail("%d of %d readers have heard nothing, %d not all, for %.0f s", count - probed,
                 count, probed - ready, PATIENCE);
        if (!ended && probed == count) {
            send_all(speaker, last.wire.bytes, last.wire.size);
            ended = true;
        } else if (!ended && now() >= next) {
            send_all(speaker, again.wire.bytes, again.wire.size);
            next = now() + PROBE_TIME;
        }
        int happened = wait_for_events(events, EVENTS_LIMIT, PROBE_TIME);
        for (int i = 0; i < happened; i++) {
            struct connection *connection = events[i].data.ptr;
            size_t size = receive(connection);
            if (connection == speaker || !size)
                continue;
            probed += !told[connection->index - first];
            told[connection->index - first] = true;
            ready += take_probe(connection, size, options, 'q', last.after);
        }
    }
    free(told);
}
