"""The named limits of the MQTT listener. Each has a reason; what is refused by one is counted under its name."""

from msgspec import Struct

from madang.wire.mqtt import PACKET_MAX_DEFAULT


class Limits(Struct, frozen=True, kw_only=True):
    """All of them together bound the listener's memory: about `in_flight_bytes` plus a packet for each connection."""

    connections: int = 10_000
    """Open connections. The national fleet of slurry trucks is 1,080; a connection costs about 10 kB."""
    packet_bytes: int = PACKET_MAX_DEFAULT
    """Bytes in one packet. A larger one closes the connection before it is read."""
    in_flight: int = 50_000
    """Messages taken but not yet committed, of all connections: a few seconds of the writer."""
    in_flight_bytes: int = 64 << 20
    """Payload bytes of those messages."""
    in_flight_per_connection: int = 2_000
    """Messages of one connection, so that one flood does not use up everybody's room. Reading of it pauses there."""
    batches: int = 4
    """Submitted and not yet committed at once. Beyond that messages gather into the next batch: fewer and larger."""
    connect_s: float = 10.0
    """From the opened connection to a valid CONNECT: nobody holds a place without saying who they are."""
    close_s: float = 5.0
    """From our close to the end: a peer that does not read is cut off."""
    client_id_chars: int = 256
    """Characters in a client id. The standard asks for 23 at least [MQTT-3.1.3-5]."""
    resume_poll_s: float = 0.02
    """How often a paused listener asks whether ingest accepts again."""
    log_every_s: float = 10.0
    """Between two log lines of the same refusal of the same source; what was left out is said in the next."""
