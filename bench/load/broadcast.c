/* One sender, many readers: at full speed, or at a rate with the time until the last reader has each message. */
#include "load.h"

#include <stdlib.h>
#include <string.h>

static const double WARM_UP = 0.3;
static const double HEAD_START = 0.05;

/* A server that buffers for those who do not read is ended before it takes the machine with it. */
static const double MEMORY_MOST = 4.0 * (1 << 30), MEMORY_INTERVAL = 0.1;

/* How far the sender may be ahead of the slowest reader. Servers that buffer without end, or cut whoever lags, are so
 * measured and not killed. In bytes of payload for one reader, between these, and this much for all of them. */
static const double AHEAD_LEAST = 16 << 10, AHEAD_MOST = 4 << 20, AHEAD_OF_ALL = 256 << 20;
enum { AHEAD_LEAST_MESSAGES = 32 };

/* The payloads repeat after so many: enough to tell what is lost or moved, and few enough to stay in a fast cache. */
enum { PERIOD_SIZE = 128 << 10, PERIOD_LEAST = 8, PERIOD_MOST = 1024 };

static struct {
    const struct options *options;
    struct connection *readers, *sender;
    size_t period, record, sent_record;
    char *expected, *wire;   /* a period, as received and as sent */
    uint64_t sent_bytes;     /* on the sender's wire */
    uint64_t due;            /* messages that may have been sent */
    uint64_t everywhere;     /* messages that all readers have */
    uint64_t ahead;          /* a power of two */
    uint32_t *had_by;        /* of each message on its way: how many readers have it */
    struct durations latency;
    bool measuring;
    uint64_t delivered, wire_start, wire_end;
    double first_due;
} run;

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static void make_period(void)
{
    const struct options *options = run.options;
    size_t size = (size_t)options->size, wrapped = size + WRAPPING_LIMIT;
    char *payload = allocate(1, size);
    run.period = PERIOD_SIZE / size;
    run.period = run.period < PERIOD_LEAST ? PERIOD_LEAST : least(run.period, PERIOD_MOST);
    run.expected = allocate(run.period, wrapped);
    run.wire = allocate(run.period, wrapped);
    for (size_t i = 0; i < run.period; i++) {
        write_payload(payload, size, 0, (unsigned)i);
        run.record = options->dialect->wrap_received(run.expected + i * run.record, payload, size);
        run.sent_record = options->dialect->wrap_sent(run.wire + i * run.sent_record, payload, size);
    }
    free(payload);
}

static void choose_ahead(void)
{
    double bytes = AHEAD_OF_ALL / run.options->readers;
    bytes = bytes < AHEAD_LEAST ? AHEAD_LEAST : bytes > AHEAD_MOST ? AHEAD_MOST : bytes;
    double messages = bytes / run.options->size;
    for (run.ahead = AHEAD_LEAST_MESSAGES; (double)run.ahead * 2 <= messages;)
        run.ahead *= 2;
    run.had_by = allocate(run.ahead, sizeof *run.had_by);
}

static double due_time(uint64_t message) { return run.first_due + (double)message / run.options->rate; }

/* Note that `reader` has `count` more messages, and which ones all readers have now. */
static void note_heard(struct connection *reader, uint64_t count)
{
    if (reader->heard + count > run.due)
        fail("reader %u heard what was not said yet", reader->index);
    uint64_t mask = run.ahead - 1, until = reader->heard + count;
    while (reader->heard < until) {
        uint64_t at = reader->heard & mask, stretch = least(until - reader->heard, run.ahead - at);
        for (uint64_t i = at; i < at + stretch; i++)
            run.had_by[i]++;
        reader->heard += stretch;
    }
    if (run.measuring)
        run.delivered += count;
    if (run.had_by[run.everywhere & mask] < (uint32_t)run.options->readers)
        return;
    double at = run.options->rate ? now() : 0;
    for (uint64_t slot; run.had_by[slot = run.everywhere & mask] == (uint32_t)run.options->readers; run.everywhere++) {
        run.had_by[slot] = 0;
        if (at && due_time(run.everywhere) >= run.first_due + WARM_UP)
            note_duration(&run.latency, at - due_time(run.everywhere));
    }
}

static size_t common_prefix(const char *left, const char *right, size_t size)
{
    size_t at = 0;
    while (at < size && left[at] == right[at])
        at++;
    return at;
}

/* Compare what has arrived to what was said. */
static void hear(struct connection *reader, size_t count)
{
    struct text aside = run.options->dialect->aside;
    size_t whole = run.period * run.record, start = reader->place, messages = 0;
    for (const char *data = received; count;) {
        size_t piece = least(count, reader->skipping ? reader->skipping : whole - reader->place);
        if (reader->skipping) {
            reader->skipping -= piece;
        } else {
            if (memcmp(data, run.expected + reader->place, piece)) {
                piece = common_prefix(data, run.expected + reader->place, piece);
                bool between = (reader->place + piece) % run.record == 0;
                if (!aside.size || !between || data[piece] != aside.bytes[0])
                    fail("reader %u: after %llu messages and %zu bytes comes %.40s", reader->index,
                         (unsigned long long)(reader->heard + messages), (reader->place + piece) % run.record,
                         data + piece);
                reader->skipping = aside.size;
            }
            reader->place += piece;
            if (reader->place == whole) {
                messages += run.period - start / run.record;
                start = reader->place = 0;
            }
        }
        data += piece;
        count -= piece;
    }
    messages += reader->place / run.record - start / run.record;
    if (messages)
        note_heard(reader, messages);
}

