/* The protocols of the servers that are compared: how each says hello, and how it wraps a payload. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(literal) { literal, sizeof literal - 1 }
#define NOTHING { "", 0 }

static size_t append(char *to, const char *bytes, size_t size)
{
    memcpy(to, bytes, size);
    return size;
}

static size_t wrap_nothing(char *to, const char *payload, size_t size) { return append(to, payload, size); }

static size_t wrap_between(char *to, const char *before, const char *payload, size_t size, const char *after)
{
    size_t at = append(to, before, strlen(before));
    at += append(to + at, payload, size);
    return at + append(to + at, after, strlen(after));
}

static size_t wrap_nats_sent(char *to, const char *payload, size_t size)
{
    char head[64];
    snprintf(head, sizeof head, "PUB hub %zu\r\n", size);
    return wrap_between(to, head, payload, size, "\r\n");
}

static size_t wrap_nats_received(char *to, const char *payload, size_t size)
{
    char head[64];
    snprintf(head, sizeof head, "MSG hub 1 %zu\r\n", size);
    return wrap_between(to, head, payload, size, "\r\n");
}

static size_t wrap_redis_sent(char *to, const char *payload, size_t size)
{
    char head[64];
    snprintf(head, sizeof head, "*3\r\n$7\r\nPUBLISH\r\n$3\r\nhub\r\n$%zu\r\n", size);
    return wrap_between(to, head, payload, size, "\r\n");
}

static size_t wrap_redis_received(char *to, const char *payload, size_t size)
{
    char head[64];
    snprintf(head, sizeof head, "*3\r\n$7\r\nmessage\r\n$3\r\nhub\r\n$%zu\r\n", size);
    return wrap_between(to, head, payload, size, "\r\n");
}

/* Of the newest million messages at least; Redis deletes whole nodes of them. */
static size_t wrap_redis_entry(char *to, const char *payload, size_t size)
{
    char head[128];
    snprintf(head, sizeof head,
             "*8\r\n$4\r\nXADD\r\n$3\r\nhub\r\n$6\r\nMAXLEN\r\n$1\r\n~\r\n$7\r\n1000000\r\n$1\r\n*\r\n$1\r\nd\r\n$%zu\r\n",
             size);
    return wrap_between(to, head, payload, size, "\r\n");
}

/* MQTT 3.1.1, section 3.3: PUBLISH with QoS 0; the length has seven bits a byte (2.2.3). */
static size_t wrap_mqtt(char *to, const char *payload, size_t size)
{
    size_t at = 0, rest = 5 + size;
    to[at++] = 0x30;
    do {
        to[at++] = (char)((rest & 127) | (rest > 127 ? 128 : 0));
        rest >>= 7;
    } while (rest);
    at += append(to + at, "\0\003hub", 5);
    return at + append(to + at, payload, size);
}

enum { TEXT_FRAME = 1, BINARY = 2 };

/* RFC 6455, section 5.2: one frame. */
static size_t wrap_frame(char *to, int kind, const char *payload, size_t size, int masked)
{
    size_t at = 0;
    to[at++] = (char)(0x80 | kind);
    if (size < 126) {
        to[at++] = (char)(size | (masked ? 128 : 0));
    } else {
        to[at++] = (char)(126 | (masked ? 128 : 0));
        to[at++] = (char)(size >> 8);
        to[at++] = (char)size;
    }
    /* Masked with zero, a payload stays as it is. */
    if (masked)
        at += append(to + at, "\0\0\0\0", 4);
    return at + append(to + at, payload, size);
}

static size_t wrap_websocket_sent(char *to, const char *payload, size_t size)
{
    return wrap_frame(to, BINARY, payload, size, 1);
}

static size_t wrap_websocket_received(char *to, const char *payload, size_t size)
{
    return wrap_frame(to, BINARY, payload, size, 0);
}

/* A line without its end. */
static size_t wrap_line(char *to, const char *payload, size_t size) { return append(to, payload, size - 1); }

static size_t wrap_line_frame_sent(char *to, const char *payload, size_t size)
{
    return wrap_frame(to, TEXT_FRAME, payload, size - 1, 1);
}

static size_t wrap_nats_frame_sent(char *to, const char *payload, size_t size)
{
    char *message = allocate(1, size + WRAPPING_LIMIT);
    size_t wrapped = wrap_frame(to, BINARY, message, wrap_nats_sent(message, payload, size), 1);
    free(message);
    return wrapped;
}

