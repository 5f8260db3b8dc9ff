/* What comes over HTTP: WebSocket frames and server-sent events. What is left in `received` is what they carry. */
#include "load.h"

#include <string.h>

static const char FIELD[] = "data: ";
enum { CONTROL = 8, CLOSE = 8, MASKED = 128, FIELD_SIZE = sizeof FIELD - 1 };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* How many bytes the head of a frame has, as far as it is there (RFC 6455, section 5.2). */
static size_t head_size(const struct head *head)
{
    int size = head->size < 2 ? 0 : head->line[1] & 127;
    return size == 126 ? 4 : size == 127 ? 10 : 2;
}

static size_t payload_size(const struct head *head)
{
    const unsigned char *line = (const unsigned char *)head->line;
    size_t size = 0;
    if (head->size == 2)
        return line[1];
    for (size_t i = 2; i < head->size; i++)
        size = size << 8 | line[i];
    return size;
}

/* Messages are what their frames carry; what control frames carry is nobody's message. */
size_t unwrap_frames(struct connection *connection, size_t count)
{
    struct head *head = &connection->head;
    char *kept = received;
    for (const char *data = received, *end = received + count; data < end;) {
        if (head->payload) {
            size_t size = least((size_t)(end - data), head->payload);
            if (!head->is_aside) {
                memmove(kept, data, size);
                kept += size;
            }
            data += size;
            head->payload -= size;
            continue;
        }
        head->line[head->size++] = *data++;
        if (head->size < head_size(head))
            continue;
        if ((head->line[0] & 15) == CLOSE || head->line[1] & MASKED)
            fail("connection %u: a frame begins with %02x %02x", connection->index, head->line[0] & 255,
                 head->line[1] & 255);
        head->payload = payload_size(head);
        head->is_aside = head->line[0] & CONTROL;
        head->size = 0;
    }
    return (size_t)(kept - received);
}

/* Messages are the lines of data; ids, comments, blank lines and the sizes of chunks are not. */
size_t unwrap_events(struct connection *connection, size_t count)
{
    struct head *head = &connection->head;
    char *kept = received;
    for (const char *data = received, *end = received + count; data < end;) {
        if (!head->size && end - data >= FIELD_SIZE) {
            /* The line begins here. This is most of what comes, so it is to be fast. */
            head->is_data = !memcmp(data, FIELD, FIELD_SIZE);
            head->size = FIELD_SIZE;
            data += head->is_data ? FIELD_SIZE : 0;
        } else if (head->size < FIELD_SIZE) {
            head->line[head->size++] = *data;
            head->is_data = !memcmp(head->line, FIELD, head->size);
            if (*data++ == '\n')
                head->size = 0;
            continue;
        }
        const char *line_end = memchr(data, '\n', (size_t)(end - data));
        size_t size = (size_t)((line_end ? line_end + 1 : end) - data);
        if (head->is_data) {
            memmove(kept, data, size);
            kept += size;
        }
        data += size;
        if (line_end)
            head->size = 0;
    }
    return (size_t)(kept - received);
}
