/* Connections: dialled many at a time, greeted, and never waited for without an end. */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { DIALLING_LIMIT = 128 };

int poller;
char received[256 * 1024];
uint64_t wire_bytes;

void watch(struct connection *connection, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = connection };
    if (epoll_ctl(poller, EPOLL_CTL_ADD, connection->fd, &event))
        fail("epoll_ctl: %s", strerror(errno));
}

void rewatch(struct connection *connection, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = connection };
    if (epoll_ctl(poller, EPOLL_CTL_MOD, connection->fd, &event))
        fail("epoll_ctl: %s", strerror(errno));
}

int wait_for_events(struct epoll_event *events, int limit, double seconds)
{
    struct timespec timeout = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };
    int count = epoll_pwait2(poller, events, limit, &timeout, NULL);
    if (count < 0 && errno != EINTR)
        fail("epoll_pwait2: %s", strerror(errno));
    return count < 0 ? 0 : count;
}

void start_dialling(struct connection *connection, const struct options *options)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket: %s", strerror(errno));
    /* From a hundred addresses, so that ports which wait out their last connection do not run short. */
    struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001 + connection->index % 100) };
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons((uint16_t)options->port) };
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&from, sizeof from))
        fail("bind: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));
    connection->fd = fd;
}

void finish_dialling(const struct connection *connection)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error)
        fail("connection %u: %s", connection->index, strerror(error));
}

size_t receive(struct connection *connection)
{
    if (connection->tls)
        return receive_tls(connection);
    ssize_t count = recv(connection->fd, received, sizeof received, 0);
    if (count > 0) {
        wire_bytes += (uint64_t)count;
        return connection->unwrap ? connection->unwrap(connection, (size_t)count) : (size_t)count;
    }
    if (count < 0 && errno == EAGAIN)
        return 0;
    fail("the server ended connection %u after %llu messages: %s", connection->index,
         (unsigned long long)connection->heard, count ? strerror(errno) : "end of stream");
}

size_t send_some(struct connection *connection, const char *bytes, size_t size)
{
    if (connection->tls)
        return send_tls(connection, bytes, size);
    ssize_t count = send(connection->fd, bytes, size, MSG_NOSIGNAL);
    if (count >= 0)
        return (size_t)count;
    if (errno == EAGAIN)
        return 0;
    fail("the server takes no more from connection %u: %s", connection->index, strerror(errno));
}

void send_all(struct connection *connection, const char *bytes, size_t size)
{
    if (send_some(connection, bytes, size) != size)
        fail("the server takes not even %zu bytes from connection %u", size, connection->index);
}

static void say_hello(struct connection *connection, struct text hello)
{
    char *bytes = allocate(1, hello.size + 1), number[5];
    snprintf(number, sizeof number, "%04x", connection->index & 0xffff);
    memcpy(bytes, hello.bytes, hello.size);
    for (char *at = bytes; (at = strstr(at, "####"));)
        memcpy(at, number, 4);
    send_all(connection, bytes, hello.size);
    free(bytes);
}

/* How far a connection has come, and the last bytes of a reply; what it says before does not matter. */
struct greeting {
    struct connection *connection;
    enum { DIALLING, ANNOUNCING, SHAKING_HANDS, UPGRADING, GREETING } stage;
    char tail[32];
};

static bool ends_with(struct greeting *greeting, size_t count, struct text ready)
{
    char *tail = greeting->tail;
    for (size_t i = count > sizeof greeting->tail ? count - sizeof greeting->tail : 0; i < count; i++) {
        memmove(tail, tail + 1, sizeof greeting->tail - 1);
        tail[sizeof greeting->tail - 1] = received[i];
    }
    return !memcmp(tail + sizeof greeting->tail - ready.size, ready.bytes, ready.size);
}

static void wait_for(struct greeting *greeting, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = greeting };
    epoll_ctl(poller, EPOLL_CTL_MOD, greeting->connection->fd, &event);
}

/* Go on with what has happened, as far as it goes; whether that was all. */
static bool go_on(struct greeting *greeting, struct text hello, struct text ready, const struct options *options)
{
    struct connection *connection = greeting->connection;
    struct text upgrade = options->dialect->upgrade;
    struct text announced = options->tls ? options->dialect->before_tls : (struct text){ "", 0 };
    uint32_t events;
    switch (greeting->stage) {
    case DIALLING:
        finish_dialling(connection);
        greeting->stage = ANNOUNCING;
        if (announced.size) {
            wait_for(greeting, EPOLLIN);
            return false;
        }
        /* fallthrough */
    case ANNOUNCING:
        if (announced.size && !ends_with(greeting, receive(connection), announced))
            return false;
        if (options->tls)
            start_tls(connection);
        greeting->stage = SHAKING_HANDS;
        /* fallthrough */
    case SHAKING_HANDS:
        if (connection->tls && (events = shake_hands(connection))) {
            wait_for(greeting, events);
            return false;
        }
        wait_for(greeting, EPOLLIN);
        if (upgrade.size) {
            say_hello(connection, upgrade);
            greeting->stage = UPGRADING;
            return false;
        }
        say_hello(connection, hello);
        greeting->stage = GREETING;
        return !ready.size;
    case UPGRADING:
        /* The server may speak first, right behind its head. */
        if (!memmem(received, receive(connection), "\r\n\r\n", 4))
            return false;
        say_hello(connection, hello);
        greeting->stage = GREETING;
        return !ready.size;
    default:
        return ends_with(greeting, receive(connection), ready);
    }
}

/* Dial, say hello, and wait for each connection's `ready`; with none, that the connection stands is all. */
struct connection *open_connections(int count, struct text hello, struct text ready, const struct options *options)
{
    static uint32_t opened;
    struct connection *connections = allocate((size_t)count, sizeof *connections);
    struct greeting *greetings = allocate((size_t)count, sizeof *greetings);
    struct epoll_event events[EVENTS_LIMIT];
    int all = poller, started = 0, finished = 0;
    poller = epoll_create1(EPOLL_CLOEXEC);
    while (finished < count) {
        for (; started < count && started - finished < DIALLING_LIMIT; started++) {
            greetings[started].connection = &connections[started];
            connections[started].index = opened++;
            start_dialling(&connections[started], options);
            struct epoll_event event = { .events = EPOLLOUT, .data.ptr = &greetings[started] };
            epoll_ctl(poller, EPOLL_CTL_ADD, connections[started].fd, &event);
        }
        int happened = wait_for_events(events, EVENTS_LIMIT, PATIENCE);
        if (!happened)
            fail("%d of %d connections stand; the next has not for %.0f s", finished, count, PATIENCE);
        for (int i = 0; i < happened; i++) {
            struct greeting *greeting = events[i].data.ptr;
            if (go_on(greeting, hello, ready, options)) {
                epoll_ctl(poller, EPOLL_CTL_DEL, greeting->connection->fd, NULL);
                finished++;
            }
        }
    }
    close(poller);
    poller = all;
    free(greetings);
    return connections;
}
