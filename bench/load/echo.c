/* Each client asks, and asks again when it has its answer. */
#include "load.h"

#include <string.h>

static const double WARM_UP = 0.3;
static const char ANSWER[] = "We got your message: ";

void ask_again_and_again(const struct options *options, const char *question, size_t size, take_answer *take)
{
    struct text nothing = { "", 0 };
    struct epoll_event events[EVENTS_LIMIT];
    struct durations latency = { 0 };
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
            if (!take(client, receive(client)))
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

static struct { char *bytes; size_t size; } answer;

static bool is_echoed(struct connection *client, size_t arrived)
{
    if (client->place + arrived > answer.size || memcmp(received, answer.bytes + client->place, arrived))
        fail("client %u was answered with %.60s", client->index, received);
    client->place += arrived;
    return client->place == answer.size;
}

void run_echo(const struct options *options)
{
    size_t size = (size_t)options->size;
    answer.size = sizeof ANSWER - 1 + size;
    answer.bytes = allocate(1, answer.size);
    memcpy(answer.bytes, ANSWER, sizeof ANSWER - 1);
    char *question = answer.bytes + sizeof ANSWER - 1;
    write_payload(question, size, 0, 0);
    ask_again_and_again(options, question, size, is_echoed);
}
