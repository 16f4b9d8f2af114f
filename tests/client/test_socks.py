"""SOCKS5: the proxy's URL, the conversation with it, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosq.client.errors import (
    ERRNO,
    INVALID,
    LOOKUP,
    NO_CONNECTION,
    NOT_AUTHORISED,
    PROTOCOL,
    PROXY,
    ClientError,
)
from mosq.client.transport.proxy import Proxy, ProxyURLError, parse
from mosq.client.transport.route import Route
from mosq.client.transport.socks import conversation
from tests.client.steps import advance, failure
from tests.harness.broker import free_port
from tests.harness.socks import SocksProxy

# The URL


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        (b"socks5h://proxy", Proxy("proxy")),
        (b"socks5h://proxy:1", Proxy("proxy", 1)),
        (b"socks5h://10.0.0.1:65535", Proxy("10.0.0.1", 65535)),
        (b"socks5h://[::1]", Proxy("::1")),
        (b"socks5h://[::1]:8", Proxy("::1", 8)),
        (b"socks5h://u@proxy", Proxy("proxy", 1080, b"u", b"")),
        (b"socks5h://u:p@proxy:9", Proxy("proxy", 9, b"u", b"p")),
        (b"socks5h://u:p@[fe80::1]:9", Proxy("fe80::1", 9, b"u", b"p")),
        (b"socks5h://%40%3a%3A:%25@proxy", Proxy("proxy", 1080, b"@::", b"%")),
        (b"socks5h://u:" + b"%25" * 255 + b"@proxy", Proxy("proxy", 1080, b"u", b"%" * 255)),
        (b"socks5h://proxy:9x", Proxy("proxy", 9)),
        (b"socks5h://" + b"h" * 256, Proxy("h" * 256)),
    ],
)
def test_url(url: bytes, proxy: Proxy) -> None:
    assert parse(url) == proxy


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (b"", b"Error: Unsupported proxy protocol: "),
        (b"socks5://proxy", b"Error: Unsupported proxy protocol: socks5://proxy"),
        (b"SOCKS5H://proxy", b"Error: Unsupported proxy protocol: SOCKS5H://proxy"),
        (b"http://proxy\xff", b"Error: Unsupported proxy protocol: http://proxy\xff"),
        (b"socks5h://u:p:q@proxy", b"Error: Username cannot contain ':'."),
        (b"socks5h://", b"Error: Invalid proxy."),
        (b"socks5h://u:p@", b"Error: Invalid proxy."),
        (b"socks5h://proxy:", b"Error: Invalid proxy."),
        (b"socks5h://[]:1", b"Error: Invalid proxy."),
        (b"socks5h://[::1][::1]:1", b"Error: Duplicate IPv6 address."),
        (b"socks5h://proxy:0", b"Error: Invalid proxy port 0"),
        (b"socks5h://proxy:65536", b"Error: Invalid proxy port 65536"),
        (b"socks5h://proxy:-1", b"Error: Invalid proxy port -1"),
        (b"socks5h://proxy:abc", b"Error: Invalid proxy port 0"),
        (b"socks5h://[::1]:0", b"Error: Invalid proxy port 0"),
        # nothing but the hint at --help
        (b"socks5h://:1", b""),
        (b"socks5h://:p@proxy", b""),
        (b"socks5h://u:@proxy", b""),
        (b"socks5h://@proxy", b""),
        (b"socks5h://u@v@proxy", b""),
        (b"socks5h://proxy:1:2", b""),
        (b"socks5h://[::1]:1:2", b""),
        (b"socks5h://[::1]x:1", b""),
        (b"socks5h://x[::1]:1", b""),
        (b"socks5h://[::1:1", b""),
        (b"socks5h://u%41@proxy", b""),
        (b"socks5h://u%@proxy", b""),
        (b"socks5h://u:p%3@proxy", b""),
    ],
)
def test_url_that_is_none(url: bytes, text: bytes) -> None:
    with pytest.raises(ProxyURLError) as caught:
        parse(url)
    assert (caught.value.text, caught.value.usage) == (text, True)


@pytest.mark.parametrize(
    "url", [b"socks5h://" + b"h" * 257, b"socks5h://" + b"u" * 256 + b"@h", b"socks5h://u:%s@h" % (b"p" * 256)]
)
def test_too_long_parts_of_a_url_end_without_a_word(url: bytes) -> None:
    with pytest.raises(ProxyURLError) as caught:
        parse(url)
    assert (caught.value.text, caught.value.usage) == (b"", False)


@given(st.binary(max_size=60))
def test_any_url_is_parsed_or_refused(rest: bytes) -> None:
    try:
        proxy = parse(b"socks5h://" + rest)
    except ProxyURLError:
        return
    assert proxy.host and 0 < proxy.port < 65536


# The conversation

ANSWER = b"\5\0\0\1\0\0\0\0\0\0"


def converse(
    server: bytes, *, user: bytes | None = None, password: bytes = b"", host: str = "h", port: int = 258
) -> bytes:
    """All that the client says, while the proxy's side is `server`."""
    talk = conversation(host, port, user, password)
    said, missing = next(talk)
    while True:
        answer, server = server[:missing], server[missing:]
        assert len(answer) == missing, "the client waits for more"
        try:
            more, missing = talk.send(answer)
        except StopIteration:
            assert not server, "the client read less than there was"
            return said
        said += more


