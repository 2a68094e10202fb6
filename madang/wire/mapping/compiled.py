"""The decoder of one source: topic and payload in, readings, rejects and identities out."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import orjson

from madang.model.entity import ID_LENGTH_MAX, Attributes, Decoded, Reading, Reject
from madang.model.time import Instant
from madang.wire.mapping.attributes import compile_attribute
from madang.wire.mapping.paths import MISSING, compile_path, show
from madang.wire.mapping.payload import PAYLOAD_MAX, NotReadable, parse_payload
from madang.wire.mapping.times import compile_time
from madang.wire.source import DEVICE_PATTERN, DEVICE_PLACE, Source, TopicPattern
from madang.wire.source_check import check_source

__all__ = ["PAYLOAD_MAX", "REJECTS_MAX", "CompiledMapping", "message_key"]

REJECTS_MAX = 32
"""Rejects told of one payload; the rest is counted in the last one."""
SEQUENCE_MAX = 64
"""Characters in a device's sequence number."""


def message_key(
    source_id: str, device: str, sequence: str | None, observed_at: Instant | None, topic: str, content: bytes
) -> bytes | None:
    """The identity of a reading (DESIGN §2), 16 bytes, or None when a repeat cannot be told from a new one.

    With a sequence: source, device, sequence and observation time. The time belongs to it because terminals count from 1
    again after a restart; pass 0 for a number that never starts again. Without a sequence but with a time in the payload:
    source, topic and content. `observed_at` None means that the payload carried no time: no identity.
    """
    if observed_at is None:
        return None
    # Fields are separated by U+0000, which none of them can hold before the last.
    if sequence is not None:
        return blake2b(f"s\0{source_id}\0{device}\0{sequence}\0{observed_at}".encode(), digest_size=16).digest()
    return blake2b(f"h\0{source_id}\0{topic}\0".encode() + content, digest_size=16).digest()


