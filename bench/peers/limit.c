// The limit: copies what it reads to all other sockets, and does nothing else. No single-threaded server in user space
// does a broadcast over TCP with less: one read for each sender and one write for each receiver, from one buffer.
// It knows no lines, and a client that stops reading stops everybody, newcomers included.
//
//   limit PORT        what one sends all others get
//   limit PORT echo   what one sends it gets back
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PIECE = 256 * 1024, FDS = 1 << 16, EVENTS = 512 };

// What a socket still has to get: the buffer from `at` to `end`, without its own words, which are the gap.
struct client {
    size_t at, end, gap, gap_end;
    int place;
};

// Senders that speak at the same time share a round of writes; so there is room for two pieces.
static char buffer[2 * PIECE];
static size_t filled;
static struct client clients[FDS];
static int members[FDS], count;

// Two sets, because while a socket is full only such sockets matter: nobody is read, so nothing has to be kept.
static int reading, writing, behind;

static int check(int result, const char *what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

static void watch(int set, int fd, uint32_t what) {
    struct epoll_event event = {.events = what, .data.fd = fd};
    check(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

// Whether it got all. An error is "all": the socket's own event ends it.
static bool push(int fd) {
    struct client *client = &clients[fd];
    for (;;) {
        if (client->at == client->gap)
            client->at = client->gap_end;
        if (client->at == client->end)
            return true;
        bool split = client->at < client->gap;
        struct iovec parts[] = {
            {buffer + client->at, (split ? client->gap : client->end) - client->at},
            {buffer + client->gap_end, client->end - client->gap_end},
        };
        ssize_t sent = writev(fd, parts, split ? 2 : 1);
        if (sent < 0)
            return errno != EAGAIN;
        client->at += sent;
        if (split && client->at > client->gap)
            client->at += client->gap_end - client->gap;
    }
}

static void begin(int fd, size_t end) {
    clients[fd].at = 0;
    clients[fd].end = end;
    if (!push(fd)) {
        watch(writing, fd, EPOLLOUT);
        behind++;
    }
}

static void finish(void) {
    static struct epoll_event events[EVENTS];
    while (behind) {
        int ready = epoll_wait(writing, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (push(fd)) {
                check(epoll_ctl(writing, EPOLL_CTL_DEL, fd, NULL), "epoll_ctl");
                behind--;
            }
        }
    }
}

static void spread(void) {
    if (!filled)
        return;
    for (int i = 0; i < count; i++)
        begin(members[i], filled);
    finish();
    for (int i = 0; i < count; i++)
        clients[members[i]].gap = clients[members[i]].gap_end = 0;
    filled = 0;
}

static void join(int listener) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0 || errno == ECONNABORTED) {
        if (fd < 0)
            continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        clients[fd] = (struct client){.place = count};
        members[count++] = fd;
        watch(reading, fd, EPOLLIN);
    }
    if (errno != EAGAIN)
        check(-1, "accept");
}

static void leave(int fd) {
    int last = members[--count];
    members[clients[fd].place] = last;
    clients[last].place = clients[fd].place;
    close(fd);
}

static void hear(int fd, bool echo) {
    if (filled + PIECE > sizeof buffer)
        spread();
    ssize_t got = read(fd, buffer + filled, PIECE);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        leave(fd);
    } else if (got > 0 && echo) {
        begin(fd, got);
        finish();
    } else if (got > 0) {
        clients[fd].gap = filled;
        clients[fd].gap_end = filled += got;
    }
}

int main(int argc, char **argv) {
    if (argc < 2 || (argc > 2 && strcmp(argv[2], "echo"))) {
        fprintf(stderr, "usage: limit PORT [echo]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < FDS ? files.rlim_max : FDS;
    setrlimit(RLIMIT_NOFILE, &files);

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = check(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    check(bind(listener, (struct sockaddr *)&address, sizeof address), "bind");
    check(listen(listener, 4096), "listen");
    reading = check(epoll_create1(0), "epoll_create1");
    writing = check(epoll_create1(0), "epoll_create1");
    watch(reading, listener, EPOLLIN);

    static struct epoll_event events[EVENTS];
    for (;;) {
        int ready = epoll_wait(reading, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener)
                join(listener);
            else
                hear(events[i].data.fd, argc > 2);
        }
        spread();
    }
}
