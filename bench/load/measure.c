/* Time, what it was spent on, and how the result is said. */
#define _GNU_SOURCE
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double seconds(clockid_t clock)
{
    struct timespec time;
    return clock_gettime(clock, &time) ? 0 : (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

double now(void) { return seconds(CLOCK_MONOTONIC); }

/* This moment: the time, and the processor time that the load and the server have had. */
struct moment look(const struct options *options)
{
    clockid_t server = CLOCK_MONOTONIC;
    bool known = options->server_pid && !clock_getcpuclockid(options->server_pid, &server);
    return (struct moment){ now(), seconds(CLOCK_PROCESS_CPUTIME_ID), known ? seconds(server) : 0 };
}

/* What a process holds in memory, in bytes (proc(5), statm). */
double resident_memory(int pid)
{
    char path[64];
    long total = 0, resident = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    FILE *file = fopen(path, "r");
    if (file) {
        if (fscanf(file, "%ld %ld", &total, &resident) != 2)
            resident = 0;
        fclose(file);
    }
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

/* What all TCP sockets of this machine hold in the kernel, in bytes (proc(5), sockstat). */
double kernel_memory(void)
{
    char line[256];
    long pages = 0;
    FILE *file = fopen("/proc/net/sockstat", "r");
    while (file && fgets(line, sizeof line, file)) {
        char *mem = strstr(line, " mem ");
        if (!strncmp(line, "TCP:", 4) && mem)
            pages = atol(mem + 5);
    }
    if (file)
        fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

void note_duration(struct durations *durations, double duration)
{
    if (durations->count == durations->limit) {
        durations->limit = durations->limit ? 2 * durations->limit : 1024;
        durations->values = realloc(durations->values, durations->limit * sizeof *durations->values);
        if (!durations->values)
            fail("out of memory");
    }
    durations->values[durations->count++] = duration;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static const char *separator = "";

void begin_result(void) { printf("{"); }

void put_figure(const char *name, double value)
{
    printf("%s\"%s\": %.9g", separator, name, value);
    separator = ", ";
}

/* The share of one processor that each side had. */
void put_shares(struct moment start, struct moment end)
{
    double wall = end.wall - start.wall;
    put_figure("load_share", (end.load - start.load) / wall);
    put_figure("server_share", (end.server - start.server) / wall);
}

/* Nearest rank, in microseconds. */
void put_latency(struct durations *durations)
{
    static const struct { const char *name; double share; } RANKS[] = {
        { "p50_us", 0.5 }, { "p99_us", 0.99 }, { "p999_us", 0.999 }, { "max_us", 1 },
    };
    if (!durations->count)
        fail("no latency was measured");
    qsort(durations->values, durations->count, sizeof *durations->values, compare);
    for (size_t i = 0; i < sizeof RANKS / sizeof *RANKS; i++) {
        size_t rank = (size_t)(RANKS[i].share * (double)durations->count);
        put_figure(RANKS[i].name, 1e6 * durations->values[rank < durations->count ? rank : durations->count - 1]);
    }
    put_figure("samples", (double)durations->count);
}

void end_result(void)
{
    printf("}\n");
    fflush(stdout);
}
