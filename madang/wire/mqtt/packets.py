"""The packets of MQTT 3.1.1 as values, and the one error of the codec."""

from msgspec import Struct

ACCEPTED = 0
UNACCEPTABLE_VERSION = 1
IDENTIFIER_REJECTED = 2
SERVER_UNAVAILABLE = 3
BAD_CREDENTIALS = 4
NOT_AUTHORISED = 5
"""CONNACK return codes (table 3.1 of the standard)."""

SUBSCRIPTION_FAILED = 0x80
"""SUBACK return code: refused [MQTT-3.9.3-2]."""


class ProtocolError(Exception):
    """The peer broke the protocol (never our mistake). The connection must be closed [MQTT-4.8.0-1]."""

    def __init__(self, code: str, reason: str, *, connack: int | None = None) -> None:
        super().__init__(reason)
        self.code = code
        """Stable, for counting: ``malformed``, ``not-mqtt``, ``too-large``, ``version``, ``unexpected-packet``."""
        self.reason = reason
        """What is wrong, for the person who mends the device."""
        self.connack = connack
        """CONNACK return code to answer with before closing; None: close without an answer."""
        self.packets: list[Packet] = []
        """What was decoded whole, from the same bytes, before the fault. Those are good."""


class Will(Struct, frozen=True, gc=False):
    """The message that a client leaves with the server for the case that its connection breaks."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class Connect(Struct, frozen=True, gc=False):
    """The client's first packet: who it is (clause 3.1)."""

    client_id: str
    """May be empty with `clean_session` [MQTT-3.1.3-7]."""
    keep_alive_s: int
    """0: none asked for."""
    clean_session: bool
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None


class Connack(Struct, frozen=True, gc=False):
    """The answer to CONNECT (clause 3.2)."""

    return_code: int
    session_present: bool = False


class Publish(Struct, frozen=True, gc=False):
    """A message to a topic (clause 3.3)."""

    topic: str
    payload: bytes
    qos: int = 0
    packet_id: int = 0
    """1 to 65,535 for QoS 1 and 2; 0 for QoS 0, which has none."""
    retain: bool = False
    dup: bool = False


class Puback(Struct, frozen=True, gc=False):
    """Answer to a PUBLISH of QoS 1 (clause 3.4)."""

    packet_id: int


class Pubrec(Struct, frozen=True, gc=False):
    """First answer to a PUBLISH of QoS 2 (clause 3.5)."""

    packet_id: int


class Pubrel(Struct, frozen=True, gc=False):
    """The sender of a QoS 2 message lets it go (clause 3.6)."""

    packet_id: int


class Pubcomp(Struct, frozen=True, gc=False):
    """Last answer of QoS 2 (clause 3.7)."""

    packet_id: int


class Subscribe(Struct, frozen=True, gc=False):
    """A client asks to be sent the messages of topics (clause 3.8)."""

    packet_id: int
    filters: tuple[tuple[str, int], ...]
    """(topic filter, requested QoS), at least one [MQTT-3.8.3-3]."""


class Suback(Struct, frozen=True, gc=False):
    """The answer to SUBSCRIBE (clause 3.9)."""

    packet_id: int
    return_codes: tuple[int, ...]
    """Granted QoS, or `SUBSCRIPTION_FAILED`, one for each filter in order [MQTT-3.8.4-5]."""


class Unsubscribe(Struct, frozen=True, gc=False):
    """A client wants no more of topics (clause 3.10)."""

    packet_id: int
    filters: tuple[str, ...]


class Unsuback(Struct, frozen=True, gc=False):
    """The answer to UNSUBSCRIBE (clause 3.11)."""

    packet_id: int


class Pingreq(Struct, frozen=True, gc=False):
    """A client is still there (clause 3.12)."""


class Pingresp(Struct, frozen=True, gc=False):
    """So are we (clause 3.13)."""


class Disconnect(Struct, frozen=True, gc=False):
    """A client leaves in order: its will is not published (clause 3.14)."""


Packet = (
    Connect
    | Connack
    | Publish
    | Puback
    | Pubrec
    | Pubrel
    | Pubcomp
    | Subscribe
    | Suback
    | Unsubscribe
    | Unsuback
    | Pingreq
    | Pingresp
    | Disconnect
)
