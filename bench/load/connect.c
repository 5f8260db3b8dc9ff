/* Connections themselves: how many can be made in a second, at once, and what they cost when nothing is said. */
#include "load.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { AT_ONCE = 64 };

static void refuse_tls(const struct options *options)
{
    if (options->tls)
        fail("how fast connections are made is not measured in TLS");
}

static void greet(struct connection *connection, const struct options *options)
{
    finish_dialling(connection);
    send_all(connection, options->dialect->greeting.bytes, options->dialect->greeting.size);
    rewatch(connection, EPOLLIN);
}

/* Whether the answer is complete. It is so short that it comes in one piece, but for what is said before it. */
static bool is_answered(struct connection *connection, const struct options *options)
{
    struct text answer = options->dialect->answer;
    size_t size = receive(connection);
    return size >= answer.size && !memcmp(received + size - answer.size, answer.bytes, answer.size);
}

/* Connect, be answered, close, and again: 64 at a time. */
void run_connect(const struct options *options)
{
    static struct connection connections[AT_ONCE];
    static uint32_t dialled;
    struct epoll_event events[EVENTS_LIMIT];
    refuse_tls(options);
    struct moment start = look(options);
    uint64_t done = 0;
    for (int i = 0; i < AT_ONCE; i++) {
        connections[i].index = dialled++;
        start_dialling(&connections[i], options);
        watch(&connections[i], EPOLLOUT);
    }
    while (now() < start.wall + options->seconds) {
        int count = wait_for_events(events, EVENTS_LIMIT, PATIENCE);
        if (!count)
            fail("no connection was answered for %.0f s, after %llu were", PATIENCE, (unsigned long long)done);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                greet(connection, options);
            } else if (is_answered(connection, options)) {
                close(connection->fd);
                done++;
                connection->index = dialled++;
                start_dialling(connection, options);
                watch(connection, EPOLLOUT);
            }
        }
    }
    struct moment end = look(options);
    begin_result();
    put_figure("connections_per_s", (double)done / (end.wall - start.wall));
    put_shares(start, end);
    end_result();
}

/* All arrive at once; how long until each has been answered. */
void run_storm(const struct options *options)
{
    struct connection *connections = allocate((size_t)options->readers, sizeof *connections);
    struct epoll_event events[EVENTS_LIMIT];
    struct durations latency = { 0 };
    refuse_tls(options);
    struct moment start = look(options);
    for (int i = 0; i < options->readers; i++) {
        connections[i].index = (uint32_t)i;
        start_dialling(&connections[i], options);
        watch(&connections[i], EPOLLOUT);
    }
    for (int answered = 0; answered < options->readers;) {
        int count = wait_for_events(events, EVENTS_LIMIT, PATIENCE);
        if (!count)
            fail("%d of %d connections were answered; the next not for %.0f s", answered, options->readers, PATIENCE);
        for (int i = 0; i < count; i++) {
            if (events[i].events & EPOLLOUT) {
                greet(events[i].data.ptr, options);
            } else if (is_answered(events[i].data.ptr, options)) {
                note_duration(&latency, now() - start.wall);
                answered++;
            }
        }
    }
    struct moment end = look(options);
    begin_result();
    put_figure("connections", options->readers);
    put_figure("seconds", end.wall - start.wall);
    put_shares(start, end);
    put_latency(&latency);
    end_result();
}

/* What a connection costs the server in memory when all have been answered and nothing more is said. */
void run_hold(const struct options *options)
{
    double before = resident_memory(options->server_pid);
    open_connections(options->readers, options->dialect->greeting, options->dialect->answer, options);
    /* Some servers answer first and tidy up behind. */
    sleep(1);
    double after = resident_memory(options->server_pid);
    begin_result();
    put_figure("bytes_per_connection", (after - before) / options->readers);
    put_figure("server_memory", after);
    end_result();
}
