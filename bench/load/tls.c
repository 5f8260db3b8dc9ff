/* Connections in TLS: the handshake, and what is received and sent then. Who is at the other end is not asked. */
#include "load.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <string.h>

/* What a record holds at most (RFC 8446, section 5.1). */
enum { RECORD_MOST = 16 << 10 };

void start_tls(struct connection *connection)
{
    static SSL_CTX *context;
    if (!context) {
        /* OpenSSL writes as write(2) does. */
        signal(SIGPIPE, SIG_IGN);
        context = SSL_CTX_new(TLS_client_method());
        if (!context)
            fail("TLS: %s", ERR_reason_error_string(ERR_get_error()));
        /* One cipher for all servers, which choose differently. */
        if (!SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION)
            || !SSL_CTX_set_ciphersuites(context, "TLS_AES_256_GCM_SHA384"))
            fail("TLS: %s", ERR_reason_error_string(ERR_get_error()));
        SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    connection->tls = SSL_new(context);
    if (!connection->tls || !SSL_set_fd(connection->tls, connection->fd))
        fail("TLS: %s", ERR_reason_error_string(ERR_get_error()));
    SSL_set_connect_state(connection->tls);
}

/* What to wait for until it can go on; 0 if the connection has ended in order. */
static uint32_t wanted(const struct connection *connection, int result)
{
    switch (SSL_get_error(connection->tls, result)) {
    case SSL_ERROR_WANT_READ: return EPOLLIN;
    case SSL_ERROR_WANT_WRITE: return EPOLLOUT;
    case SSL_ERROR_ZERO_RETURN: return 0;
    case SSL_ERROR_SYSCALL:
        fail("connection %u in TLS: %s", connection->index, errno ? strerror(errno) : "end of stream");
    default: fail("connection %u in TLS: %s", connection->index, ERR_reason_error_string(ERR_get_error()));
    }
}

/* Of what went wrong before, on whichever connection, SSL_get_error would speak, too. */
static void forget_errors(void)
{
    ERR_clear_error();
    errno = 0;
}

uint32_t shake_hands(struct connection *connection)
{
    forget_errors();
    int result = SSL_do_handshake(connection->tls);
    if (result == 1)
        return 0;
    uint32_t events = wanted(connection, result);
    if (!events)
        fail("the server ended connection %u in its handshake", connection->index);
    return events;
}

size_t receive_tls(struct connection *connection)
{
    /* A record is taken whole: of what OpenSSL keeps, epoll would not tell. */
    size_t size = 0;
    while (sizeof received - size >= RECORD_MOST) {
        forget_errors();
        int result = SSL_read(connection->tls, received + size, (int)(sizeof received - size));
        if (result > 0)
            size += (size_t)result;
        else if (wanted(connection, result))
            break;
        else
            fail("the server ended connection %u after %llu messages", connection->index,
                 (unsigned long long)connection->heard);
    }
    return size;
}

size_t send_tls(struct connection *connection, const char *bytes, size_t size)
{
    size_t sent = 0;
    while (sent < size) {
        forget_errors();
        int result = SSL_write(connection->tls, bytes + sent, (int)(size - sent));
        if (result > 0)
            sent += (size_t)result;
        else if (wanted(connection, result))
            break;
        else
            fail("the server takes no more from connection %u", connection->index);
    }
    return sent;
}
