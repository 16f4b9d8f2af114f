"""The text of --help: what each option is for, in the order of the table of options."""

from __future__ import annotations

from mosq.cli.client import options
from mosq.cli.client.settings import Tool

_ABOUT = {
    "P": "mosquitto_pub sends messages to an MQTT broker and exits.",
    "S": "mosquitto_sub subscribes to topics of an MQTT broker and prints the messages that come.",
    "R": "mosquitto_rr sends a request to an MQTT broker, prints the first response and exits.\n"
    "              The response is whatever arrives on the response topic;\n"
    "              who answers must publish there.",
}

_USAGE = {
    "P": """{[-h host] [--unix path] [-p port] -t topic | -L URL}
{-f file | -l | -m message | -n | -s}
[-q qos] [-r] [--repeat count] [--repeat-delay seconds]
""",
    "S": """{[-h host] [--unix path] [-p port] {-t topic | -U topic} ... | -L URL}
[-q qos] [-T filter ...] [-R] [--retain-handling when]
[--retain-as-published] [--retained-only] [--remove-retained]
[-C count] [-E] [-W seconds] [--random-filter percent]
[-F format [--pretty] | -v] [-N] [-w | --message-rate]
""",
    "R": """{[-h host] [--unix path] [-p port] -t topic | -L URL} -e topic
{-f file | -m message | -n | -s}
[-q qos] [-R] [--retain-handling when] [--retain-as-published]
[-F format [--pretty] | -v] [-N] [-W seconds] [--latency]
""",
}

_USAGE_ALL = """[-i id | -I prefix] [-u username [-P password]]
[-V version] [-c] [-x seconds] [-k seconds] [-M number]
[-A address] [--nodelay] [--ws] [--proxy url]
[-D command identifier value] ...
[--will-topic topic [--will-payload payload] [--will-qos qos]
  [--will-retain]]
[{--cafile file | --capath directory | --tls-use-os-certs}
  [--cert file --key file] [--keyform form] [--ciphers ciphers]
  [--insecure] [--tls-alpn protocol] [--tls-version version]
  [--tls-engine engine] [--tls-engine-kpass-sha1 sha1]
  [--tls-keylog file]]
[--psk key --psk-identity identity [--ciphers ciphers]] [--no-tls]
[-o file] [-d] [--quiet]
"""

