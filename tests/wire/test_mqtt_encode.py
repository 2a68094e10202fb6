"""MQTT encoder: what cannot be written is refused, and paho reads what we write (tests/connectors holds the live tests)."""

import pytest

from madang.wire.mqtt import Connack, Connect, Publish, Subscribe, Unsubscribe, Will, encode
from madang.wire.mqtt.encode import encode_length


@pytest.mark.parametrize(
    ("length", "wire"),
    [  # table 2.4 of the standard
        (0, "00"),
        (127, "7f"),
        (128, "8001"),
        (16_383, "ff7f"),
        (16_384, "808001"),
        (2_097_151, "ffff7f"),
        (2_097_152, "80808001"),
        (268_435_455, "ffffff7f"),
    ],
)
def test_length(length: int, wire: str) -> None:
    assert encode_length(length) == bytes.fromhex(wire)


def test_connect_by_hand() -> None:
    packet = Connect("abc", 10, True, "user", b"pwd", Will("t/w", b"on", 1, True))
    assert encode(packet) == bytes.fromhex(
        "1023 0004 4d515454 04 ee 000a 0003 616263 0003 742f77 0002 6f6e 0004 75736572 0003 707764"
    )


@pytest.mark.parametrize(
    "packet",
    [
        Publish("", b""),
        Publish("a/+", b""),
        Publish("a", b"", 1, 0),
        Publish("a", b"", 0, 1),
        Publish("a", b"", 0, 0, dup=True),
        Publish("a", b"", 3, 1),
        Publish("a", b"", 1, 65_536),
        Publish("a" * 65_536, b""),
        Subscribe(1, ()),
        Subscribe(1, (("a#", 0),)),
        Unsubscribe(1, ()),
        Connect("a\0", 0, True),
        Connect("a", 0, True, None, b"secret"),
        Connack(4, session_present=True),
    ],
)
def test_what_cannot_be_written(packet: Publish) -> None:
    with pytest.raises(ValueError):
        encode(packet)


def test_a_length_that_does_not_fit() -> None:
    with pytest.raises(ValueError):
        encode_length(268_435_456)
