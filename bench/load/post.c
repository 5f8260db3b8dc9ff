/* Each client posts a message on a connection that it keeps, and posts again when it has its answer. */
#define _GNU_SOURCE
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_LIMIT = 4096 };

/* The size of a whole answer at the start of `text`; 0: not all of it has come. */
static size_t answer_size(const struct connection *client, const char *text)
{
    const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\nContent-Length:");
    if (!end)
        return 0;
    if (strncmp(text, "HTTP/1.1 2", 10) || !length || length > end)
        fail("client %u was answered with %.60s", client->index, text);
    size_t size = (size_t)(end + 4 - text) + (size_t)atol(length + 17);
    return size <= strlen(text) ? size : 0;
}

/* Whether what has come is an answer. */
static bool is_taken(struct connection *client, size_t arrived)
{
    if (!client->partial)
        client->partial = allocate(1, ANSWER_LIMIT);
    if (client->place + arrived >= ANSWER_LIMIT)
        fail("client %u was answered with more than %d bytes", client->index, ANSWER_LIMIT);
    memcpy(client->partial + client->place, received, arrived);
    client->place += arrived;
    client->partial[client->place] = 0;
    size_t size = answer_size(client, client->partial);
    if (!size)
        return false;
    if (size < client->place)
        fail("client %u was answered twice", client->index);
    return true;
}

void run_post(const struct options *options)
{
    size_t size = (size_t)options->size;
    char *request = allocate(1, size + 256);
    int head = snprintf(request, 256,
                        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
                        options->dialect->post_path, size);
    write_payload(request + head, size, 0, 0);
    ask_again_and_again(options, request, (size_t)head + size, is_taken);
}
