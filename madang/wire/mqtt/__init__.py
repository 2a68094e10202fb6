"""MQTT 3.1.1 (OASIS standard of 29 October 2014): bytes ⇄ packet values. No sockets, no clock.

`Decoder.feed` turns whatever a connection delivered into packets, `encode` turns a packet into bytes, `topics` knows
names and filters. Clause numbers in square brackets, such as [MQTT-3.1.2-1], are the normative statements of that
standard.
"""

from madang.wire.mqtt.decode import PACKET_MAX_DEFAULT, Decoder
from madang.wire.mqtt.encode import encode, encode_puback, encode_publish
from madang.wire.mqtt.packets import (
    ACCEPTED,
    BAD_CREDENTIALS,
    IDENTIFIER_REJECTED,
    NOT_AUTHORISED,
    SERVER_UNAVAILABLE,
    SUBSCRIPTION_FAILED,
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
from madang.wire.mqtt.topics import find_filter_fault, find_topic_fault, matches

__all__ = [
    "ACCEPTED",
    "BAD_CREDENTIALS",
    "IDENTIFIER_REJECTED",
    "NOT_AUTHORISED",
    "PACKET_MAX_DEFAULT",
    "SERVER_UNAVAILABLE",
    "SUBSCRIPTION_FAILED",
    "UNACCEPTABLE_VERSION",
    "Connack",
    "Connect",
    "Decoder",
    "Disconnect",
    "Packet",
    "Pingreq",
    "Pingresp",
    "ProtocolError",
    "Puback",
    "Pubcomp",
    "Publish",
    "Pubrec",
    "Pubrel",
    "Suback",
    "Subscribe",
    "Unsuback",
    "Unsubscribe",
    "Will",
    "encode",
    "encode_puback",
    "encode_publish",
    "find_filter_fault",
    "find_topic_fault",
    "matches",
]