/* Say what may be said by now. */
static bool speak(void)
{
    uint64_t whole = run.period * run.sent_record, until = run.due * run.sent_record;
    while (run.sent_bytes < until) {
        uint64_t at = run.sent_bytes % whole, size = least(until - run.sent_bytes, whole - at);
        size_t taken = send_some(run.sender, run.wire + at, size);
        run.sent_bytes += taken;
        if (taken < size)
            return false;
    }
    return true;
}

static void allow_more(bool stopped)
{
    if (stopped)
        return;
    uint64_t most = run.everywhere + run.ahead;
    if (run.options->rate) {
        double due = (now() - run.first_due) * run.options->rate + 1;
        uint64_t so_many = due > 0 ? (uint64_t)due : 0;
        most = so_many < most ? so_many : most;
    }
    if (most > run.due)
        run.due = most;
}

/* How long nothing is to be done but wait for events. */
static double idle_time(bool stopped)
{
    if (stopped || !run.options->rate || run.due == run.everywhere + run.ahead)
        return PATIENCE;
    double left = due_time(run.due) - now();
    return left > 0 ? left : 0;
}

static void put_result(struct moment start, struct moment end)
{
    double wall = end.wall - start.wall;
    begin_result();
    put_figure("deliveries_per_s", (double)run.delivered / wall);
    put_figure("messages_per_s", (double)run.delivered / wall / run.options->readers);
    put_figure("payload_bytes_per_s", (double)run.delivered / wall * run.options->size);
    put_figure("wire_bytes_per_s", (double)(run.wire_end - run.wire_start) / wall);
    put_figure("server_us_per_delivery", 1e6 * (end.server - start.server) / (double)run.delivered);
    put_shares(start, end);
    put_figure("server_memory", resident_memory(run.options->server_pid));
    put_figure("kernel_memory", kernel_memory());
    if (run.options->rate)
        put_latency(&run.latency);
    end_result();
}

void run_broadcast(const struct options *options)
{
    const struct dialect *dialect = options->dialect;
    struct epoll_event events[EVENTS_LIMIT];
    run.options = options;
    make_period();
    choose_ahead();
    /* The sender first: it may have to make what the readers read. */
    struct options sending = *options;
    sending.port = options->sender_port;
    run.sender = open_connections(1, dialect->sender_hello, dialect->sender_ready, &sending);
    run.readers = open_connections(options->readers, dialect->reader_hello, dialect->reader_ready, options);
    if (options->stalled)
        open_connections(options->stalled, dialect->reader_hello, dialect->reader_ready, options);
    for (int i = 0; i < options->readers; i++) {
        run.readers[i].unwrap = dialect->unwrap;
        watch(&run.readers[i], EPOLLIN);
    }
    watch(run.sender, EPOLLIN);
    probe(run.sender, run.readers, options->readers, options);

    struct moment start = look(options), end = start;
    double last_progress = start.wall, memory_due = 0;
    uint64_t progress = 0;
    bool stopped = false, wanted = false;
    run.first_due = start.wall + HEAD_START;
    while (!stopped || run.everywhere < run.due) {
        allow_more(stopped);
        bool want = !speak();
        if (want != wanted)
            rewatch(run.sender, EPOLLIN | (want ? EPOLLOUT : 0));
        wanted = want;
        int count = wait_for_events(events, EVENTS_LIMIT, idle_time(stopped));
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection != run.sender)
                hear(connection, receive(connection));
            else if (events[i].events & ~(uint32_t)EPOLLOUT)
                receive(connection);
        }
        double at = now();
        if (at > memory_due) {
            if (resident_memory(options->server_pid) > MEMORY_MOST)
                fail("the server holds more than %.0f GiB", MEMORY_MOST / (1 << 30));
            memory_due = at + MEMORY_INTERVAL;
        }
        if (run.everywhere > progress || run.everywhere == run.due) {
            progress = run.everywhere;
            last_progress = at;
        }
        if (at > last_progress + PATIENCE)
            fail("nothing has reached all readers for %.0f s: they have %llu of %llu messages", PATIENCE,
                 (unsigned long long)run.everywhere, (unsigned long long)run.due);
        if (!run.measuring && !stopped && at > run.first_due + WARM_UP) {
            run.measuring = true;
            start = look(options);
            run.wire_start = wire_bytes;
        }
        bool passed = options->bytes ? (double)run.everywhere * options->size >= options->bytes
                                     : at > start.wall + options->seconds;
        if (run.measuring && passed) {
            end = look(options);
            run.wire_end = wire_bytes;
            run.measuring = false;
            stopped = true;
        }
    }
    put_result(start, end);
}
