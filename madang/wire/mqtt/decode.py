"""Bytes to packet values, in whatever pieces they arrive.

The same bytes give the same packets and the same error however they are cut: checks of a packet wait until all of it is
there, except those that need the first byte or the length alone. Those come at once, so that nothing is buffered for a
packet that will be refused.

PUBLISH of QoS 0 and 1 is nearly all traffic, so it is decoded inside the loop of `feed`; everything else goes by table.
"""

from collections.abc import Callable
from typing import NoReturn

from madang.wire.mqtt.packets import (
    UNACCEPTABLE_VERSION,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    ProtocolError,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    Will,
)
from madang.wire.mqtt.topics import find_filter_fault, find_topic_fault

PACKET_MAX_DEFAULT = 1 << 20
"""Bytes in one packet, fixed header left out. A buffered truck sends a few kilobytes; a megabyte holds a picture."""
CONNECT_MAX = 128 << 10
"""Bytes in a CONNECT: nobody has said who they are yet. Room for the largest will, its topic and credentials."""
FILTERS_MAX = 64
"""Topic filters in one SUBSCRIBE or UNSUBSCRIBE."""

_NAMES = {
    0: "a reserved packet type",
    1: "CONNECT",
    2: "CONNACK",
    3: "PUBLISH",
    4: "PUBACK",
    5: "PUBREC",
    6: "PUBREL",
    7: "PUBCOMP",
    8: "SUBSCRIBE",
    9: "SUBACK",
    10: "UNSUBSCRIBE",
    11: "UNSUBACK",
    12: "PINGREQ",
    13: "PINGRESP",
    14: "DISCONNECT",
    15: "a reserved packet type",
}
_CONNECT = 1
_FROM_CLIENT = frozenset((1, 3, 4, 5, 6, 7, 8, 10, 12, 14))
_FROM_SERVER = frozenset((2, 3, 4, 5, 6, 7, 9, 11, 13))
# Table 2.2: the only flags that a packet other than PUBLISH may carry [MQTT-2.2.2-2].
_FLAGS = {6: 2, 8: 2, 10: 2}