#define GET(path, more) TEXT("GET " path " HTTP/1.1\r\nHost: localhost\r\n" more "\r\n")
#define UPGRADE(path) GET(path, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
#define HEAD_END TEXT("\r\n\r\n")

#define NATS_READER "CONNECT {\"verbose\":false,\"echo\":false}\r\nSUB hub 1\r\nPING\r\n"
#define NATS_SENDER "CONNECT {\"verbose\":false}\r\nPING\r\n"
/* The sizes in the heads of their frames. */
_Static_assert(sizeof NATS_READER - 1 == 0x39 && sizeof NATS_SENDER - 1 == 0x21, "a hello of NATS fits its frame");

/* Without a client's name (MQTT 3.1.1, section 3.1.3.1) and with a clean session; no keepalive. */
#define MQTT_CONNECT "\x10\x0c\0\4MQTT\4\2\0\0\0\0"

static const struct dialect DIALECTS[] = {
    {
        .name = "lines",
        .reader_hello = NOTHING, .reader_ready = NOTHING,
        .sender_hello = NOTHING, .sender_ready = NOTHING,
        .greeting = TEXT("hello\n"), .answer = TEXT("hello\n"),
        .aside = NOTHING, .before_tls = NOTHING,
        .wrap_sent = wrap_nothing, .wrap_received = wrap_nothing,
    },
    {
        .name = "nats",
        .reader_hello = TEXT(NATS_READER), .reader_ready = TEXT("PONG\r\n"),
        .sender_hello = TEXT(NATS_SENDER), .sender_ready = TEXT("PONG\r\n"),
        .greeting = TEXT(NATS_SENDER), .answer = TEXT("PONG\r\n"),
        /* The server asks after seconds, and does not mind for minutes if it gets no answer. */
        .aside = TEXT("PING\r\n"), .before_tls = TEXT("\r\n"),
        .wrap_sent = wrap_nats_sent, .wrap_received = wrap_nats_received,
    },
    {
        .name = "redis",
        .reader_hello = TEXT("SUBSCRIBE hub\r\n"), .reader_ready = TEXT("$3\r\nhub\r\n:1\r\n"),
        .sender_hello = TEXT("PING\r\n"), .sender_ready = TEXT("+PONG\r\n"),
        .greeting = TEXT("PING\r\n"), .answer = TEXT("+PONG\r\n"),
        .aside = NOTHING, .before_tls = NOTHING,
        .wrap_sent = wrap_redis_sent, .wrap_received = wrap_redis_received,
    },
    {
        /* A stream in files, bounded as hubbub's store is by default; each reader is a consumer, pushed without
         * acknowledgement and kept in memory, as the clients' ordered consumers are. */
        .name = "jetstream",
        .reader_hello = TEXT("CONNECT {\"verbose\":false}\r\nSUB R.#### 1\r\n"
                             "PUB $JS.API.CONSUMER.CREATE.hub none 137\r\n"
                             "{\"stream_name\":\"hub\",\"config\":{\"deliver_subject\":\"R.####\","
                             "\"deliver_policy\":\"new\",\"ack_policy\":\"none\",\"max_deliver\":1,"
                             "\"mem_storage\":true}}"
                             "\r\nPING\r\n"),
        .reader_ready = TEXT("PONG\r\n"),
        .sender_hello = TEXT("CONNECT {\"verbose\":false}\r\nSUB made 1\r\n"
                             "PUB $JS.API.STREAM.CREATE.hub made 110\r\n"
                             "{\"name\":\"hub\",\"subjects\":[\"hub\"],\"storage\":\"file\","
                             "\"retention\":\"limits\",\"discard\":\"old\",\"max_bytes\":1073741824}"
                             "\r\n"),
        .sender_ready = TEXT("\"did_create\":true}\r\n"),
        .greeting = NOTHING, .answer = NOTHING, .aside = NOTHING, .before_tls = NOTHING,
        .wrap_sent = wrap_nats_sent, .wrap_received = wrap_nothing, .unwrap = unwrap_jetstream,
    },
    {
        .name = "redis stream",
        .reader_hello = TEXT("PING\r\nXREAD BLOCK 0 STREAMS hub $\r\n"), .reader_ready = TEXT("+PONG\r\n"),
        .sender_hello = TEXT("PING\r\n"), .sender_ready = TEXT("+PONG\r\n"),
        .greeting = NOTHING, .answer = NOTHING, .aside = NOTHING, .before_tls = NOTHING,
        .wrap_sent = wrap_redis_entry, .wrap_received = wrap_nothing, .unwrap = unwrap_redis_stream,
    },
    {
        .name = "mqtt",
        .reader_hello = TEXT(MQTT_CONNECT "\x82\x08\0\1\0\3hub\0"), .reader_ready = TEXT("\x90\3\0\1\0"),
        .sender_hello = TEXT(MQTT_CONNECT), .sender_ready = TEXT("\x20\2\0\0"),
        .greeting = TEXT(MQTT_CONNECT), .answer = TEXT("\x20\2\0\0"),
        .aside = NOTHING, .before_tls = NOTHING,
        .wrap_sent = wrap_mqtt, .wrap_received = wrap_mqtt,
    },
    {
        .name = "websocket",
        .reader_hello = UPGRADE("/"), .reader_ready = HEAD_END,
        .sender_hello = UPGRADE("/"), .sender_ready = HEAD_END,
        .greeting = UPGRADE("/"), .answer = HEAD_END,
        .aside = NOTHING, .before_tls = NOTHING,
        .wrap_sent = wrap_websocket_sent, .wrap_received = wrap_websocket_received,
    },
    /* hubbub over HTTP: the sender is one of plain TCP. */
    {
        .name = "raw stream",
        .reader_hello = GET("/root/raw", ""), .reader_ready = HEAD_END,
        .sender_hello = NOTHING, .sender_ready = NOTHING,
        .wrap_sent = wrap_nothing, .wrap_received = wrap_nothing,
    },
    {
        /* It begins with when to come back. */
        .name = "events",
        .reader_hello = GET("/root/sse", ""), .reader_ready = TEXT("\n\n"),
        .sender_hello = NOTHING, .sender_ready = NOTHING,
        .wrap_sent = wrap_nothing, .wrap_received = wrap_nothing, .unwrap = unwrap_events,
    },
    {
        .name = "text frames",
        .reader_hello = UPGRADE("/root/ws"), .reader_ready = HEAD_END,
        .sender_hello = NOTHING, .sender_ready = NOTHING,
        .wrap_sent = wrap_nothing, .wrap_received = wrap_line, .unwrap = unwrap_frames,
    },
    {
        /* hubbub the other way: the sender is one of HTTP, with a body that hardly ends. */
        .name = "posted body",
        .post_path = "/root",
        .reader_hello = NOTHING, .reader_ready = NOTHING,
        .sender_hello = TEXT("POST /root HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
                             "Content-Length: 1000000000000\r\n\r\n"),
        .sender_ready = NOTHING,
        .wrap_sent = wrap_nothing, .wrap_received = wrap_nothing,
    },
    {
        .name = "nchan events",
        .post_path = "/pub",
        .reader_hello = GET("/sub", "Accept: text/event-stream\r\n"), .reader_ready = TEXT(": hi\n\n"),
        .sender_hello = UPGRADE("/pub"), .sender_ready = HEAD_END,
        .wrap_sent = wrap_line_frame_sent, .wrap_received = wrap_nothing, .unwrap = unwrap_events,
    },
    {
        .name = "nchan frames",
        .reader_hello = UPGRADE("/sub"), .reader_ready = HEAD_END,
        .sender_hello = UPGRADE("/pub"), .sender_ready = HEAD_END,
        .wrap_sent = wrap_line_frame_sent, .wrap_received = wrap_line, .unwrap = unwrap_frames,
    },
    {
        /* The protocol of "nats" in frames, of which one may have several messages. */
        .name = "nats frames",
        .upgrade = UPGRADE("/"),
        .reader_hello = TEXT("\x82\xB9\0\0\0\0" NATS_READER), .reader_ready = TEXT("PONG\r\n"),
        .sender_hello = TEXT("\x82\xA1\0\0\0\0" NATS_SENDER), .sender_ready = TEXT("PONG\r\n"),
        .aside = TEXT("PING\r\n"),
        .wrap_sent = wrap_nats_frame_sent, .wrap_received = wrap_nats_received, .unwrap = unwrap_frames,
    },
};

const struct dialect *find_dialect(const char *name)
{
    for (size_t i = 0; i < sizeof DIALECTS / sizeof *DIALECTS; i++)
        if (!strcmp(DIALECTS[i].name, name))
            return &DIALECTS[i];
    fail("there is no dialect %s", name);
}
