"""One MQTT connection of the listener: its state, its order, its limits. The listener owns everything that is shared.

The life of a connection: opened → CONNECT accepted → open → closing. Acknowledgements go out in the order in which messages came
[MQTT-4.6.0-2], even when a later batch is committed first: each batch leaves a `Part` here, and only a finished head is sent.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, cast

from madang.hub.messages import Message
from madang.wire.mqtt import (
    ACCEPTED,
    BAD_CREDENTIALS,
    IDENTIFIER_REJECTED,
    NOT_AUTHORISED,
    SERVER_UNAVAILABLE,
    SUBSCRIPTION_FAILED,
    Connack,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    ProtocolError,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    encode,
    encode_publish,
)
from madang.wire.source import Source, TopicPattern

if TYPE_CHECKING:
    from madang.connectors.mqtt_listener import MqttListener

HOLD_OWN, HOLD_WRITE, HOLD_ALL = 1, 2, 4
"""Why reading is paused: too many of its own in flight; the peer does not read its answers; the whole listener waits."""

_PINGRESP = encode(Pingresp())


class Part:
    """What one batch holds of one connection."""

    __slots__ = ("acks", "connection", "count", "done")

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection
        self.acks = bytearray()
        """PUBACK packets, ready to send, in order."""
        self.count = 0
        self.done = False


class Connection(asyncio.Protocol):
    """The protocol object of one socket. Everything here runs in the event loop."""

    def __init__(self, listener: "MqttListener") -> None:
        self._listener = listener
        self._limits = listener.limits
        self._decoder = Decoder(listener.limits.packet_bytes)
        self._parts: deque[Part] = deque()
        self._held = 0
        self._covers = TopicPattern("").covers
        self._commands = False
        self.open_part: Part | None = None
        """The part of the batch that the listener is gathering now."""
        self.source: Source | None = None
        self.client_id = ""
        self.peer = ""
        self.in_flight = 0
        self.last_heard = 0.0
        """Loop time in seconds."""
        self.patience_s = 0.0
        """Silence after which the connection is closed; 0: never."""
        self.closing_since = 0.0

    # -- called by the event loop ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        name = transport.get_extra_info("peername")
        self.peer = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name)
        self.last_heard = self._listener.loop_time()
        self.patience_s = self._limits.connect_s
        if not self._listener.opened(self):
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closing_since:
            self.closing_since = self._listener.loop_time()
        self._listener.closed(self)

    def data_received(self, data: bytes) -> None:
        if self.closing_since:
            return
        self.last_heard = self._listener.loop_time()
        try:
            packets = self._decoder.feed(data)
        except ProtocolError as error:
            # What came whole before the fault is good, and would not be sent again with QoS 0.
            self._take(error.packets)
            if not self.closing_since:
                self.refuse(error.code, error.reason, error.connack)
            return
        self._take(packets)

    def eof_received(self) -> bool:
        self.close()
        return False

    def pause_writing(self) -> None:
        self.hold(HOLD_WRITE)

    def resume_writing(self) -> None:
        self.release(HOLD_WRITE)

    # -- called by the listener -----------------------------------------------------------------------------------------

    def hold(self, why: int) -> None:
        """Read no more from this socket; the kernel's window then stops the device."""
        if not self._held and not self._gone():
            self._transport.pause_reading()
        self._held |= why

    def release(self, why: int) -> None:
        """Read again when no other reason is left."""
        if self._held & why:
            self._held &= ~why
            if not self._held and not self._gone():
                # While we did not listen the device could not be heard: its keep-alive begins again.
                self.last_heard = self._listener.loop_time()
                self._transport.resume_reading()

    def _gone(self) -> bool:
        """True when we closed it, or the system did and has not told us yet."""
        return bool(self.closing_since) or self._transport.is_closing()

    @property
    def held(self) -> bool:
        return self._held != 0

    def settle(self) -> None:
        """A part became durable: acknowledge the finished head of the line."""
        parts = self._parts
        acks = bytearray()
        while parts and parts[0].done:
            part = parts.popleft()
            self.in_flight -= part.count
            acks += part.acks
        if acks and not self._gone():
            self._transport.write(acks)
        if self.in_flight * 2 <= self._limits.in_flight_per_connection:
            self.release(HOLD_OWN)

    def send_command(self, payload: bytes) -> bool:
        """Send to the device's command topic; False when it does not listen there."""
        if not self._commands or self._gone() or self.source is None:
            return False
        self._transport.write(encode_publish(self._command_topic(self.source), payload))
        return True

    def close(self) -> None:
        """Send what is written, then close."""
        if not self.closing_since:
            self.closing_since = self._listener.loop_time()
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if not self.closing_since:
            self.closing_since = self._listener.loop_time()
        self._transport.abort()

    def refuse(self, code: str, reason: str, connack: int | None = None) -> None:
        """Close because of what the peer did; counted and logged under `code`."""
        self._listener.refused(self, code, reason)
        if connack is not None:
            self._transport.write(encode(Connack(connack)))
        self.close()

    # -- packets --------------------------------------------------------------------------------------------------------

    def _take(self, packets: list[Packet]) -> None:
        received_at = self._listener.now()
        part = None
        for packet in packets:
            if packet.__class__ is Publish:
                topic = packet.topic
                if packet.qos == 2:
                    self.refuse("qos-2", "the device publishes with QoS 2; set it to QoS 1")
                    return
                if not self._covers(topic):
                    own = self.source.topic if self.source is not None else ""
                    self.refuse("wrong-topic", f"topic {topic[:200]!r} is not one of the source's ({own})")
                    return
                if part is None:
                    part = self.open_part
                    if part is None:
                        part = self._begin_part()
                part.count += 1
                self.in_flight += 1
                if packet.qos:
                    part.acks += b"\x40\x02" + packet.packet_id.to_bytes(2, "big")
                self._listener.take(Message(packet.payload, topic, received_at), self)
            else:
                self._take_other(packet)
                if self.closing_since:
                    return
        if self.in_flight >= self._limits.in_flight_per_connection:
            self.hold(HOLD_OWN)

    def _begin_part(self) -> Part:
        part = self.open_part = Part(self)
        self._parts.append(part)
        return part

    def _take_other(self, packet: Packet) -> None:
        match packet:
            case Connect():
                self._connect(packet)
            case Pingreq():
                self._transport.write(_PINGRESP)
            case Subscribe():
                self._subscribe(packet)
            case Unsubscribe():
                if any(filter_ == self._own_commands() for filter_ in packet.filters):
                    self._commands = False
                self._transport.write(encode(Unsuback(packet.packet_id)))
            case Disconnect():
                self.close()
            case Pubrec() | Pubrel():
                self.refuse("qos-2", "the device speaks QoS 2; set it to QoS 1")
            case _:
                # PUBACK and PUBCOMP: commands go out with QoS 0, so there is nothing that they could answer.
                self.refuse("unexpected-packet", f"{type(packet).__name__} answers nothing that was sent")

    def _connect(self, packet: Connect) -> None:
        listener = self._listener
        self.client_id = packet.client_id
        if listener.stopping:
            return self.refuse("stopping", "the listener is stopping", SERVER_UNAVAILABLE)
        if packet.username is None:
            return self.refuse(
                "anonymous", "no user name: set the source id and its secret in the device", NOT_AUTHORISED
            )
        try:
            secret = (packet.password or b"").decode()
        except UnicodeDecodeError:
            secret = ""
        source = listener.authenticate(packet.username, secret)
        if source is None:
            reason = f"source {packet.username[:200]!r} is unknown, disabled, or its secret is wrong"
            return self.refuse("bad-credentials", reason, BAD_CREDENTIALS)
        if source.protocol != "mqtt":
            return self.refuse("not-an-mqtt-source", f"source {source.id} is not one that sends MQTT", NOT_AUTHORISED)
        if len(packet.client_id) > self._limits.client_id_chars:
            reason = f"client id of {len(packet.client_id)} characters; at most {self._limits.client_id_chars}"
            return self.refuse("client-id", reason, IDENTIFIER_REJECTED)
        if not packet.client_id:
            if not packet.clean_session:
                # [MQTT-3.1.3-8]
                return self.refuse("client-id", "an empty client id needs a clean session", IDENTIFIER_REJECTED)
            self.client_id = listener.next_client_id()
        self.source = source
        self._covers = TopicPattern(source.topic).covers
        # [MQTT-3.1.2-24]: one and a half times the keep-alive.
        self.patience_s = packet.keep_alive_s * 1.5
        listener.connected(self)
        # The session of a client that wants to keep one always exists: nothing is queued for it, and it has one
        # subscription, its own command topic. So it is present, also after we were restarted. Were it not, a client such
        # as gmqtt would throw away what it had sent and we had not acknowledged [MQTT-3.2.2-1], [MQTT-3.2.2-2].
        self._commands = not packet.clean_session and bool(self._own_commands())
        self._transport.write(encode(Connack(ACCEPTED, session_present=not packet.clean_session)))
        return None

    def _command_topic(self, source: Source) -> str:
        return source.command_topic.replace("{client}", self.client_id)

    def _own_commands(self) -> str:
        """The one filter that this client may subscribe to; empty when its id would make a wildcard of it."""
        if self.source is None or set(self.client_id) & set("+#/"):
            return ""
        return self._command_topic(self.source)

    def _subscribe(self, packet: Subscribe) -> None:
        own = self._own_commands()
        codes = []
        for filter_, _ in packet.filters:
            if own and filter_ == own:
                self._commands = True
                codes.append(0)
            else:
                self._listener.noted(
                    self, "subscription", f"{filter_[:200]!r} refused; its own command topic is {own!r}"
                )
                codes.append(SUBSCRIPTION_FAILED)
        self._transport.write(encode(Suback(packet.packet_id, tuple(codes))))
