/* Each client asks, and asks again when it has its answer. */
#include "load.h"

#include <string.h>

static const double WARM_UP = 0.3;
static const char ANSWER[] = "We got your message: ";

void run_echo(const struct options *options)
{
    size_t size = (size_t)options->size, answer_size = sizeof ANSWER - 1 + size;
    struct text nothing = { "", 0 };
    struct epoll_event events[EVENTS_LIMIT];
    struct durations latency = { 0 };
    char *answer = allocate(1, answer_size);
    memcpy(answer, ANSWER, sizeof ANSWER - 1);
    write_payload(answer + sizeof ANSWER - 1, size, 0, 0);
    const char *question = answer + sizeof ANSWER - 1;
    struct connection *clients = open_connections(options->readers, nothing, nothing, options);
    double *asked = allocate((size_t)options->readers, sizeof *asked);
    uint64_t answers = 0;
    for (int i = 0; i < options->readers; i++) {
        watch(&clients[i], EPOLLIN);
        asked[i] = now();
        send_all(&clients[i], question, size);
    }
    double begun = now(), last = begun;
    struct moment start = look(options), end = start;
    bool measuring = false;
    while (!measuring || last < start.wall + options->seconds) {
        int count = wait_for_events(events, EVENTS_LIMIT, PATIENCE);
        if (!count)
            fail("nobody was answered for %.0f s", PATIENCE);
        for (int i = 0; i < count; i++) {
            struct connection *client = events[i].data.ptr;
            size_t arrived = receive(client);
            if (client->place + arrived > answer_size || memcmp(received, answer + client->place, arrived))
                fail("client %u was answered with %.60s", client->index, received);
            client->place += arrived;
            if (client->place < answer_size)
                continue;
            client->place = 0;
            client->heard++;
            answers++;
            double at = now();
            note_duration(&latency, at - asked[client - clients]);
            asked[client - clients] = at;
            send_all(client, question, size);
        }
        last = now();
        if (!measuring && last > begun + WARM_UP) {
            measuring = true;
            start = look(options);
            latency.count = answers = 0;
        }
    }
    end = look(options);
    begin_result();
    put_figure("answers_per_s", (double)answers / (end.wall - start.wall));
    put_shares(start, end);
    put_latency(&latency);
    end_result();
}
