"""The options of mosquitto_pub, mosquitto_sub and mosquitto_rr.

Theory of operation. One row of the table says all about an option: its names, which programs have it, what its value is
called and what becomes of it. Words are read from left to right, each option taking as many as it needs whatever they
look like, first from the options file and then from the command line, so that the latter wins. The first mistake ends
the reading, and so do --help and --version where they stand. What can only be judged together is left to `checks`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from mosq import __version__
from mosq.cli.client import checks, options_file, property_option, url
from mosq.cli.client.numbers import atof, atoi, strtol
from mosq.cli.client.settings import NEVER, Ending, Settings, Tool, UsageError
from mosq.core import lib
from mosq.record import Record

LONGEST_PAYLOAD = 268435455
"""Bytes of a message."""
_LONGEST_TOPIC = 0xFFFF

Convert = Callable[[Settings, bytes], None]
Take = Callable[[Settings, Iterator[bytes]], None]


class Option(Record):
    """A row: the names, separated by blanks, the first being the one that messages use; the letters of the programs;
    `value` names what follows, "" for a flag; `take` reads that and changes the settings."""

    names: str
    tools: str
    value: str
    take: Take


def read(tool: Tool, words: Sequence[bytes]) -> Settings:
    """The settings that the options file and the command line, without the program's name, make.

    Raises Ending.
    """
    settings = Settings(tool)
    try:
        for line in options_file.lines(options_file.choose(tool, words)):
            _read(settings, line)
        _read(settings, words)
        checks.check(settings)
    except UsageError as error:
        raise usage(tool, error.text, spaced=error.spaced) from None
    url.hide(tool.name, words)
    return settings


def usage(tool: Tool, text: bytes, *, spaced: bool = False) -> Ending:
    """What a mistake on the command line ends with."""
    line = text + b"\n" if text else b""
    hint = f"\nUse '{tool.name} --help' to see usage.\n".encode()
    return Ending(err=line + b"\n" * spaced + hint)


def of(tool: Tool) -> list[Option]:
    """The options of a program."""
    return [option for option in TABLE if tool.letter in option.tools]


def _read(settings: Settings, words: Sequence[bytes]) -> None:
    rest = iter(words)
    for word in rest:
        option = _BY_NAME.get(word)
        if option is None or settings.tool.letter not in option.tools:
            raise UsageError(b"Error: Unknown option '%s'." % word)
        option.take(settings, rest)


# ---- rows of the table


def _flag(names: str, tools: str, attribute: str, setting: object = True) -> Option:
    def take(settings: Settings, rest: Iterator[bytes]) -> None:
        setattr(settings, attribute, setting)

    return Option(names, tools, "", take)


def _one(names: str, tools: str, value: str, missing: str, convert: Convert) -> Option:
    """An option with one value; `missing` is what a command line that ends before it lacks."""

    def take(settings: Settings, rest: Iterator[bytes]) -> None:
        given = next(rest, None)
        if given is None:
            raise UsageError(f"Error: {names.split()[0]} argument given but {missing}.", spaced=True)
        convert(settings, given)

    return Option(names, tools, value, take)


def _payload(names: str, tools: str, value: str = "", missing: str = "", convert: Convert | None = None) -> Option:
    """One of the options that say what to send: there can be only one."""
    mode = names[1]

    def set_mode(settings: Settings, given: bytes) -> None:
        if settings.mode:
            raise UsageError("Error: Only one type of message can be sent at once.", spaced=True)
        settings.mode = mode
        if convert:
            convert(settings, given)

    if value:
        return _one(names, tools, value, missing, set_mode)
    return Option(names, tools, "", lambda settings, rest: set_mode(settings, b""))


def _text(attribute: str) -> Convert:
    return lambda settings, value: setattr(settings, attribute, value)


def _name(attribute: str) -> Convert:
    """A name that the system knows: of a file, a host, a protocol."""
    return lambda settings, value: setattr(settings, attribute, os.fsdecode(value))


# ---- values


def _identity(attribute: str, other: str) -> Convert:
    def convert(settings: Settings, value: bytes) -> None:
        if getattr(settings, other) is not None:
            raise UsageError("Error: -i and -I argument cannot be used together.", spaced=True)
        setattr(settings, attribute, value)

    return convert


def _keepalive(settings: Settings, value: bytes) -> None:
    settings.keepalive = atoi(value)
    if not 5 <= settings.keepalive <= 65535:
        raise UsageError("Error: Invalid keepalive given, it must be between 5 and 65535 inclusive.", spaced=True)


def _max_inflight(settings: Settings, value: bytes) -> None:
    number = atoi(value)
    if number < 1:
        raise UsageError("Error: Maximum inflight messages must be greater than 0.", spaced=True)
    if number <= 65535:
        settings.max_inflight = number


def _port(settings: Settings, value: bytes) -> None:
    settings.port_given = atoi(value)
    if not 0 <= settings.port_given <= 65535:
        raise UsageError(f"Error: Invalid port given: {settings.port_given}")


def _unix(settings: Settings, value: bytes) -> None:
    settings.host, settings.port_given = os.fsdecode(value), 0


def _proxy(settings: Settings, value: bytes) -> None:
    from mosq.client.transport import proxy

    try:
        settings.proxy = proxy.parse(value)
    except proxy.ProxyURLError as error:
        if not error.usage:
            raise Ending() from None
        raise UsageError(b"" if settings.quiet else error.text) from None


def _qos(settings: Settings, value: bytes) -> None:
    settings.qos = atoi(value)
    if not 0 <= settings.qos <= 2:
        raise UsageError(f"Error: Invalid QoS given: {settings.qos}")


def _will_qos(settings: Settings, value: bytes) -> None:
    settings.will_qos = atoi(value)
    if not 0 <= settings.will_qos <= 2:
        raise UsageError(f"Error: Invalid will QoS {settings.will_qos}.", spaced=True)


_VERSIONS = {b"mqttv31": 3, b"31": 3, b"mqttv311": 4, b"311": 4, b"mqttv5": 5, b"5": 5}


def _version(settings: Settings, value: bytes) -> None:
    if value not in _VERSIONS:
        raise UsageError("Error: Invalid protocol version argument given.", spaced=True)
    settings.version = _VERSIONS[value]


def _session_expiry(settings: Settings, value: bytes) -> None:
    number, rest = (NEVER, b"") if value == "∞".encode() else strtol(value, 0)
    if rest or not value:
        raise UsageError("Error: session-expiry-interval not a number.", spaced=True)
    if not -1 <= number <= NEVER:
        raise UsageError("Error: session-expiry-interval out of range.", spaced=True)
    settings.session_expiry_given = NEVER if number == -1 else number
    settings.version = 5


def _repeat(settings: Settings, value: bytes) -> None:
    settings.repeat = atoi(value)
    if settings.repeat < 1:
        raise UsageError("Error: --repeat argument must be >0.", spaced=True)


def _repeat_delay(settings: Settings, value: bytes) -> None:
    settings.repeat_delay = atof(value)
    if not settings.repeat_delay >= 0.0:
        raise UsageError("Error: --repeat-delay argument must be >=0.0.", spaced=True)


def _message(settings: Settings, value: bytes) -> None:
    if len(value) > LONGEST_PAYLOAD:
        raise UsageError(f"Error: Message length must be less than {LONGEST_PAYLOAD} bytes.", spaced=True)
    settings.payload = value


def _count(settings: Settings, value: bytes) -> None:
    settings.count = atoi(value)
    if settings.count < 1:
        raise UsageError(f'Error: Invalid message count "{settings.count}".', spaced=True)


def _timeout(settings: Settings, value: bytes) -> None:
    settings.timeout = atoi(value)
    if settings.timeout < 1:
        raise UsageError(f'Error: Invalid timeout "{settings.timeout}".', spaced=True)


def _random_filter(settings: Settings, value: bytes) -> None:
    settings.random_filter = atof(value)
    if not 0.1 <= settings.random_filter <= 100.0:
        raise UsageError("Error: --random-filter chance must be between 0.1-100.0", spaced=True)


_RETAIN_HANDLING = {b"always": 0, b"new": 1, b"never": 2}


def _retain_handling(settings: Settings, value: bytes) -> None:
    if value not in _RETAIN_HANDLING:
        raise UsageError(b"Error: Unknown value '%s' for --retain-handling." % value, spaced=True)
    settings.retain_handling = _RETAIN_HANDLING[value]


def _no_retained(settings: Settings, rest: Iterator[bytes]) -> None:
    settings.no_retained = True
    settings.retain_handling = 2


def _latency(settings: Settings, rest: Iterator[bytes]) -> None:
    settings.latency = settings.nodelay = True


# ---- topics


def _checked(value: bytes, where: str, kind: str, *, wildcards: bool) -> bytes:
    """A topic name, or a filter. Raises UsageError."""
    if not lib.mq_utf8_valid(value, len(value)):
        raise UsageError(f"Error: Malformed UTF-8 in {where} argument.", spaced=True)
    valid = lib.mq_filter_valid if wildcards else lib.mq_topic_valid
    if len(value) > _LONGEST_TOPIC or not valid(value, len(value)):
        doubt = "are all '+' and '#' wildcards correct?" if wildcards else "does it contain '+' or '#'?"
        raise UsageError(f"Error: Invalid {kind} topic '".encode() + value + f"', {doubt}".encode())
    return value


def _name_topic(attribute: str, where: str, kind: str) -> Convert:
    return lambda settings, value: setattr(settings, attribute, _checked(value, where, kind, wildcards=False))


def _filter(attribute: str, where: str, kind: str) -> Convert:
    return lambda settings, value: getattr(settings, attribute).append(_checked(value, where, kind, wildcards=True))


def _topic(settings: Settings, value: bytes, where: str = "-t") -> None:
    if settings.tool.letter == "S":
        settings.filters.append(_checked(value, where, "subscription", wildcards=True))
    else:
        settings.topic = _checked(value, where, "publish", wildcards=False)


def _url(settings: Settings, value: bytes) -> None:
    _topic(settings, url.take(settings, value), "-L topic")


# ---- options that end or change the reading


def _help(settings: Settings, rest: Iterator[bytes]) -> None:
    raise Ending(out=help_text(settings.tool))


def help_text(tool: Tool) -> bytes:
    """What --help prints."""
    from mosq.cli.client import help

    return help.text(tool, version_line(tool)).encode()


def _show_version(settings: Settings, rest: Iterator[bytes]) -> None:
    raise Ending(out=version_line(settings.tool).encode())


def version_line(tool: Tool) -> str:
    return f"{tool.name} version {__version__} running on mosq {__version__}.\n"


def _format(settings: Settings, value: bytes) -> None:
    from mosq.cli.output.format import FormatError, check

    try:
        check(value)
    except FormatError as error:
        raise UsageError(error.text) from None
    settings.format = value


def _ignore(settings: Settings, value: bytes) -> None:
    """-o has been obeyed before."""


_ALL = "PSR"

TABLE = (
    _one("-A", _ALL, "address", "no address specified", _name("bind_address")),
    _one("-C", "S", "count", "no count specified", _count),
    _flag("-c --disable-clean-session", _ALL, "clean", False),
    Option("-D --property", _ALL, "command identifier value", property_option.take),
    _flag("-d --debug", _ALL, "debug"),
    _flag("-E", "S", "exit_after_suback"),
    _one("-e", "R", "topic", "no response topic specified", _name_topic("response_topic", "-e", "response")),
    _one("-F", "SR", "format", "no format specified", _format),
    _payload("-f --file", "PR", "file", "no file specified", _name("file")),
    _one("-h --host", _ALL, "host", "no host specified", _name("host")),
    _one("-I --id-prefix", _ALL, "prefix", "no id prefix specified", _identity("id_prefix", "client_id")),
    _one("-i --id", _ALL, "id", "no id specified", _identity("client_id", "id_prefix")),
    _one("-k --keepalive", _ALL, "seconds", "no keepalive specified", _keepalive),
    _one("-L --url", _ALL, "url", "no URL specified", _url),
    _payload("-l --stdin-line", "P"),
    _one("-M", _ALL, "number", "max_inflight not specified", _max_inflight),
    _payload("-m --message", "PR", "message", "no message specified", _message),
    _flag("-N", "SR", "newline", False),
    _payload("-n --null-message", "PR"),
    _one("-o", _ALL, "file", "no options file specified", _ignore),
    _one("-P --pw", _ALL, "password", "no password specified", _text("password")),
    _one("-p --port", _ALL, "port", "no port specified", _port),
    _one("-q --qos", _ALL, "qos", "no QoS specified", _qos),
    Option("-R", "SR", "", _no_retained),
    _flag("-r --retain", "P", "retain"),
    _payload("-s --stdin-file", "PR"),
    _one("-T --filter-out", "S", "filter", "no topic filter specified", _filter("filters_out", "-T", "filter")),
    _one("-t --topic", _ALL, "topic", "no topic specified", _topic),
    _one(
        "-U --unsubscribe", "S", "filter", "no unsubscribe topic specified", _filter("unsubscribe", "-U", "unsubscribe")
    ),
    _one("-u --username", _ALL, "username", "no username specified", _text("username")),
    _one("--protocol-version -V", _ALL, "version", "no version specified", _version),
    _flag("-v --verbose", "SR", "verbose"),
    _one("-W", "SR", "seconds", "no timeout specified", _timeout),
    _flag("-w --watch", "S", "watch"),
    _one("-x", _ALL, "seconds", "no session expiry interval specified", _session_expiry),
    Option("--help", _ALL, "", _help),
    Option("--latency", "R", "", _latency),
    _flag("--message-rate", "S", "message_rate"),
    _flag("--nodelay", _ALL, "nodelay"),
    _flag("--pretty", "SR", "pretty"),
    _one("--proxy", _ALL, "url", "no proxy url specified", _proxy),
    _flag("--quiet", _ALL, "quiet"),
    _one("--random-filter", "S", "percent", "no chance specified", _random_filter),
    _flag("--remove-retained", "S", "remove_retained"),
    _one("--repeat", "P", "count", "no count specified", _repeat),
    _one("--repeat-delay", "P", "seconds", "no time specified", _repeat_delay),
    _flag("--retain-as-published", "SR", "retain_as_published"),
    _one("--retain-handling", "SR", "when", "no option specified", _retain_handling),
    _flag("--retained-only", "S", "retained_only"),
    _one("--unix", _ALL, "path", "no socket path specified", _unix),
    Option("--version", _ALL, "", _show_version),
    _one("--will-payload", _ALL, "payload", "no will payload specified", _text("will_payload")),
    _one("--will-qos", _ALL, "qos", "no will QoS specified", _will_qos),
    _flag("--will-retain", _ALL, "will_retain"),
    _one("--will-topic", _ALL, "topic", "no will topic specified", _name_topic("will_topic", "--will-topic", "will")),
    _flag("--ws", _ALL, "websockets"),
    # TLS
    _one("--cafile", _ALL, "file", "no file specified", _name("cafile")),
    _one("--capath", _ALL, "directory", "no directory specified", _name("capath")),
    _one("--cert", _ALL, "file", "no file specified", _name("cert")),
    _one("--ciphers", _ALL, "ciphers", "no ciphers specified", _name("ciphers")),
    _flag("--insecure", _ALL, "insecure"),
    _one("--key", _ALL, "file", "no file specified", _name("key")),
    _one("--keyform", _ALL, "form", "no keyform specified", _name("keyform")),
    _flag("--no-tls", _ALL, "no_tls"),
    _one("--psk", _ALL, "key", "no key specified", _name("psk")),
    _one("--psk-identity", _ALL, "identity", "no identity specified", _name("psk_identity")),
    _one("--tls-alpn", _ALL, "protocol", "no protocol specified", _name("tls_alpn")),
    _one("--tls-engine", _ALL, "engine", "no engine_id specified", _name("tls_engine")),
    _one("--tls-engine-kpass-sha1", _ALL, "sha1", "no kpass sha1 specified", _name("tls_engine_kpass_sha1")),
    _one("--tls-keylog", _ALL, "file", "no file specified", _name("tls_keylog")),
    _flag("--tls-use-os-certs", _ALL, "use_os_certs"),
    _one("--tls-version", _ALL, "version", "no version specified", _name("tls_version")),
)
"""In the order of --help: short options, long ones, those for TLS."""

_BY_NAME = {name.encode(): option for option in TABLE for name in option.names.split()}
