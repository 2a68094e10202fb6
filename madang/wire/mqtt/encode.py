"""Packet values to bytes. A value that cannot be written raises ValueError: the caller's mistake, not the peer's."""

from madang.wire.mqtt.packets import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
)
from madang.wire.mqtt.topics import find_filter_fault, find_topic_fault

REMAINING_LENGTH_MAX = 268_435_455
"""Largest remaining length that four bytes hold (clause 2.2.3)."""

PINGREQ, PINGRESP, DISCONNECT = b"\xc0\x00", b"\xd0\x00", b"\xe0\x00"


def encode(packet: Packet) -> bytes:
    """The packet as it goes over the wire.

    >>> encode(Puback(10))
    b'@\\x02\\x00\\n'
    """
    match packet:
        case Publish():
            return encode_publish(packet.topic, packet.payload, packet.qos, packet.packet_id, packet.retain, packet.dup)
        case Puback():
            return encode_puback(packet.packet_id)
        case Connect():
            return _encode_connect(packet)
        case Connack():
            # [MQTT-3.2.2-4]: a refusal never says that a session is present.
            if packet.session_present and packet.return_code:
                raise ValueError("a CONNACK that refuses has no session present")
            return bytes((0x20, 2, packet.session_present, packet.return_code))
        case Pubrec():
            return b"\x50\x02" + _packet_id(packet.packet_id)
        case Pubrel():
            return b"\x62\x02" + _packet_id(packet.packet_id)
        case Pubcomp():
            return b"\x70\x02" + _packet_id(packet.packet_id)
        case Subscribe():
            return _encode_subscribe(packet)
        case Suback():
            return _frame(0x90, _packet_id(packet.packet_id) + bytes(packet.return_codes))
        case Unsubscribe():
            body = b"".join(_string(_valid_filter(filter_)) for filter_ in packet.filters)
            if not body:
                raise ValueError("UNSUBSCRIBE needs a topic filter [MQTT-3.10.3-2]")
            return _frame(0xA2, _packet_id(packet.packet_id) + body)
        case Unsuback():
            return b"\xb0\x02" + _packet_id(packet.packet_id)
        case Pingreq():
            return PINGREQ
        case Pingresp():
            return PINGRESP
        case Disconnect():
            return DISCONNECT


def encode_publish(
    topic: str, payload: bytes, qos: int = 0, packet_id: int = 0, retain: bool = False, dup: bool = False
) -> bytes:
    """A PUBLISH packet. `packet_id` is 1 to 65,535 for QoS 1 and 2 and 0 for QoS 0."""
    fault = find_topic_fault(topic)
    if fault:
        raise ValueError(fault)
    if not 0 <= qos <= 2 or (qos == 0 and (dup or packet_id)):
        raise ValueError(f"QoS {qos} with packet id {packet_id} and DUP {dup} does not exist")
    head = _string(topic)
    if qos:
        head += _packet_id(packet_id)
    return _frame(0x30 | dup << 3 | qos << 1 | retain, head + payload)


def encode_puback(packet_id: int) -> bytes:
    """A PUBACK packet: the message with this id is committed."""
    return b"\x40\x02" + _packet_id(packet_id)


def encode_length(length: int) -> bytes:
    """The remaining length: seven bits a byte, the lowest first, the top bit says that more follows (clause 2.2.3).

    >>> encode_length(321)
    b'\\xc1\\x02'
    """
    if not 0 <= length <= REMAINING_LENGTH_MAX:
        raise ValueError(f"{length} bytes do not fit a packet; the limit is {REMAINING_LENGTH_MAX}")
    out = bytearray()
    while length > 127:
        out.append(length & 127 | 128)
        length >>= 7
    out.append(length)
    return bytes(out)


def _encode_connect(packet: Connect) -> bytes:
    flags = packet.clean_session << 1
    tail = _string(packet.client_id)
    if packet.will is not None:
        flags |= 0x04 | packet.will.qos << 3 | packet.will.retain << 5
        tail += _string(packet.will.topic) + _binary(packet.will.payload)
    if packet.username is not None:
        flags |= 0x80
        tail += _string(packet.username)
    if packet.password is not None:
        if packet.username is None:
            raise ValueError("a password needs a user name [MQTT-3.1.2-22]")
        flags |= 0x40
        tail += _binary(packet.password)
    return _frame(0x10, b"\x00\x04MQTT\x04" + bytes((flags,)) + packet.keep_alive_s.to_bytes(2, "big") + tail)


def _encode_subscribe(packet: Subscribe) -> bytes:
    if not packet.filters:
        raise ValueError("SUBSCRIBE needs a topic filter [MQTT-3.8.3-3]")
    body = b"".join(_string(_valid_filter(filter_)) + bytes((qos,)) for filter_, qos in packet.filters)
    return _frame(0x82, _packet_id(packet.packet_id) + body)


def _frame(first: int, body: bytes) -> bytes:
    return bytes((first,)) + encode_length(len(body)) + body


def _packet_id(packet_id: int) -> bytes:
    if not 0 < packet_id < 65_536:
        raise ValueError(f"packet id {packet_id} is not in 1 to 65,535 [MQTT-2.3.1-1]")
    return packet_id.to_bytes(2, "big")


def _string(text: str) -> bytes:
    if "\0" in text:
        raise ValueError("U+0000 in a string [MQTT-1.5.3-2]")
    return _binary(text.encode())


def _binary(data: bytes) -> bytes:
    if len(data) > 65_535:
        raise ValueError(f"{len(data)} bytes in a field that holds 65,535")
    return len(data).to_bytes(2, "big") + data


def _valid_filter(filter_: str) -> str:
    fault = find_filter_fault(filter_)
    if fault:
        raise ValueError(fault)
    return filter_
