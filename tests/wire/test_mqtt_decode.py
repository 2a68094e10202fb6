"""MQTT decoder: same bytes, same packets and same error however they are cut; no input raises anything but ProtocolError.

Byte strings marked "by hand" were written out from the figures of the standard, not produced by our encoder.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.wire.mqtt import (
    Connack,
    Connect,
    Decoder,
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
    encode,
)

CONNECT = bytes.fromhex("100c 0004 4d515454 04 02 003c 0000")
"""By hand: clean session, keep-alive 60 s, empty client id."""


def connected() -> Decoder:
    decoder = Decoder()
    decoder.feed(CONNECT)
    return decoder


def run(decoder: Decoder, data: bytes, cut: int) -> tuple[list[Packet], str | None]:
    """Everything decoded and the code of the error, when fed in pieces of `cut` bytes."""
    packets: list[Packet] = []
    for start in range(0, len(data), cut):
        try:
            packets += decoder.feed(data[start : start + cut])
        except ProtocolError as error:
            return packets + error.packets, error.code
    return packets, None


# By hand, flags as in figure 3.6 of the standard: user name and password, will QoS 1, clean session, keep-alive 10 s.
FIGURE_3_6 = bytes.fromhex("1023 0004 4d515454 04 ce 000a 0003 616263 0003 742f77 0002 6f6e 0004 75736572 0003 707764")


def test_connect_of_the_standards_example() -> None:
    [packet] = Decoder().feed(FIGURE_3_6)
    assert packet == Connect("abc", 10, True, "user", b"pwd", Will("t/w", b"on", 1, False))


@pytest.mark.parametrize(
    ("wire", "packet"),
    [
        ("30 05 0003 612f62", Publish("a/b", b"")),
        ("32 0a 0003 612f62 000a 313233", Publish("a/b", b"123", 1, 10)),
        ("3b 09 0003 612f62 ffff 31 32", Publish("a/b", b"12", 1, 65535, retain=True, dup=True)),
        ("34 07 0003 612f62 0001", Publish("a/b", b"", 2, 1)),
        ("30 08 0006 eba788eb8bb9", Publish("마당", b"")),
        ("40 02 0102", Puback(258)),
        ("50 02 0001", Pubrec(1)),
        ("62 02 0001", Pubrel(1)),
        ("70 02 0001", Pubcomp(1)),
        ("82 0e 000a 0003 612f62 01 0003 632f64 02", Subscribe(10, (("a/b", 1), ("c/d", 2)))),
        ("a2 0c 000a 0003 612f62 0003 632f64", Unsubscribe(10, ("a/b", "c/d"))),
        ("c0 00", Pingreq()),
        ("e0 00", Disconnect()),
    ],
)
def test_packets_of_a_client(wire: str, packet: Packet) -> None:
    data = bytes.fromhex(wire)
    assert connected().feed(data) == [packet]
    assert encode(packet) == data


@pytest.mark.parametrize(
    ("wire", "packet"),
    [
        ("20 02 01 00", Connack(0, session_present=True)),
        ("20 02 00 05", Connack(5)),
        ("90 04 000a 00 80", Suback(10, (0, 0x80))),
        ("b0 02 000a", Unsuback(10)),
        ("d0 00", Pingresp()),
    ],
)
def test_packets_of_a_server(wire: str, packet: Packet) -> None:
    data = bytes.fromhex(wire)
    assert Decoder(role="client").feed(data) == [packet]
    assert encode(packet) == data


@pytest.mark.parametrize(
    ("wire", "code", "words"),
    [
        ("30 ffffffff 7f", "malformed", "four bytes"),
        ("36 07 0003 612f62 0001", "malformed", "MQTT-3.3.1-4"),
        ("38 05 0003 612f62", "malformed", "MQTT-3.3.1-2"),
        ("32 07 0003 612f62 0000", "malformed", "MQTT-2.3.1-1"),
        ("32 05 0003 612f62", "malformed", "longer than the packet"),
        ("32 06 0003 612f62 00", "malformed", "longer than the packet"),
        ("30 04 0003 612f", "malformed", "longer than the packet"),
        ("30 01 00", "malformed", "without a topic"),
        ("30 00", "malformed", "without a topic"),
        ("30 02 0000", "malformed", "MQTT-4.7.3-1"),
        ("30 05 0003 612f2b", "malformed", "MQTT-3.3.2-2"),
        ("30 05 0003 612f23", "malformed", "MQTT-3.3.2-2"),
        ("30 05 0003 610062", "malformed", "MQTT-4.7.3-2"),
        ("30 05 0003 eda080", "malformed", "MQTT-1.5.3-1"),
        ("30 06 0004 b8b6b4e7", "malformed", "another encoding"),
        ("60 02 0001", "malformed", "MQTT-2.2.2-2"),
        ("80 08 0001 0003 612f62 00", "malformed", "MQTT-2.2.2-2"),
        ("82 02 0001", "malformed", "MQTT-3.8.3-3"),
        ("82 08 0001 0003 612f62 03", "malformed", "MQTT-3.8.3-4"),
        ("82 08 0001 0003 612362 00", "malformed", "MQTT-4.7.1-2"),
        ("82 08 0001 0003 612b62 00", "malformed", "MQTT-4.7.1-3"),
        ("82 07 0001 0003 612f62", "malformed", "inside a field"),
        ("a2 02 0001", "malformed", "MQTT-3.10.3-2"),
        ("c0 01 00", "malformed", "PINGREQ with a body"),
        ("40 03 000100", "malformed", "too many"),
        ("40 02 0000", "malformed", "MQTT-2.3.1-1"),
        ("20 02 0000", "unexpected-packet", "CONNACK"),
        ("00 00", "unexpected-packet", "reserved"),
        ("f0 00", "unexpected-packet", "reserved"),
        (CONNECT.hex(), "unexpected-packet", "MQTT-3.1.0-2"),
    ],
)
def test_broken_packets_of_a_client(wire: str, code: str, words: str) -> None:
    data = bytes.fromhex("c000") + bytes.fromhex(wire)
    for cut in (1, 2, len(data)):
        decoder = connected()
        assert run(decoder, data, cut) == ([Pingreq()], code)
        with pytest.raises(ProtocolError):
            decoder.feed(b"\xc0\x00")
    with pytest.raises(ProtocolError) as caught:
        connected().feed(data)
    assert words in caught.value.reason


@pytest.mark.parametrize(
    ("wire", "code", "connack", "words"),
    [
        ("c000", "not-mqtt", None, "MQTT-3.1.0-1"),
        ("1603010200", "not-mqtt", None, "TLS"),
        (b"GET / HTTP/1.1".hex(), "not-mqtt", None, "HTTP"),
        ("12 0c 0004 4d515454 04 02 003c 0000", "malformed", None, "MQTT-2.2.2-2"),
        ("10 0c 0004 4d515455 04 02 003c 0000", "not-mqtt", None, "MQTT-3.1.2-1"),
        ("10 0d 0004 4d515454 05 02 003c 00 0000", "version", 1, "speaks MQTT 5"),
        ("10 0e 0006 4d5149736470 03 02 003c 0000", "version", 1, "speaks MQTT 3.1;"),
        ("10 0c 0004 4d515454 04 03 003c 0000", "malformed", None, "MQTT-3.1.2-3"),
        ("10 0c 0004 4d515454 04 1e 003c 0000", "malformed", None, "MQTT-3.1.2-14"),
        ("10 0c 0004 4d515454 04 0a 003c 0000", "malformed", None, "MQTT-3.1.2-13"),
        ("10 0c 0004 4d515454 04 22 003c 0000", "malformed", None, "MQTT-3.1.2-15"),
        ("10 0c 0004 4d515454 04 42 003c 0000", "malformed", None, "MQTT-3.1.2-22"),
        ("10 0c 0004 4d515454 04 82 003c 0000", "malformed", None, "inside a field"),
        ("10 0d 0004 4d515454 04 02 003c 0000 00", "malformed", None, "too many"),
        ("10 0f 0004 4d515454 04 02 003c 0003 610062", "malformed", None, "MQTT-1.5.3-2"),
        ("10 ffff7f", "too-large", None, "limit here is 131,072"),
    ],
)
def test_broken_first_packets(wire: str, code: str, connack: int | None, words: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        Decoder().feed(bytes.fromhex(wire))
    assert (caught.value.code, caught.value.connack) == (code, connack)
    assert words in caught.value.reason
    assert run(Decoder(), bytes.fromhex(wire), 1)[1] == code


def test_a_payload_of_5_mb_is_refused_by_its_header_alone() -> None:
    decoder = connected()
    assert decoder.feed(b"\x32\x80\x80\xc0") == []  # 5 MiB follow; the last length byte is still missing
    with pytest.raises(ProtocolError) as caught:
        decoder.feed(b"\x02")
    assert caught.value.code == "too-large"
    assert caught.value.reason == "a packet of 5,242,880 bytes; the limit here is 1,048,576"


def test_a_large_packet_in_small_pieces_is_joined_once() -> None:
    payload = bytes(range(256)) * 4000
    data = encode(Publish("a/b", payload, 1, 3)) + b"\xc0\x00"
    assert run(connected(), data, 1400) == ([Publish("a/b", payload, 1, 3), Pingreq()], None)


@pytest.mark.parametrize("length", [0, 1, 120, 121, 122, 16_370, 16_376, 16_377, 16_378, 16_379, 16_380])
def test_lengths_around_the_steps_of_the_length_field(length: int) -> None:
    packet = Publish("a/b", b"x" * length)
    for cut in (1, 3, 7, 100_000):
        assert run(connected(), encode(packet) * 2, cut) == ([packet, packet], None)


def test_a_length_of_one_too_many_bytes_is_accepted_as_the_standard_allows() -> None:
    # Clause 2.2.3 does not forbid a length with leading zero groups: 0x82 0x00 is 2.
    assert connected().feed(bytes.fromhex("40 8200 0001")) == [Puback(1)]


packets = st.one_of(
    st.builds(
        Publish, st.sampled_from(["a", "a/b", "manure/T-1/telemetry", "마당/온도"]), st.binary(max_size=300), st.just(0)
    ),
    st.builds(
        Publish, st.sampled_from(["a", "/"]), st.binary(max_size=40), st.sampled_from([1, 2]), st.integers(1, 65535)
    ),
    st.builds(Puback, st.integers(1, 65535)),
    st.builds(Subscribe, st.integers(1, 65535), st.just((("+/a", 1), ("#", 0)))),
    st.builds(Unsubscribe, st.integers(1, 65535), st.just(("a/#",))),
    st.sampled_from([Pingreq(), Disconnect()]),
)


@given(st.lists(packets, max_size=8), st.integers(1, 50), st.binary(max_size=4))
@settings(max_examples=150, deadline=None)
def test_cuts_change_nothing(sent: list[Packet], cut: int, noise: bytes) -> None:
    data = b"".join(encode(packet) for packet in sent) + noise
    whole = run(connected(), data, len(data) or 1)
    assert run(connected(), data, cut) == whole
    assert run(connected(), data, 1) == whole
    assert whole[0][: len(sent)] == sent


@given(st.binary(max_size=200), st.booleans(), st.sampled_from(["server", "client"]))
@settings(max_examples=400, deadline=None)
def test_arbitrary_bytes_raise_only_protocol_errors(data: bytes, after_connect: bool, role: str) -> None:
    decoder = Decoder(role=role)
    if after_connect and role == "server":
        decoder.feed(CONNECT)
    first = run(decoder, data, len(data) or 1)
    again = Decoder(role=role)
    if after_connect and role == "server":
        again.feed(CONNECT)
    assert run(again, data, 1) == first


@given(st.binary(max_size=60), st.sampled_from([0x10, 0x82, 0xA2, 0x30, 0x32]))
@settings(max_examples=300, deadline=None)
def test_arbitrary_bodies_raise_only_protocol_errors(body: bytes, first: int) -> None:
    decoder = Decoder() if first == 0x10 else connected()
    run(decoder, bytes((first, len(body))) + body, 1000)