def test_without_a_user() -> None:
    assert converse(b"\5\0" + ANSWER) == b"\5\1\0" + b"\5\1\0\3\1h\1\2"


def test_user_is_offered_and_need_not_be_wanted() -> None:
    assert converse(b"\5\0" + ANSWER, user=b"u", password=b"p") == b"\5\2\0\2" + b"\5\1\0\3\1h\1\2"


def test_user_and_password() -> None:
    said = converse(b"\5\2\1\0" + ANSWER, user=b"me", password=b"secret")
    assert said == b"\5\2\0\2" + b"\1\2me\6secret" + b"\5\1\0\3\1h\1\2"


def test_user_without_password_sends_an_empty_one() -> None:
    assert converse(b"\5\2\1\0" + ANSWER, user=b"me").startswith(b"\5\2\0\2" + b"\1\2me\0")


@pytest.mark.parametrize(
    ("host", "sent"),
    [
        ("127.0.0.1", b"\1\x7f\0\0\1"),
        ("::1", b"\4" + bytes(15) + b"\1"),
        ("localhost", b"\3\x09localhost"),
        ("127.1", b"\3\x05127.1"),
        ("bücher", b"\3\7b\xc3\xbccher"),
        ("h" * 255, b"\3\xff" + b"h" * 255),
    ],
)
def test_server_s_address(host: str, sent: bytes) -> None:
    assert converse(b"\5\0" + ANSWER, host=host) == b"\5\1\0\5\1\0" + sent + b"\1\2"


@pytest.mark.parametrize("host", ["", "h" * 256])
def test_host_that_cannot_be_asked_for(host: str) -> None:
    with pytest.raises(ClientError) as caught:
        converse(b"", host=host)
    assert caught.value.code == INVALID


@pytest.mark.parametrize(
    "address", [b"\1" + bytes(4), b"\4" + bytes(16), b"\3\0", b"\3\5proxy", b"\3\xff" + bytes(255)]
)
def test_any_address_of_the_proxy_is_passed_over(address: bytes) -> None:
    converse(b"\5\0\5\0\0" + address + b"\0\0")


REPLIES = {
    **dict.fromkeys((1, 6, 7, 8), PROXY),
    2: NOT_AUTHORISED,
    **dict.fromkeys((3, 4, 5), NO_CONNECTION),
    **dict.fromkeys((9, 255), INVALID),
}


@pytest.mark.parametrize(
    ("server", "code"),
    [
        (b"\4\0", PROXY),
        (b"\5\xff", NOT_AUTHORISED),
        (b"\5\1", PROXY),
        (b"\5\2\2\0", PROXY),
        (b"\5\0\4\0\0\1", PROXY),
        (b"\5\0\5\0\0\2", PROTOCOL),
        *((b"\5\0\5" + bytes((reply, 0, 1)), code) for reply, code in REPLIES.items()),
        *((b"\5\2\1" + bytes((status,)), code) for status, code in REPLIES.items()),
    ],
)
def test_failures(server: bytes, code: int) -> None:
    with pytest.raises(ClientError) as caught:
        converse(server, user=b"u", password=b"p")
    assert caught.value.code == code


def test_user_is_not_told_to_a_proxy_that_was_not_offered_one() -> None:
    with pytest.raises(ClientError) as caught:
        converse(b"\5\2\1\0")
    assert caught.value.code == PROXY


@settings(max_examples=300)
@given(st.binary(max_size=300), st.booleans())
def test_any_proxy_is_heard_out_or_refused(server: bytes, with_user: bool) -> None:
    talk = conversation("h", 1, b"u" if with_user else None, b"p")
    _, missing = next(talk)
    at = 0
    try:
        while at + missing <= len(server):
            _, missing = talk.send(server[at : at + missing])
            at += missing
    except (ClientError, StopIteration):
        pass


# The transport


@pytest.fixture
def proxies() -> Iterator[list[SocksProxy]]:
    made: list[SocksProxy] = []
    yield made
    for proxy in made:
        proxy.close()


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ((b"\5\xff",), NOT_AUTHORISED),
        ((b"\5\0", b"\5\5\0\1" + bytes(6)), NO_CONNECTION),
        ((b"\5",), PROXY),
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), PROXY),
        ((), PROXY),
    ],
)
def test_proxy_that_does_not_help(proxies: list[SocksProxy], script: tuple[bytes, ...], code: int) -> None:
    proxies.append(SocksProxy(script=script))
    route = Route("127.0.0.1", 1883, proxy=Proxy("127.0.0.1", proxies[0].port))
    assert failure(route.dial()()).code == code


def test_nothing_behind_the_answer_is_read(proxies: list[SocksProxy]) -> None:
    proxies.append(SocksProxy(script=(b"\5\0", b"\5\0\0\3\5proxy\0\0MQTT")))
    transport = Route("host", 1883, proxy=Proxy("127.0.0.1", proxies[0].port)).dial()()
    try:
        advance(transport)
        assert transport.direct and transport.connected
        assert transport.read() == b"MQTT"
    finally:
        transport.close()


def test_proxy_that_is_not_there() -> None:
    error = failure(Route("h", 1, proxy=Proxy("127.0.0.1", free_port())).dial()())
    assert (error.code, str(error)) == (ERRNO, "Connection refused")
    assert failure(Route("h", 1, proxy=Proxy("nowhere.invalid")).dial()()).code == LOOKUP
