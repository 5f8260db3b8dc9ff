/* Streams that a server stores: each message comes with a head of its own, and a reader may have to ask for the next.
 *
 * Heads are lines; a payload is of the size that its head says. What is left in `received` is the payloads. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char STREAM[] = "hub", FIELD[] = "d";

/* NATS: `MSG SUBJECT SID REPLY SIZE`. Between messages the server asks after the reader, and minds no silence. */
static size_t read_jetstream_head(struct connection *connection)
{
    const char *line = connection->head.line;
    if (*line == '-')
        fail("connection %u: %s", connection->index, line);
    return strncmp(line, "MSG ", 4) ? 0 : (size_t)atol(strrchr(line, ' ') + 1);
}

/* RESP2: `[[STREAM, [[ID, [FIELD, PAYLOAD]], ...]]]`. With the last payload of a reply, the next one is asked for. */
static size_t read_redis_stream_head(struct connection *connection)
{
    struct head *head = &connection->head;
    if (*head->line == '-')
        fail("connection %u: %s", connection->index, head->line);
    if (!strcmp(head->before, STREAM) && *head->line == '*')
        head->entries = atol(head->line + 1);
    else if (*head->line >= '0' && *head->line <= '9')
        strcpy(head->last, head->line);
    else if (!strcmp(head->before, FIELD) && *head->line == '$')
        return (size_t)atol(head->line + 1);
    else if (!*head->line && !--head->entries) {
        char request[256];
        int size = snprintf(request, sizeof request, "XREAD BLOCK 0 STREAMS %s %s\r\n", STREAM, head->last);
        send_all(connection, request, (size_t)size);
    }
    return 0;
}

/* `read_head` says the size of the payload that follows the line that was read, or 0. */
static size_t take_payloads(struct connection *connection, size_t count,
                            size_t (*read_head)(struct connection *connection))
{
    struct head *head = &connection->head;
    char *kept = received;
    for (const char *data = received, *end = received + count; data < end;) {
        if (head->payload) {
            size_t size = (size_t)(end - data) < head->payload ? (size_t)(end - data) : head->payload;
            memmove(kept, data, size);
            kept += size;
            data += size;
            head->payload -= size;
        } else if (*data++ != '\n') {
            if (head->size == sizeof head->line - 1)
                fail("connection %u: a head is too long: %s", connection->index, head->line);
            head->line[head->size++] = data[-1];
        } else {
            /* Lines end with CR LF. */
            head->line[head->size ? head->size - 1 : 0] = 0;
            head->payload = read_head(connection);
            strcpy(head->before, head->line);
            head->size = 0;
            memset(head->line, 0, sizeof head->line);
        }
    }
    return (size_t)(kept - received);
}

size_t unwrap_jetstream(struct connection *connection, size_t count)
{
    return take_payloads(connection, count, read_jetstream_head);
}

size_t unwrap_redis_stream(struct connection *connection, size_t count)
{
    return take_payloads(connection, count, read_redis_stream_head);
}
