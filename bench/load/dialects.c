/* The protocols of the servers that are compared: how each says hello, and how it wraps a payload. */
#include "load.h"

#include <stdio.h>
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

/* RFC 6455, section 5.2: one binary frame. */
static size_t wrap_websocket(char *to, const char *payload, size_t size, int masked)
{
    size_t at = 0;
    to[at++] = (char)0x82;
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
    return wrap_websocket(to, payload, size, 1);
}

static size_t wrap_websocket_received(char *to, const char *payload, size_t size)
{
    return wrap_websocket(to, payload, size, 0);
}

#define UPGRADE TEXT("GET / HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")

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
        .reader_hello = TEXT("CONNECT {\"verbose\":false,\"echo\":false}\r\nSUB hub 1\r\nPING\r\n"),
        .reader_ready = TEXT("PONG\r\n"),
        .sender_hello = TEXT("CONNECT {\"verbose\":false}\r\nPING\r\n"), .sender_ready = TEXT("PONG\r\n"),
        .greeting = TEXT("CONNECT {\"verbose\":false}\r\nPING\r\n"), .answer = TEXT("PONG\r\n"),
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
        .wrap_sent = wrap_nats_sent, .wrap_received = wrap_nothing, .read_head = read_jetstream_head,
    },
    {
        .name = "redis stream",
        .reader_hello = TEXT("PING\r\nXREAD BLOCK 0 STREAMS hub $\r\n"), .reader_ready = TEXT("+PONG\r\n"),
        .sender_hello = TEXT("PING\r\n"), .sender_ready = TEXT("+PONG\r\n"),
        .greeting = NOTHING, .answer = NOTHING, .aside = NOTHING, .before_tls = NOTHING,
        .wrap_sent = wrap_redis_entry, .wrap_received = wrap_nothing, .read_head = read_redis_stream_head,
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
        .reader_hello = UPGRADE, .reader_ready = TEXT("\r\n\r\n"),
        .sender_hello = UPGRADE, .sender_ready = TEXT("\r\n\r\n"),
        .greeting = UPGRADE, .answer = TEXT("\r\n\r\n"),
        .aside = NOTHING, .before_tls = NOTHING,
        .wrap_sent = wrap_websocket_sent, .wrap_received = wrap_websocket_received,
    },
};

const struct dialect *find_dialect(const char *name)
{
    for (size_t i = 0; i < sizeof DIALECTS / sizeof *DIALECTS; i++)
        if (!strcmp(DIALECTS[i].name, name))
            return &DIALECTS[i];
    fail("there is no dialect %s", name);
}