TEXTS: dict[str, str | dict[str, str]] = {
    "-A": "send from this address of this machine: a host name or an IP address.",
    "-C": "exit after this many messages.",
    "-c": "keep the session after the connection: unread messages with QoS 1 and 2 wait\n"
    "for the client. Needs -i. How long: see -x.",
    "-D": "send a property of MQTT v5 with a packet, which is one of connect, publish,\n"
    "subscribe, unsubscribe, disconnect and will. For user-property, a name and a\n"
    "value follow. Implies -V 5.",
    "-d": "show what is sent and received.",
    "-E": "exit once the broker has answered the subscription.",
    "-e": "the topic on which the response is expected.",
    "-F": "print messages in this format; the manual page lists its sequences.",
    "-f": "send this file as one message.",
    "-h": "the broker's host. localhost unless given.",
    "-I": "use this and the number of the process as client id.",
    "-i": "the client id. Without it, the broker makes one up.",
    "-k": "at most this many seconds pass without a sign of life to the broker: 60\nunless given.",
    "-L": "broker, user and topic in one: mqtt://[user[:password]@]host[:port]/topic, or\n"
    "with mqtts, ws or wss in front, for TLS, WebSockets and both.",
    "-l": "send each line of the standard input as a message.",
    "-M": "at most this many messages with QoS 1 and 2 are on their way at once: 20\nunless given.",
    "-m": "send this text.",
    "-N": "print no newline after a message.",
    "-n": "send an empty message.",
    "-o": "read options from this file instead of the user's own, which is\n"
    "$XDG_CONFIG_HOME/{name} or $HOME/.config/{name}.",
    "-P": "the password.",
    "-p": "the broker's port. 1883 unless given, 8883 for TLS.",
    "-q": {
        "P": "the QoS of the messages: 0, 1 or 2. 0 unless given.",
        "S": "the QoS of the subscriptions: 0, 1 or 2. 0 unless given.",
        "R": "the QoS of subscription and request: 0, 1 or 2. 0 unless given.",
    },
    "-R": "do not print messages that the broker had retained, and do not ask for them.",
    "-r": "the broker is to retain the message.",
    "-s": "send all of the standard input as one message.",
    "-T": "do not print messages whose topic this filter matches. May be given several\ntimes.",
    "-t": {
        "P": "the topic to publish to.",
        "S": "a topic filter to subscribe to. May be given several times.",
        "R": "the topic to send the request to.",
    },
    "-U": "unsubscribe from this filter. May be given several times.",
    "-u": "the user name.",
    "--protocol-version": {
        "P": "the version of MQTT: 5, 311 or 31, which is 311 unless given.",
        "S": "the version of MQTT: 5, 311 or 31, which is 311 unless given.",
        "R": "the version of MQTT: 5, 311 or 31, which is 5 unless given.",
    },
    "-v": "print the topic before each message.",
    "-W": "give up after this many seconds.",
    "-w": "show the last message of each topic at a place of its own on the terminal.",
    "-x": "the session ends this many seconds after the connection. -1 or \u221e: never,\n"
    "which is also what -c means without -x. Implies -V 5.",
    "--help": "show this text.",
    "--latency": "print how long the response took.",
    "--message-rate": "print how many messages came in each second instead of the messages.",
    "--nodelay": "send small packets at once (TCP_NODELAY).",
    "--pretty": "lay out the JSON of %j and %J over several lines.",
    "--proxy": "connect through a SOCKS5 proxy: socks5h://[user[:password]@]host[:port]",
    "--quiet": "print no errors at run time.",
    "--random-filter": "print only this share of the messages, chosen at random: 0.1 to 100.",
    "--remove-retained": "have the broker forget the retained messages that it sends.",
    "--repeat": "send the message this many times.",
    "--repeat-delay": "with --repeat, wait this many seconds between two messages.",
    "--retain-as-published": "keep the retain flag as the publisher has set it (MQTT v5).",
    "--retain-handling": "when to ask for retained messages: always, new (only if the subscription is)\n"
    "or never (MQTT v5).",
    "--retained-only": "exit at the first message that was not retained.",
    "--unix": "connect to this unix socket.",
    "--version": "show the version.",
    "--will-payload": "the payload of the will, empty unless given.",
    "--will-qos": "the QoS of the will.",
    "--will-retain": "the broker is to retain the will.",
    "--will-topic": "have the broker publish a will on this topic when the connection is lost.",
    "--ws": "use WebSockets.",
    "--cafile": "trust the certificates in this file; enables TLS.",
    "--capath": "trust the certificates in this directory; enables TLS.",
    "--cert": "the client's certificate, with its chain.",
    "--ciphers": "the TLS ciphers to offer, as OpenSSL writes them.",
    "--insecure": "do not verify the broker's certificate. For tests only: whoever sits between\n"
    "can read and change everything.",
    "--key": "the client's private key.",
    "--keyform": "where the key is: pem, which is a file.",
    "--no-tls": "ignore all options about TLS.",
    "--psk": "a pre-shared key, in hexadecimal; enables TLS.",
    "--psk-identity": "the name of the pre-shared key.",
    "--tls-alpn": "the protocol to name in the TLS handshake.",
    "--tls-engine": "an OpenSSL engine. There are none any more: an error.",
    "--tls-engine-kpass-sha1": "for an engine's key: an error.",
    "--tls-keylog": "append the secrets of the connection to this file, for debugging.",
    "--tls-use-os-certs": "trust the certificates that the system trusts; enables TLS.",
    "--tls-version": "tlsv1.2 (or later) or tlsv1.3.",
}
"""By the first name of an option; where it depends, by the letter of the program."""


def explanation(option: options.Option, tool: Tool) -> str:
    """What an option is for."""
    text = TEXTS[option.names.split()[0]]
    return (text if isinstance(text, str) else text[tool.letter]).replace("{name}", tool.name)


def text(tool: Tool, version: str) -> str:
    """All that --help prints."""
    usage = _USAGE[tool.letter] + _USAGE_ALL
    lines = [f"Usage: {tool.name} {usage}".replace("\n", "\n" + " " * len(f"Usage: {tool.name} ")).rstrip()]
    lines += [f"       {tool.name} --help", ""]
    lines += [_entry(min(option.names.split(), key=len), explanation(option, tool)) for option in options.of(tool)]
    lines += ["", "See https://mosquitto.org/ for more information.", "", ""]
    return f"{_ABOUT[tool.letter]}\n{version}\n" + "\n".join(lines)


def _entry(name: str, text: str) -> str:
    return f" {name} : " + text.replace("\n", "\n" + " " * len(f" {name} : "))
