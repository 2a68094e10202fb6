"""Is a source usable? Everything that is wrong with it, at once, in sentences for the person who wrote it."""

import re

import msgspec

from madang.wire.source import DEVICE_PATTERN, DEVICE_PLACE, AttributeMapping, Mapping, Source


def decode_source(document: bytes) -> Source:
    """Read a source from JSON. Raises ValueError with everything that is wrong with it (its author's mistake)."""
    try:
        source = msgspec.json.decode(document, type=Source)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"not a source: {error}") from error
    faults = check_source(source)
    if faults:
        raise ValueError("; ".join(faults))
    return source


def check_source(source: Source) -> list[str]:
    """Everything that is wrong with a source, in sentences; empty when it can be used."""
    faults: list[str] = []
    if not DEVICE_PATTERN.fullmatch(source.id):
        faults.append(f"id {source.id!r} may hold letters, digits and . _ ~ : @ - only, 128 at most")
    if source.secret_sha256 and not re.fullmatch("[0-9a-fA-F]{64}", source.secret_sha256):
        faults.append("secret_sha256 must be 64 hexadecimal digits: the SHA-256 of the secret, not the secret")
    if source.devices_max < 1 or source.mapping.items_max < 1:
        faults.append("devices_max and items_max must be at least 1")
    if not source.cadence_s > 0:
        faults.append("cadence_s must be above 0")
    if not source.rest_s >= 0:
        faults.append("rest_s must not be negative")
    faults += _check_topics(source)
    faults += _check_mapping(source.mapping)
    return faults


def _check_topics(source: Source) -> list[str]:
    faults: list[str] = []
    levels = source.topic.split("/")
    if source.protocol == "mqtt" and not source.topic:
        faults.append("topic is missing: an MQTT source needs one, such as manure/{device}/telemetry")
    if any(set(level) & set("+#{}\0") and level not in ("+", DEVICE_PLACE) for level in levels):
        faults.append(
            f"topic {source.topic!r}: + and {{device}} must stand alone in their level, and nothing else is special"
        )
    if source.topic.startswith("$") or levels.count(DEVICE_PLACE) > 1:
        faults.append(f"topic {source.topic!r} begins with $ or names the device twice")
    if DEVICE_PLACE not in levels and not source.mapping.device:
        faults.append("nothing names the device: put {device} into the topic or give mapping.device")
    if DEVICE_PLACE in levels and source.mapping.device:
        faults.append("both the topic and mapping.device name the device; only one may")
    command = source.command_topic.split("/")
    if command.count("{client}") != 1 or any(set(level) & set("+#\0") for level in command):
        faults.append(f"command_topic {source.command_topic!r} must have {{client}} as one level and no wildcard")
    return faults


def _check_mapping(mapping: Mapping) -> list[str]:
    faults: list[str] = []
    if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9+.-]*:\S*", mapping.id) or mapping.id.count(DEVICE_PLACE) != 1:
        faults.append(
            f"id {mapping.id!r} must be a URI with {{device}} in it once, such as urn:ngsi-ld:Vehicle:{{device}}"
        )
    if not mapping.entity_type:
        faults.append("entity_type is missing")
    if not mapping.attributes:
        faults.append("attributes is empty: nothing would be kept")
    names = [attribute.name for attribute in mapping.attributes]
    faults += [f"attribute {name!r} stands twice" for name in sorted({n for n in names if names.count(n) > 1})]
    time = mapping.time
    if time is not None:
        if not time.path:
            faults.append("time.path is missing")
        if (time.format == "local") != (time.offset_min is not None):
            faults.append("time.offset_min belongs to format local, and to it only (540 in Korea)")
        if time.offset_min is not None and abs(time.offset_min) > 14 * 60:
            faults.append("time.offset_min is minutes east of UTC, at most 840")
        if not (time.future_max_s >= 0 and time.too_old_s > 0):
            faults.append("time.future_max_s and time.too_old_s are seconds and not negative")
    for attribute in mapping.attributes:
        faults += [f"attribute {attribute.name!r}: {fault}" for fault in _check_attribute(attribute)]
    return faults


def _check_attribute(attribute: AttributeMapping) -> list[str]:
    faults: list[str] = []
    if not attribute.name or attribute.name in ("id", "type", "@context", "scope"):
        faults.append("the name is missing or reserved by NGSI-LD")
    if attribute.kind == "GeoProperty":
        if not (attribute.lon and attribute.lat) or attribute.path:
            faults.append("a GeoProperty needs lon and lat, and no path")
        if attribute.area is not None:
            west, south, east, north = attribute.area
            if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
                faults.append("area is west, south, east, north in degrees")
    elif not attribute.path or attribute.lon or attribute.lat or attribute.area is not None:
        faults.append(f"a {attribute.kind} needs a path, and no lon, lat or area")
    if attribute.kind == "Relationship":
        if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9+.-]*:\S*", attribute.target) or attribute.target.count("{value}") != 1:
            faults.append("target must be a URI with {value} in it once, such as urn:ngsi-ld:Person:{value}")
    elif attribute.target:
        faults.append("only a Relationship has a target")
    low, high = attribute.minimum, attribute.maximum
    if low is not None and high is not None and low > high:
        faults.append("minimum is above maximum")
    if attribute.kind != "Property" or attribute.type != "number":
        if (
            low is not None
            or high is not None
            or (attribute.scale, attribute.offset) != (1.0, 0.0)
            or attribute.from_text
        ):
            faults.append("minimum, maximum, scale, offset and from_text are for numbers")
    elif not attribute.scale:
        faults.append("scale 0 would make every value the same")
    return faults
