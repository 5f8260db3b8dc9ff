/* The load generator: one process, one thread, one epoll. Each scenario is a file; this is what they share. */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

/* What the command line says. Sizes are bytes, times seconds, rates messages per second. */
struct options {
    int port;
    int sender_port; /* where a single sender speaks; as `port` unless it is given */
    const struct dialect *dialect;
    int server_pid;
    int readers;  /* who hear; in chat, echo and connect: the clients */
    int stalled;  /* who joined and never read */
    int rooms;
    int size;     /* of a payload, its line end included */
    double rate;  /* 0: as fast as it is taken */
    double seconds;
    double bytes; /* of payload to pass instead of `seconds`; 0: no such bound */
    int tls;      /* 1: everything is in TLS */
};

struct connection;

/* How one protocol says hello and wraps a payload. In a hello, #### is the connection's number, in hexadecimal. */
struct dialect {
    const char *name;
    struct text { const char *bytes; size_t size; } reader_hello, sender_hello, greeting;
    struct text reader_ready, sender_ready, answer; /* what the server's reply to each of these ends with */
    struct text aside; /* what a server may say between two messages, to be skipped */
    struct text before_tls; /* what it says before the handshake ends with this */
    const char *post_path; /* where it takes messages by POST */
    struct text upgrade; /* a request that is said, and answered with a head, before the hello */
    size_t (*wrap_sent)(char *to, const char *payload, size_t size);
    size_t (*wrap_received)(char *to, const char *payload, size_t size);
    /* Where each message has a head of its own: leaves nothing but wrapped payloads in `received`; how many bytes. */
    size_t (*unwrap)(struct connection *connection, size_t count);
};

const struct dialect *find_dialect(const char *name);

/* How far a connection is in the head of a message, and what it must remember of it. */
struct head {
    char line[256], before[256], last[256]; /* this line, the one before it, and the last position */
    size_t size, payload;                   /* bytes of the line so far; those of the payload still to come */
    long entries;                           /* messages still to come in this reply */
    bool is_data, is_aside;                 /* whether the rest of this line, or of this frame, is kept or not */
};

/* One connection. */
struct connection {
    int fd;
    struct ssl_st *tls; /* once it is in TLS */
    uint32_t index;
    uint64_t heard;   /* messages */
    size_t place;     /* bytes into what is expected next */
    size_t skipping;  /* bytes of an aside that are still to come */
    size_t (*unwrap)(struct connection *connection, size_t count); /* that of its dialect, once it reads */
    struct head head;
    char *partial;    /* a record of which only `place` bytes have come, where they are taken one by one */
};

extern int poller;
extern char received[256 * 1024];
extern uint64_t wire_bytes; /* received on all connections */

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *allocate(size_t count, size_t size);

/* Sockets. */
void start_dialling(struct connection *connection, const struct options *options);
void finish_dialling(const struct connection *connection);
struct connection *open_connections(int count, struct text hello, struct text ready, const struct options *options);
void watch(struct connection *connection, uint32_t events);
void rewatch(struct connection *connection, uint32_t events);
size_t receive(struct connection *connection);
size_t send_some(struct connection *connection, const char *bytes, size_t size);
void send_all(struct connection *connection, const char *bytes, size_t size);
int wait_for_events(struct epoll_event *events, int limit, double seconds);

/* Heads. */
size_t unwrap_jetstream(struct connection *connection, size_t count);
size_t unwrap_redis_stream(struct connection *connection, size_t count);
size_t unwrap_frames(struct connection *connection, size_t count);
size_t unwrap_events(struct connection *connection, size_t count);

/* TLS. */
void start_tls(struct connection *connection);
uint32_t shake_hands(struct connection *connection); /* the events it waits for; 0 when it is done */
size_t receive_tls(struct connection *connection);
size_t send_tls(struct connection *connection, const char *bytes, size_t size);

enum { EVENTS_LIMIT = 256, WRAPPING_LIMIT = 128 };
static const double PATIENCE = 20; /* how long nothing may happen before a run has failed */

void probe(struct connection *speaker, struct connection *listeners, int count, const struct options *options);

/* Records of several speakers, told apart by their header: `SPEAKER SEQUENCE `, in hexadecimal. */
enum { HEADER_SIZE = 5 + 9 };
void write_payload(char *to, size_t size, unsigned speaker, unsigned sequence);
typedef void on_record(struct connection *listener, unsigned speaker, unsigned sequence);
void take_records(struct connection *listener, size_t count, const struct options *options, on_record *act);

/* Clients that ask. Whether a client's answer is whole, now that so many bytes more of it have come: */
typedef bool take_answer(struct connection *client, size_t arrived);
void ask_again_and_again(const struct options *options, const char *question, size_t size, take_answer *take);

/* Time, and what it was spent on. */
struct moment { double wall, load, server; };
double now(void);
struct moment look(const struct options *options);
double resident_memory(int pid);
double kernel_memory(void);

/* Durations, to be ranked. */
struct durations { double *values; size_t count, limit; };
void note_duration(struct durations *durations, double seconds);
double percentile(struct durations *durations, double share);

/* The result: one JSON object on standard output. */
void begin_result(void);
void put_figure(const char *name, double value);
void put_shares(struct moment start, struct moment end);
void put_latency(struct durations *durations);
void end_result(void);

/* The scenarios. */
void run_broadcast(const struct options *options);
void run_chat(const struct options *options);
void run_echo(const struct options *options);
void run_connect(const struct options *options);
void run_storm(const struct options *options);
void run_hold(const struct options *options);
void run_rooms(const struct options *options);
void run_post(const struct options *options);

#endif
