"""The server's side of a handshake: a first message in any records, and no more than a client may cost."""

from __future__ import annotations

import ssl
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.values.fixed_limits import TLS_CERTIFICATES_LIMIT, TLS_HANDSHAKE_LIMIT, TLS_HELLO_LIMIT
from hubbub.wire.tls_handshake import Handshake, Hello
from hubbub.wire.tls_records import Records, TlsError

from support.certificates import (
    CERTIFICATE,
    CLIENT_HELLO,
    Certificates,
    client_hello,
    fragmented,
    hello_without_key,
    tls_message,
    tls_record,
)

NOT_TLS = "what the client sent is not TLS"
EMPTY = "the client sent an empty TLS record"
TOO_LONG = "the client's first message takes more than 16384 bytes"


# The first message.


def feed(pieces: list[bytes]) -> bytes | None:
    """What a first message is after the last of `pieces`; before, it is not complete."""
    hello = Hello()
    for piece in pieces[:-1]:
        assert hello.feed(piece) is None
        assert len(hello._arrived) + len(hello._message) <= TLS_HELLO_LIMIT + 5 + len(piece)
    return hello.feed(pieces[-1])


@given(st.binary(max_size=200), st.lists(st.integers(1, 203), max_size=8), st.data())
def test_a_first_message_is_complete_however_records_and_tcp_cut_it(
    body: bytes, cuts: list[int], data: st.DataObject
) -> None:
    whole = tls_message(CLIENT_HELLO, body)
    ends = sorted({cut for cut in cuts if cut < len(whole)})
    stream = b"".join(tls_record(whole[start:end]) for start, end in pairwise([0, *ends, len(whole)]))
    tcp_cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=8)))
    assert feed([stream[start:end] for start, end in pairwise([0, *tcp_cuts, len(stream)])]) == tls_record(whole)


def test_a_first_message_may_come_byte_by_byte_in_records_of_a_byte() -> None:
    stream = fragmented(client_hello(), 1)
    assert feed([stream[at : at + 1] for at in range(len(stream))]) == tls_record(stream[5::6])


def test_what_arrives_behind_the_first_message_follows_it() -> None:
    whole = tls_message(CLIENT_HELLO, b"hello")
    assert feed([tls_record(whole[:2]), tls_record(whole[2:]) + b"and more"]) == tls_record(whole) + b"and more"
    # In the same record too: it is for OpenSSL to say what it thinks of that.
    assert feed([tls_record(whole[:2]), tls_record(whole[2:] + b"more")]) == tls_record(whole + b"more")


def test_the_longest_first_message_is_complete() -> None:
    whole = tls_message(CLIENT_HELLO, b"x" * (TLS_HELLO_LIMIT - 4))
    assert feed([tls_record(whole)]) == tls_record(whole)
    # The headers of its records count: a client must not have the server look at 16,000 of them.
    whole = tls_message(CLIENT_HELLO, b"x" * 2726)
    assert feed([fragmented(tls_record(whole), 1)]) == tls_record(whole)
    with pytest.raises(TlsError, match=TOO_LONG):
        feed([fragmented(tls_record(tls_message(CLIENT_HELLO, b"x" * 2728)), 1)])


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([b"GET / HTTP/1.1\r\n\r\n"], NOT_TLS),
        ([b"\n"], NOT_TLS),
        ([tls_record(b"hello")], NOT_TLS),
        ([tls_record(tls_message(CERTIFICATE, b"x"))], NOT_TLS),
        # No other record may come in between.
        ([tls_record(tls_message(CLIENT_HELLO, b"x" * 9)[:5]), b"\x14"], NOT_TLS),
        ([tls_record(b"")], EMPTY),
        ([tls_record(b"\1"), tls_record(b"")], EMPTY),
        # A record or a message that says it is too long, before the rest has come.
        ([b"\x16\x03\x01\x40\x01"], TOO_LONG),
        ([tls_record(tls_message(CLIENT_HELLO, b"x" * 100, TLS_HELLO_LIMIT - 3))[:9]], TOO_LONG),
        ([*map(tls_record, (b"\1", b"\0", b"\x40", b"\0"))], TOO_LONG),
        # Two records that are too long together.
        ([tls_record(b"\1\0\1\0" + b"x" * 100)[:99], b"x" * 10, b"\x16\x03\x01\x3f\xff"], TOO_LONG),
    ],
)
def test_a_first_message_that_is_not_accepted_is_refused_with_a_plain_sentence(
    pieces: list[bytes], reason: str
) -> None:
    hello = Hello()
    for piece in pieces[:-1]:
        assert hello.feed(piece) is None
    with pytest.raises(TlsError) as refused:
        hello.feed(pieces[-1])
    assert str(refused.value) == reason


