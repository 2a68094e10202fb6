"""A source's mapping, compiled once, turns payloads into readings. Pure; never raises on any payload.

>>> from madang.wire.source import AttributeMapping, Mapping, Source, TimeMapping
>>> source = Source(
...     id="meters", title={"en": "Meters"}, protocol="mqtt", topic="meter/{device}",
...     mapping=Mapping(
...         entity_type="Meter", id="urn:ngsi-ld:Meter:{device}", time=TimeMapping(path="t"), sequence="n",
...         attributes=(AttributeMapping(name="level", path="v", unit="MTR", minimum=0),)))
>>> decoder = CompiledMapping(source)
>>> decoded = decoder.decode("meter/M7", b'{"n": 5, "t": "2026-11-23T02:14:09Z", "v": 1.25}', 1_795_400_050_000_000)
>>> decoded.readings[0].entity_id, decoded.readings[0].attributes
('urn:ngsi-ld:Meter:M7', {'level': {'type': 'Property', 'value': 1.25, 'unitCode': 'MTR'}})
"""

from madang.wire.mapping.compiled import PAYLOAD_MAX, REJECTS_MAX, CompiledMapping, message_key

__all__ = ["PAYLOAD_MAX", "REJECTS_MAX", "CompiledMapping", "message_key"]