class CompiledMapping:
    """A source's decoder.

    It remembers which devices it has seen, for `devices_max`: hand in what the store knows as `devices`. Not for two threads
    at once. Cost: about 8 µs for a truck's payload of 190 bytes with ten attributes.

    Raises ValueError when the source itself is faulty (`check_source`).
    """

    def __init__(self, source: Source, devices: Iterable[str] = ()) -> None:
        faults = check_source(source)
        if faults:
            raise ValueError(f"source {source.id}: " + "; ".join(faults))
        mapping = source.mapping
        self.source = source
        self.pattern = TopicPattern(source.topic)
        self._takes = tuple(compile_attribute(attribute) for attribute in mapping.attributes)
        self._read_time = compile_time(mapping.time)
        self._find_sequence = compile_path(mapping.sequence) if mapping.sequence else None
        self._find_device = compile_path(mapping.device) if mapping.device else None
        self._find_items = compile_path(mapping.items) if mapping.items else None
        self._sequence_for_life = mapping.sequence_for_life
        self._type = mapping.entity_type
        self._before, self._after = mapping.id.split(DEVICE_PLACE)
        self._entities = {device: self._before + device + self._after for device in devices}
        self._topics: dict[str, str] = {}
        """Device by topic, for topics seen before: at most as many as devices."""

    @property
    def devices(self) -> int:
        """Number of devices seen."""
        return len(self._entities)

    def decode(self, topic: str, payload: bytes, received_at: Instant) -> Decoded:
        """Readings, rejects and identities of one payload. Never raises, whatever the bytes are.

        `topic` is the MQTT topic; for a source whose payload names the device it may be empty. A reading whose attributes
        are partly bad is kept with the good ones and the bad ones are among the rejects.
        """
        rejects: list[Reject] = []
        device = None
        if self.pattern.names_device:
            device = self._topics.get(topic) or self.pattern.find_device(topic)
            if device is None:
                told = f"topic {show(topic)} is not one of this source's ({self.source.topic})"
                return Decoded(rejects=(Reject("wrong-topic", f"{told}. Set the device's topic."),))
        try:
            document = parse_payload(payload)
        except NotReadable as error:
            return Decoded(rejects=(error.reject,))
        if document.__class__ is dict and self._find_items is None:
            one = self._read(document, device, topic, received_at, rejects)
            if one is not None:
                return Decoded((one[0],), tuple(rejects), (one[1],))
            return Decoded((), tuple(rejects))
        return self._read_many(document, device, topic, received_at)

    def _read_many(self, document: Any, device: str | None, topic: str, received_at: Instant) -> Decoded:
        if self._find_items is not None:
            document = self._find_items(document) if isinstance(document, dict) else document
        if isinstance(document, dict):
            document = [document]
        if not isinstance(document, list):
            where = f"at {self.source.mapping.items!r} " if self._find_items is not None else ""
            found = "nothing" if document is MISSING else show(document)
            return Decoded(
                rejects=(Reject("not-an-object", f"{where}an object or an array of objects is expected, not {found}."),)
            )
        items_max = self.source.mapping.items_max
        if len(document) > items_max:
            told = f"{len(document):,} readings in one payload; at most {items_max:,}"
            return Decoded(rejects=(Reject("too-many-readings", f"{told}. Send smaller batches."),))
        if not document:
            return Decoded(
                rejects=(Reject("empty", "the array holds no reading: the device sent a message for nothing."),)
            )
        readings: list[Reading] = []
        keys: list[bytes | None] = []
        rejects: list[Reject] = []
        for index, item in enumerate(document):
            told_of_this: list[Reject] = []
            if isinstance(item, dict):
                one = self._read(item, device, topic, received_at, told_of_this)
                if one is not None:
                    readings.append(one[0])
                    keys.append(one[1])
            else:
                told_of_this.append(Reject("not-an-object", f"an object is expected, not {show(item)}."))
            rejects += [Reject(reject.code, f"reading {index + 1}: {reject.detail}") for reject in told_of_this]
        if len(rejects) > REJECTS_MAX:
            more = len(rejects) - REJECTS_MAX + 1
            rejects[REJECTS_MAX - 1 :] = [Reject("more", f"{more:,} more rejects of this payload are not listed.")]
        return Decoded(tuple(readings), tuple(rejects), tuple(keys))

    def _read(
        self, item: dict[str, Any], device: str | None, topic: str, received_at: Instant, rejects: list[Reject]
    ) -> tuple[Reading, bytes | None] | None:
        """One reading with its identity, or None; adds to `rejects`."""
        if device is None:
            device = self._device_of(item, rejects)
            if device is None:
                return None
        entity_id = self._entities.get(device)
        if entity_id is None:
            entity_id = self._new_entity_id(device, rejects)
            if entity_id is None:
                return None
        observed_at = self._read_time(item, received_at)
        if isinstance(observed_at, Reject):
            rejects.append(observed_at)
            return None
        attributes: Attributes = {}
        for take in self._takes:
            take(item, attributes, rejects)
        if not attributes:
            if not rejects:
                rejects.append(
                    Reject(
                        "no-attributes",
                        "the payload holds none of the attributes of the mapping. Check the paths in it.",
                    )
                )
            return None
        sequence = None
        if self._find_sequence is not None:
            raw = self._find_sequence(item)
            if raw.__class__ is int:
                sequence = str(raw)
            elif raw is not MISSING and raw is not None:
                sequence = self._odd_sequence(raw, rejects)
        key = None
        if sequence is not None:
            when = 0 if self._sequence_for_life else observed_at
            key = message_key(self.source.id, device, sequence, when, topic, b"")
        elif observed_at is not None:
            content = _content(item)
            if content is not None:
                key = message_key(self.source.id, device, None, observed_at, topic, content)
        if device not in self._entities:
            self._entities[device] = entity_id
        if topic not in self._topics and self.pattern.names_device and len(self._topics) < self.source.devices_max:
            self._topics[topic] = device
        at = received_at if observed_at is None else observed_at
        return Reading(entity_id, self._type, at, attributes, sequence), key

    def _device_of(self, item: dict[str, Any], rejects: list[Reject]) -> str | None:
        path = self.source.mapping.device
        raw = self._find_device(item) if self._find_device is not None else MISSING
        if isinstance(raw, int) and not isinstance(raw, bool):
            raw = str(raw)
        if isinstance(raw, str):
            return raw
        found = "is missing" if raw is MISSING else f"is {show(raw)}"
        rejects.append(
            Reject("no-device", f"{path!r}, which names the device, {found}. Mend the device or the mapping.")
        )
        return None

    def _new_entity_id(self, device: str, rejects: list[Reject]) -> str | None:
        """The id of a device not seen before. It counts as seen only after its first good reading."""
        entity_id = self._before + device + self._after
        if not DEVICE_PATTERN.fullmatch(device) or len(entity_id) > ID_LENGTH_MAX:
            rejects.append(
                Reject(
                    "bad-device",
                    f"device name {show(device)}: only letters, digits and . _ ~ : @ - are allowed, 128 at most. Rename it.",
                )
            )
            return None
        if len(self._entities) >= self.source.devices_max:
            rejects.append(
                Reject(
                    "too-many-devices",
                    f"device {show(device)} would be one more than {self.source.devices_max:,}, the limit of this source. "
                    "Raise devices_max if the device is real.",
                )
            )
            return None
        return entity_id

    def _odd_sequence(self, raw: Any, rejects: list[Reject]) -> str | None:
        if isinstance(raw, str) and 0 < len(raw) <= SEQUENCE_MAX and raw.isprintable():
            return raw
        rejects.append(
            Reject(
                "bad-sequence",
                f"sequence {show(raw)} is neither a whole number nor a short text. The reading is kept; a repeat of it is "
                "known by its content only.",
            )
        )
        return None


def _content(item: dict[str, Any]) -> bytes | None:
    """The reading as bytes that do not depend on spacing or on the batch that it came in."""
    try:
        return orjson.dumps(item)
    except TypeError:  # nested deeper than orjson writes (254 levels), though it reads 1,024: no identity
        return None
