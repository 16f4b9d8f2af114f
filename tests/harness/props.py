"""MQTT 5.0 properties as bytes: one function per property of the specification's table 2-4."""

from __future__ import annotations

from .packets import field, u16, u32, varint


def payload_format(value: int) -> bytes:
    return bytes([0x01, value])


def message_expiry(seconds: int) -> bytes:
    return b"\x02" + u32(seconds)


def content_type(value: str | bytes) -> bytes:
    return b"\x03" + field(value)


def response_topic(value: str | bytes) -> bytes:
    return b"\x08" + field(value)


def correlation_data(value: bytes) -> bytes:
    return b"\x09" + field(value)


def subscription_id(value: int) -> bytes:
    return b"\x0b" + varint(value)


def session_expiry(seconds: int) -> bytes:
    return b"\x11" + u32(seconds)


def assigned_client_id(value: str) -> bytes:
    return b"\x12" + field(value)


def server_keep_alive(seconds: int) -> bytes:
    return b"\x13" + u16(seconds)


def auth_method(value: str | bytes) -> bytes:
    return b"\x15" + field(value)


def auth_data(value: bytes) -> bytes:
    return b"\x16" + field(value)


def request_problem_info(value: int) -> bytes:
    return bytes([0x17, value])


def will_delay(seconds: int) -> bytes:
    return b"\x18" + u32(seconds)


def request_response_info(value: int) -> bytes:
    return bytes([0x19, value])


def response_info(value: str) -> bytes:
    return b"\x1a" + field(value)


def server_reference(value: str) -> bytes:
    return b"\x1c" + field(value)


def reason_string(value: str | bytes) -> bytes:
    return b"\x1f" + field(value)


def receive_maximum(value: int) -> bytes:
    return b"\x21" + u16(value)


def topic_alias_maximum(value: int) -> bytes:
    return b"\x22" + u16(value)


def topic_alias(value: int) -> bytes:
    return b"\x23" + u16(value)


def maximum_qos(value: int) -> bytes:
    return bytes([0x24, value])


def retain_available(value: int) -> bytes:
    return bytes([0x25, value])


def user_property(name: str | bytes, value: str | bytes) -> bytes:
    return b"\x26" + field(name) + field(value)


def maximum_packet_size(value: int) -> bytes:
    return b"\x27" + u32(value)


def wildcard_available(value: int) -> bytes:
    return bytes([0x28, value])


def subscription_id_available(value: int) -> bytes:
    return bytes([0x29, value])


def shared_available(value: int) -> bytes:
    return bytes([0x2A, value])
