"""Limits that nobody needs to choose: how much is read, encrypted or rejected at once. Sizes are in bytes."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024

READ_SIZE: Final = 64 * KIB
"""The most that is read at once from a TLS connection, from one that is not a client yet, or from a rejected one."""

FIRST_READ_SIZE: Final = KIB
"""The most that is read at once from a TLS connection that is not a client yet, or encrypted for it. OpenSSL keeps the
largest buffer that it ever needed, and a thousand such pieces must not take long."""

TLS_PIECE_SIZE: Final = 64 * KIB
"""How much is encrypted before the socket has taken it."""

TLS_HELLO_LIMIT: Final = 16 * KIB
"""The most that the first message of a TLS client may take, in bytes, with the headers of its records. Real ones take
up to 2 KiB."""

TLS_HANDSHAKE_LIMIT: Final = 8 * KIB
"""The most that a TLS client may send behind its first message until the handshake is done, in bytes. It may be asked
for a second first message (RFC 8446, 4.1.2), of which OpenSSL alone would take 128 KiB."""

TLS_CERTIFICATES_LIMIT: Final = 32 * KIB
"""The same where clients are asked for certificates: a chain of three has up to 27 KiB, with the longest post-quantum
signatures (ML-DSA-87). OpenSSL alone would take 100 KiB."""

TLS_BARREN_LIMIT: Final = 32
"""How many TLS records without data, such as key updates, a client may send at once."""

TLS_BARREN_RATE: Final = 1.0
"""How many more of them it may send a second. Clients change keys after millions of records, or now and then. To follow
takes the processor 25 µs for 27 bytes on the wire."""

SHED_SLICE: Final = 64
"""Connections that are rejected at once when descriptors have run out. A rest of `Settings.shed_time` follows."""

HTTP_HEAD_LIMIT: Final = 16 * KIB
"""The most that the head of an answer over HTTP may take, in bytes."""

HTTP_WORDS_LIMIT: Final = 4 * KIB
"""How much is read of what an answer over HTTP says is wrong, in bytes."""

RETRY_AFTER_LIMIT: Final = 3600.0
"""The longest that a server over HTTP can have its readers wait before they come back, in seconds."""