class Decoder:
    """The reading half of one connection.

    `role` is our side: ``server`` takes what clients send and insists that CONNECT comes first and once [MQTT-3.1.0-1],
    [MQTT-3.1.0-2]; ``client`` takes what servers send. Memory held is at most one incomplete packet. Cost of a PUBLISH
    with 256 bytes: about 1 µs.

    >>> Decoder().feed(b"\\x10\\x0c\\x00\\x04MQTT\\x04\\x02\\x00\\x3c\\x00\\x00\\xc0\\x00")  # doctest: +ELLIPSIS
    [Connect(client_id='', keep_alive_s=60, clean_session=True, ...), Pingreq()]
    """

    __slots__ = ("_connected", "_failed", "_need", "_server", "_tail", "packet_max")

    def __init__(self, packet_max: int = PACKET_MAX_DEFAULT, role: str = "server") -> None:
        self.packet_max = packet_max
        self._server = role == "server"
        self._connected = not self._server
        self._tail = bytearray()
        self._need = 0
        """Length at which the packet begun in `_tail` is worth another look."""
        self._failed = False

    def feed(self, data: bytes) -> list[Packet]:
        """Take the next bytes; give back the packets that they complete, in order.

        Raises ProtocolError, which carries the packets decoded before the fault; after that it takes nothing more.
        """
        if self._failed:
            raise ProtocolError("malformed", "the connection broke the protocol before and should have been closed")
        tail = self._tail
        if tail:
            tail += data
            if len(tail) < self._need:
                return []
            data = bytes(tail)
            tail.clear()
        packets: list[Packet] = []
        append = packets.append
        position, end, packet_max = 0, len(data), self.packet_max
        try:
            while position < end:
                first = data[position]
                if first & 0xF0 != 0x30 or not self._connected:
                    self._check_first(first)
                body = position + 2
                if body > end:
                    self._need = 2
                    break
                length = data[position + 1]
                if length > 127:
                    length &= 127
                    shift = 7
                    while body < end:
                        byte = data[body]
                        body += 1
                        length |= (byte & 127) << shift
                        if byte < 128:
                            break
                        shift += 7
                        if shift > 21:
                            _malformed("the remaining length has more than four bytes (clause 2.2.3)")
                    else:
                        self._need = end - position + 1
                        break
                if length > packet_max or not self._connected:
                    self._check_length(length)
                stop = body + length
                if stop > end:
                    self._need = stop - position
                    break
                if first & 0xF0 == 0x30:
                    # body: topic length (2), topic, packet id (2, QoS 1 and 2 only), payload
                    if length < 2:
                        _malformed("a PUBLISH without a topic")
                    start = body + 2
                    after = start + (data[body] << 8 | data[body + 1])
                    qos = first & 6
                    if qos:
                        payload = after + 2
                        if payload > stop:
                            _malformed("a PUBLISH whose topic is longer than the packet")
                        packet_id = data[after] << 8 | data[after + 1]
                        if not packet_id:
                            _malformed("packet id 0 [MQTT-2.3.1-1]")
                        if qos == 6:
                            _malformed("QoS 3 does not exist [MQTT-3.3.1-4]")
                    else:
                        payload = after
                        if payload > stop:
                            _malformed("a PUBLISH whose topic is longer than the packet")
                        packet_id = 0
                        if first & 8:
                            _malformed("DUP with QoS 0 [MQTT-3.3.1-2]")
                    try:
                        topic = data[start:after].decode()
                    except UnicodeDecodeError:
                        _malformed("the topic is not UTF-8 [MQTT-1.5.3-1]; is the device set to another encoding?")
                    if not topic or "+" in topic or "#" in topic or "\0" in topic:
                        _malformed(find_topic_fault(topic) or "bad topic")
                    append(Publish(topic, data[payload:stop], qos >> 1, packet_id, first & 1 == 1, first & 8 == 8))
                else:
                    append(_DECODERS[first >> 4](data[body:stop]))
                    self._connected = True
                position = stop
        except ProtocolError as error:
            self._failed = True
            error.packets = packets
            raise
        if position < end:
            tail += data[position:] if position else data
        return packets

    def _check_first(self, first: int) -> None:
        """Refuse by the first byte what is not a packet or not this peer's to send."""
        kind = first >> 4
        if not self._connected and (kind != _CONNECT or first == 0x16):
            if first == 0x16:
                hint = "this looks like a TLS handshake, and the port speaks plain MQTT"
            elif first in b"GHOPDT":
                hint = "this looks like HTTP"
            else:
                hint = f"the first packet must be CONNECT, this is {_NAMES[kind]} [MQTT-3.1.0-1]"
            raise ProtocolError("not-mqtt", hint)
        if self._server and self._connected and kind == _CONNECT:
            raise ProtocolError("unexpected-packet", "a second CONNECT [MQTT-3.1.0-2]")
        if kind not in (_FROM_CLIENT if self._server else _FROM_SERVER):
            raise ProtocolError("unexpected-packet", f"{_NAMES[kind]} is not for the peer to send")
        if kind != 3 and first & 0x0F != _FLAGS.get(kind, 0):
            _malformed(f"{_NAMES[kind]} with flags {first & 0x0F:04b} [MQTT-2.2.2-2]")

    def _check_length(self, length: int) -> None:
        limit = self.packet_max if self._connected else min(self.packet_max, CONNECT_MAX)
        if length > limit:
            raise ProtocolError("too-large", f"a packet of {length:,} bytes; the limit here is {limit:,}")


def _malformed(reason: str) -> NoReturn:
    raise ProtocolError("malformed", reason)


