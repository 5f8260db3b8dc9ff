/* Everybody speaks and hears all others. Each says the next message when all have heard its last, or at a rate. */
#include "load.h"

#include <stdlib.h>
#include <string.h>

static const double WARM_UP = 0.5;

struct speaker { uint64_t said, waiting_for; double due; };

static struct {
    const struct options *options;
    struct connection *clients;
    struct speaker *speakers;
    uint32_t *next;     /* by listener and speaker: the sequence that is to come */
    uint32_t first;     /* the index of the first connection */
    char *payload, *wire;
    uint64_t delivered, turns;
    double begun, now;
    bool stopped;
    struct durations latency;
} run;

static void speak(unsigned index)
{
    struct speaker *speaker = &run.speakers[index];
    size_t size = (size_t)run.options->size;
    write_payload(run.payload, size, index, (unsigned)speaker->said++);
    send_all(&run.clients[index], run.wire, run.options->dialect->wrap_sent(run.wire, run.payload, size));
    speaker->waiting_for += (uint64_t)run.options->readers - 1;
}

static double due_time(uint64_t turn) { return run.begun + (double)turn / (run.options->rate * run.options->readers); }

static void note_heard(struct connection *listener, unsigned speaker, unsigned sequence)
{
    unsigned clients = (unsigned)run.options->readers;
    if (speaker >= clients || listener->index - run.first == speaker)
        fail("connection %u heard speaker %u", listener->index, speaker);
    uint32_t *next = &run.next[(listener->index - run.first) * clients + speaker];
    if (sequence != (*next)++)
        fail("connection %u heard %u of speaker %u instead of %u", listener->index, sequence, speaker, *next - 1);
    run.delivered++;
    struct speaker *said = &run.speakers[speaker];
    if (--said->waiting_for)
        return;
    if (!run.options->rate && !run.stopped) {
        note_duration(&run.latency, run.now - said->due);
        said->due = run.now;
        speak(speaker);
    } else if (run.options->rate) {
        /* The last of them was due in this speaker's latest turn. */
        uint64_t turn = (said->said - 1) * clients + speaker;
        note_duration(&run.latency, run.now - due_time(turn));
    }
}

/* In turn, and each at the rate. */
static double speak_when_due(void)
{
    if (!run.options->rate || run.stopped)
        return PATIENCE;
    for (; due_time(run.turns) <= run.now; run.turns++)
        speak((unsigned)(run.turns % (uint64_t)run.options->readers));
    return due_time(run.turns) - run.now;
}

static bool all_heard(void)
{
    for (int i = 0; i < run.options->readers; i++)
        if (run.speakers[i].waiting_for)
            return false;
    return true;
}

void run_chat(const struct options *options)
{
    size_t clients = (size_t)options->readers, size = (size_t)options->size;
    struct epoll_event events[EVENTS_LIMIT];
    run.options = options;
    run.speakers = allocate(clients, sizeof *run.speakers);
    run.next = allocate(clients * clients, sizeof *run.next);
    run.payload = allocate(1, size);
    run.wire = allocate(1, size + WRAPPING_LIMIT);
    run.clients = open_connections((int)clients, options->dialect->reader_hello, options->dialect->reader_ready, options);
    run.first = run.clients[0].index;
    for (size_t i = 0; i < clients; i++)
        watch(&run.clients[i], EPOLLIN);
    probe(&run.clients[0], &run.clients[1], (int)clients - 1, options);

    run.begun = run.now = now();
    struct moment start = look(options), end = start;
    double last_heard = run.now;
    bool measuring = false;
    if (!options->rate)
        for (unsigned i = 0; i < clients; i++) {
            run.speakers[i].due = run.now;
            speak(i);
        }
    while (!run.stopped || !all_heard()) {
        double idle = speak_when_due();
        int count = wait_for_events(events, EVENTS_LIMIT, idle);
        run.now = now();
        for (int i = 0; i < count; i++)
            take_records(events[i].data.ptr, receive(events[i].data.ptr), options, note_heard);
        if (count)
            last_heard = run.now;
        if (run.now > last_heard + PATIENCE)
            fail("nobody has heard anything for %.0f s", PATIENCE);
        if (!measuring && run.now > run.begun + WARM_UP) {
            measuring = true;
            start = look(options);
            run.delivered = 0;
            run.latency.count = 0;
        }
        if (!run.stopped && measuring && run.now > start.wall + options->seconds) {
            end = look(options);
            run.stopped = true;
            begin_result();
            put_figure("deliveries_per_s", (double)run.delivered / (end.wall - start.wall));
            put_shares(start, end);
        }
    }
    /* At full speed on a slow server, nothing may have reached everybody in time. */
    if (run.latency.count)
        put_latency(&run.latency);
    end_result();
}