# What comes behind it.


class Pair:
    """A handshake and OpenSSL's client, without a socket."""

    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.records = Records()
        self.handshake = Handshake(server, self.incoming, self.outgoing, self.records)
        self._answers, self._asked = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(self._answers, self._asked, server_hostname="hubbub.test")

    def client_says(self) -> bytes:
        """What the client sends next."""
        self._answers.write(self.outgoing.read())
        with suppress(ssl.SSLWantReadError):
            self.client.do_handshake()
        return self._asked.read()

    def feed(self, data: bytes, piece: int = 1024) -> bool:
        """Feed the handshake in pieces; whether it is done."""
        done = False
        for start in range(0, len(data), piece):
            assert not done
            done = self.handshake.feed(memoryview(data[start : start + piece]))
        return done


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("mutual", [False, True])
@pytest.mark.parametrize("size", [1, 100, 16 * 1024])
def test_a_handshake_with_openssl_is_done_whatever_the_records_of_the_first_message(
    certificates: Certificates, version: ssl.TLSVersion, mutual: bool, size: int
) -> None:
    client = certificates.client_context(certificates.client if mutual else None, version=version)
    pair = Pair(certificates.tls(mutual=mutual).context, client)
    assert not pair.feed(fragmented(pair.client_says(), size))
    assert pair.feed(pair.client_says())
    assert pair.handshake.tls.version() == version.name.replace("_", ".")
    assert pair.records.whole == 0


def test_what_arrives_behind_a_handshake_stays_for_who_reads_next(certificates: Certificates) -> None:
    pair = Pair(certificates.tls().context, certificates.client_context())
    pair.feed(pair.client_says())
    finished = pair.client_says()
    pair.client.write(b"x" * 3_000)
    behind = pair.client_says()
    assert pair.feed(finished + behind, piece=8_192)
    assert bytes(pair.records.take()) == behind


def test_a_client_with_a_long_first_message_is_accepted_and_with_a_longer_one_refused(
    certificates: Certificates,
) -> None:
    context = certificates.client_context()
    context.set_alpn_protocols([f"{number:0200}" for number in range(75)])
    pair = Pair(certificates.tls().context, context)
    assert not pair.feed(pair.client_says())
    assert pair.feed(pair.client_says())

    context.set_alpn_protocols([f"{number:0200}" for number in range(85)])
    pair = Pair(certificates.tls().context, context)
    with pytest.raises(TlsError) as refused:
        pair.feed(pair.client_says())
    assert str(refused.value) == TOO_LONG


@pytest.mark.parametrize(
    ("mutual", "kind"), [(False, CLIENT_HELLO), (True, CLIENT_HELLO), (True, CERTIFICATE)], ids=str
)
def test_a_client_cannot_have_openssl_collect_a_message_without_end(
    certificates: Certificates, mutual: bool, kind: int
) -> None:
    """OpenSSL would take 128 KiB of a second first message, and 100 KiB of certificates."""
    context = certificates.client_context(certificates.client, version=ssl.TLSVersion.TLSv1_2)
    pair = Pair(certificates.tls(mutual=mutual).context, context)
    assert not pair.feed(hello_without_key() if kind == CLIENT_HELLO else pair.client_says())
    version = 0x0301 if kind == CLIENT_HELLO else 0x0303
    assert not pair.feed(tls_record(tls_message(kind, b"x" * 1015, 100_000), version=version))
    for _ in range(1, (TLS_CERTIFICATES_LIMIT if mutual else TLS_HANDSHAKE_LIMIT) // 1024):
        assert not pair.feed(tls_record(b"x" * 1019, version=version))
    with pytest.raises(TlsError, match=r"^the client's handshake is too long$"):
        pair.feed(tls_record(b"x", version=version))