class _Body:
    """A cursor over the body of one packet other than PUBLISH."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        start = self.position
        self.position = start + count
        if self.position > len(self.data):
            _malformed("the packet ends inside a field")
        return self.data[start : self.position]

    def byte(self) -> int:
        return self.take(1)[0]

    def integer(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def packet_id(self) -> int:
        value = self.integer()
        if not value:
            _malformed("packet id 0 [MQTT-2.3.1-1]")
        return value

    def binary(self) -> bytes:
        return self.take(self.integer())

    def string(self, what: str) -> str:
        try:
            text = self.binary().decode()
        except UnicodeDecodeError:
            _malformed(f"the {what} is not UTF-8 [MQTT-1.5.3-1]; is the device set to another encoding?")
        if "\0" in text:
            _malformed(f"the {what} holds U+0000 [MQTT-1.5.3-2]")
        return text

    def more(self) -> bool:
        return self.position < len(self.data)

    def finish(self) -> None:
        if self.more():
            _malformed(f"{len(self.data) - self.position} bytes too many at the end of the packet")


def _decode_connect(data: bytes) -> Connect:
    body = _Body(data)
    name, level = body.string("protocol name"), body.byte()
    if (name, level) != ("MQTT", 4):
        if name not in ("MQTT", "MQIsdp"):
            # [MQTT-3.1.2-1]: may be closed without an answer.
            raise ProtocolError("not-mqtt", f"protocol name {name[:20]!r} instead of MQTT [MQTT-3.1.2-1]")
        # [MQTT-3.1.2-2]: answer return code 1, then close. Clients of version 5 know that answer and say so.
        version = {3: "3.1", 5: "5"}.get(level, f"of level {level}")
        raise ProtocolError(
            "version", f"the client speaks MQTT {version}; set it to 3.1.1 [MQTT-3.1.2-2]", connack=UNACCEPTABLE_VERSION
        )
    flags = body.byte()
    if flags & 1:
        _malformed("the reserved connect flag is set [MQTT-3.1.2-3]")
    will_qos = flags >> 3 & 3
    if will_qos == 3:
        _malformed("will QoS 3 does not exist [MQTT-3.1.2-14]")
    if not flags & 0x04 and flags & 0x38:
        _malformed("will QoS or will retain without a will [MQTT-3.1.2-13], [MQTT-3.1.2-15]")
    if flags & 0x40 and not flags & 0x80:
        _malformed("a password without a user name [MQTT-3.1.2-22]")
    keep_alive_s = body.integer()
    client_id = body.string("client id")
    will = None
    if flags & 0x04:
        topic = body.string("will topic")
        fault = find_topic_fault(topic)
        if fault:
            _malformed(f"will topic: {fault}")
        will = Will(topic, body.binary(), will_qos, bool(flags & 0x20))
    username = body.string("user name") if flags & 0x80 else None
    password = body.binary() if flags & 0x40 else None
    body.finish()
    return Connect(client_id, keep_alive_s, bool(flags & 2), username, password, will)


def _decode_connack(data: bytes) -> Connack:
    if len(data) != 2 or data[0] > 1 or data[1] > 5 or (data[0] and data[1]):
        _malformed("a CONNACK that is not of version 3.1.1 (clause 3.2.2)")
    return Connack(data[1], bool(data[0]))


def _decode_subscribe(data: bytes) -> Subscribe:
    body = _Body(data)
    packet_id = body.packet_id()
    filters: list[tuple[str, int]] = []
    while body.more():
        filter_, qos = _filter(body, len(filters)), body.byte()
        if qos > 2:
            _malformed(f"requested QoS byte {qos:#x} [MQTT-3.8.3-4]")
        filters.append((filter_, qos))
    if not filters:
        _malformed("SUBSCRIBE without a topic filter [MQTT-3.8.3-3]")
    return Subscribe(packet_id, tuple(filters))


def _decode_unsubscribe(data: bytes) -> Unsubscribe:
    body = _Body(data)
    packet_id = body.packet_id()
    filters: list[str] = []
    while body.more():
        filters.append(_filter(body, len(filters)))
    if not filters:
        _malformed("UNSUBSCRIBE without a topic filter [MQTT-3.10.3-2]")
    return Unsubscribe(packet_id, tuple(filters))


def _filter(body: _Body, before: int) -> str:
    if before >= FILTERS_MAX:
        _malformed(f"more than {FILTERS_MAX} topic filters in one packet")
    filter_ = body.string("topic filter")
    fault = find_filter_fault(filter_)
    if fault:
        _malformed(fault)
    return filter_


def _decode_suback(data: bytes) -> Suback:
    body = _Body(data)
    packet_id = body.packet_id()
    codes = tuple(data[2:])
    if not codes or any(code > 2 and code != 0x80 for code in codes):
        _malformed("SUBACK with reserved return codes [MQTT-3.9.3-2]")
    return Suback(packet_id, codes)


def _id_only(
    kind: type[Puback] | type[Pubrec] | type[Pubrel] | type[Pubcomp] | type[Unsuback],
) -> Callable[[bytes], Packet]:
    def decode(data: bytes) -> Packet:
        body = _Body(data)
        packet_id = body.packet_id()
        body.finish()
        return kind(packet_id)

    return decode


def _empty(kind: type[Pingreq] | type[Pingresp] | type[Disconnect]) -> Callable[[bytes], Packet]:
    packet = kind()

    def decode(data: bytes) -> Packet:
        if data:
            _malformed(f"{kind.__name__.upper()} with a body")
        return packet

    return decode


_DECODERS: dict[int, Callable[[bytes], Packet]] = {
    1: _decode_connect,
    2: _decode_connack,
    4: _id_only(Puback),
    5: _id_only(Pubrec),
    6: _id_only(Pubrel),
    7: _id_only(Pubcomp),
    8: _decode_subscribe,
    9: _decode_suback,
    10: _decode_unsubscribe,
    11: _id_only(Unsuback),
    12: _empty(Pingreq),
    13: _empty(Pingresp),
    14: _empty(Disconnect),
}
