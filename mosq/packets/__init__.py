"""MQTT control packets that Python handles: bytes to values and values to bytes, one module per packet.

Theory of operation. A `parse` takes a packet as the core handed it up (the first byte of the fixed header, and the
bytes after the remaining length) and returns a value, or raises `ProtocolError` for the first rule that is broken. An
`encode` returns a whole packet. There is no I/O and no state here: what a rule needs to know about the listener or the
session is an argument. PUBLISH, its acknowledgements and PINGREQ never come here; the core answers those.
"""
