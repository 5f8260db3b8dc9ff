/* load SCENARIO --port PORT [--sender-port PORT] [--dialect NAME] [--server-pid PID] [--readers N] [--stalled N] [--rooms N] [--size BYTES]
 *      [--rate MESSAGES_PER_SECOND] [--seconds S] [--bytes N] [--tls 1]
 *
 * Drives one server on 127.0.0.1 and prints its figures as JSON. Every byte that arrives is checked; a server that
 * loses, repeats, moves or tears a message ends the run with status 1 and one line that says what was seen. */
#define _GNU_SOURCE
#include "load.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

void fail(const char *format, ...)
{
    va_list arguments;
    char line[512];
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    /* One line, whatever a server said. */
    for (char *at = line; *at; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
    fprintf(stderr, "%s\n", line);
    exit(1);
}

void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        fail("out of memory");
    return memory;
}

static const struct { const char *name; void (*run)(const struct options *); } SCENARIOS[] = {
    { "broadcast", run_broadcast }, { "chat", run_chat },   { "echo", run_echo },   { "connect", run_connect },
    { "storm", run_storm },         { "hold", run_hold },   { "rooms", run_rooms }, { "post", run_post },
};

static const struct option OPTIONS[] = {
    { "port", required_argument, 0, 'p' },    { "dialect", required_argument, 0, 'd' },
    { "readers", required_argument, 0, 'r' }, { "stalled", required_argument, 0, 's' },
    { "rooms", required_argument, 0, 'o' },   { "size", required_argument, 0, 'z' },
    { "rate", required_argument, 0, 'a' },    { "seconds", required_argument, 0, 't' },
    { "bytes", required_argument, 0, 'b' },   { "server-pid", required_argument, 0, 'i' },
    { "tls", required_argument, 0, 'l' },       { "sender-port", required_argument, 0, 'e' },
    { 0 },
};

static struct options read_options(int count, char **words)
{
    struct options options = { .readers = 1, .rooms = 1, .size = 100, .seconds = 2 };
    options.dialect = find_dialect("lines");
    for (int option; (option = getopt_long(count, words, "", OPTIONS, NULL)) != -1;) {
        switch (option) {
        case 'p': options.port = atoi(optarg); break;
        case 'd': options.dialect = find_dialect(optarg); break;
        case 'r': options.readers = atoi(optarg); break;
        case 's': options.stalled = atoi(optarg); break;
        case 'o': options.rooms = atoi(optarg); break;
        case 'z': options.size = atoi(optarg); break;
        case 'a': options.rate = atof(optarg); break;
        case 't': options.seconds = atof(optarg); break;
        case 'b': options.bytes = atof(optarg); break;
        case 'i': options.server_pid = atoi(optarg); break;
        case 'l': options.tls = atoi(optarg); break;
        case 'e': options.sender_port = atoi(optarg); break;
        default: exit(2);
        }
    }
    if (!options.sender_port)
        options.sender_port = options.port;
    if (options.port < 1 || options.readers < 1 || options.rooms < 1 || options.size <= HEADER_SIZE || options.size > 65535)
        fail("usage: load SCENARIO --port PORT ...; a message has more than %d bytes and at most 65535", HEADER_SIZE);
    return options;
}

int main(int count, char **words)
{
    if (count < 2)
        fail("usage: load SCENARIO --port PORT ...");
    struct options options = read_options(count - 1, words + 1);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    /* Waking when due, not up to 50 us later. */
    prctl(PR_SET_TIMERSLACK, 1);
    poller = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < sizeof SCENARIOS / sizeof *SCENARIOS; i++)
        if (!strcmp(SCENARIOS[i].name, words[1])) {
            SCENARIOS[i].run(&options);
            return 0;
        }
    fail("there is no scenario %s", words[1]);
}
