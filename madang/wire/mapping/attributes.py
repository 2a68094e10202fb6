"""One function per mapped attribute: takes its value out of a parsed reading, or says why not.

The common case, a good value, is decided with one comparison each; every doubt goes to the slow part, which finds the reason. A bad
value never takes the rest of the reading with it.
"""

from collections.abc import Callable
from math import isfinite
from typing import Any

from madang.model.entity import Attribute, Attributes, Reject
from madang.wire.mapping.paths import MISSING, compile_path, show
from madang.wire.source import DEVICE_PATTERN, AttributeMapping

TEXT_MAX = 1_000
"""Characters in a text value: a remark, not a document."""
_EXACT = float(2**53)
"""Whole numbers up to here are exact in a double, which is what stores and browsers have."""
_CONSTANTS = frozenset(("NaN", "nan", "Infinity", "-Infinity", "inf", "-inf"))

Take = Callable[[dict[str, Any], Attributes, list[Reject]], None]
"""(reading, attributes to fill, rejects to add to)"""


def compile_attribute(mapping: AttributeMapping) -> Take:
    """The function for one attribute."""
    if mapping.kind == "GeoProperty":
        return _take_point(mapping)
    if mapping.kind == "Relationship":
        return _take_relationship(mapping)
    if mapping.values is not None:
        return _take_translated(mapping)
    return {"number": _take_number, "boolean": _take_boolean, "text": _take_text}[mapping.type](mapping)


def _absent(name: str, path: str, raw: Any, required: bool, rejects: list[Reject]) -> bool:
    """True when there is nothing to take; reports it when it should have been there."""
    if raw is MISSING:
        if required:
            rejects.append(
                Reject("missing", f"{name}: the payload has no {path!r}. Mend the device, or the path in the mapping.")
            )
        return True
    return raw is None


def _wrong(name: str, path: str, raw: Any, wanted: str) -> Reject:
    return Reject(
        "wrong-type", f"{name}: {path!r} is {show(raw)}; {wanted} is expected. Mend the device, or the mapping's type."
    )


def _out_of_range(name: str, value: float, low: float | None, high: float | None) -> Reject:
    if low is not None and value < low:
        said = f"below {low:g}, the lowest"
    else:
        said = f"above {high:g}, the highest"
    return Reject(
        "out-of-range",
        f"{name}: {value:.10g} is {said} believable value. Check the sensor, or the limit in the mapping.",
    )


def _take_number(mapping: AttributeMapping) -> Take:
    name, path, unit, required = mapping.name, mapping.path, mapping.unit, mapping.required
    scale, offset = mapping.scale, mapping.offset
    converted = (scale, offset) != (1.0, 0.0)
    flat, find = "." not in path, compile_path(path)
    low = -_EXACT if mapping.minimum is None else mapping.minimum
    high = _EXACT if mapping.maximum is None else mapping.maximum

    def take(item: dict[str, Any], attributes: Attributes, rejects: list[Reject]) -> None:
        raw = item.get(path, MISSING) if flat else find(item)
        # NaN fails every comparison, so that it too goes the slow way.
        if raw.__class__ is float or raw.__class__ is int:
            value = raw * scale + offset if converted else raw
            if low <= value <= high:
                if unit is None:
                    attributes[name] = {"type": "Property", "value": value}
                else:
                    attributes[name] = {"type": "Property", "value": value, "unitCode": unit}
                return
        found = doubt(raw)
        if isinstance(found, Reject):
            rejects.append(found)
        elif found is not None:
            attributes[name] = _property(found, unit)
        elif raw is MISSING:
            _absent(name, path, raw, required, rejects)

    def doubt(raw: Any) -> float | Reject | None:
        if raw is None or raw is MISSING:
            return None
        if isinstance(raw, str):
            if raw in _CONSTANTS:
                return Reject(
                    "not-finite", f"{name}: the device sent {raw}, which is no number. Send null for a value not known."
                )
            if not mapping.from_text:
                return _wrong(name, path, raw, "a number")
            try:
                # Longer text is no measurement, and reading its digits costs time that grows with their square.
                raw = float(raw) if len(raw) <= 40 else None
            except ValueError:
                raw = None
            if raw is None:
                return Reject("wrong-type", f"{name}: the text at {path!r} is no number. Mend the device.")
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            return _wrong(name, path, raw, "a number")
        value = float(raw) * scale + offset
        if not isfinite(value):
            return Reject("not-finite", f"{name}: {path!r} is no finite number. Send null for a value not known.")
        if (mapping.minimum is not None and value < mapping.minimum) or (
            mapping.maximum is not None and value > mapping.maximum
        ):
            return _out_of_range(name, value, mapping.minimum, mapping.maximum)
        return value

    return take


def _property(value: Any, unit: str | None) -> Attribute:
    if unit is None:
        return {"type": "Property", "value": value}
    return {"type": "Property", "value": value, "unitCode": unit}


def _take_boolean(mapping: AttributeMapping) -> Take:
    name, path, required = mapping.name, mapping.path, mapping.required
    flat, find = "." not in path, compile_path(path)

    def take(item: dict[str, Any], attributes: Attributes, rejects: list[Reject]) -> None:
        raw = item.get(path, MISSING) if flat else find(item)
        if raw is True or raw is False:
            attributes[name] = {"type": "Property", "value": raw}
        elif not _absent(name, path, raw, required, rejects):
            rejects.append(_wrong(name, path, raw, "true or false"))

    return take


def _take_text(mapping: AttributeMapping) -> Take:
    name, path, unit, required = mapping.name, mapping.path, mapping.unit, mapping.required
    find = compile_path(path)

    def take(item: dict[str, Any], attributes: Attributes, rejects: list[Reject]) -> None:
        raw = find(item)
        if raw.__class__ is str:
            if len(raw) > TEXT_MAX:
                rejects.append(
                    Reject(
                        "too-long", f"{name}: {len(raw):,} characters; at most {TEXT_MAX:,}. Shorten it at the device."
                    )
                )
            elif any(c < " " and c not in "\t\n\r" for c in raw):
                rejects.append(Reject("bad-text", f"{name}: the text holds control characters. Mend the device."))
            else:
                attributes[name] = _property(raw, unit)
        elif not _absent(name, path, raw, required, rejects):
            rejects.append(_wrong(name, path, raw, "text"))

    return take


def _as_text(raw: Any) -> str | None:
    """A scalar as its JSON text, whole floats as whole numbers; None for what is no scalar."""
    if isinstance(raw, str):
        return raw
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, float) and raw.is_integer() and abs(raw) < _EXACT:
        return str(int(raw))
    return str(raw) if isinstance(raw, int | float) else None


def _take_translated(mapping: AttributeMapping) -> Take:
    name, path, unit, required = mapping.name, mapping.path, mapping.unit, mapping.required
    values = dict(mapping.values or {})
    find = compile_path(path)

    def take(item: dict[str, Any], attributes: Attributes, rejects: list[Reject]) -> None:
        raw = find(item)
        text = _as_text(raw)
        if text is not None and text in values:
            attributes[name] = _property(values[text], unit)
        elif not _absent(name, path, raw, required, rejects):
            known = ", ".join(sorted(values)[:8])
            rejects.append(
                Reject(
                    "unknown-value", f"{name}: {show(raw)} is not among the mapping's values ({known}). Add it there."
                )
            )

    return take


def _take_relationship(mapping: AttributeMapping) -> Take:
    name, path, required = mapping.name, mapping.path, mapping.required
    before, after = mapping.target.split("{value}")
    find = compile_path(path)

    def take(item: dict[str, Any], attributes: Attributes, rejects: list[Reject]) -> None:
        raw = find(item)
        text = _as_text(raw)
        if text is not None and DEVICE_PATTERN.fullmatch(text):
            attributes[name] = {"type": "Relationship", "object": before + text + after}
        elif not _absent(name, path, raw, required, rejects):
            rejects.append(_wrong(name, path, raw, "a name of letters, digits and . _ ~ : @ -"))

    return take


def _take_point(mapping: AttributeMapping) -> Take:
    name, required = mapping.name, mapping.required
    path = f"{mapping.lon}, {mapping.lat}"
    find_lon, find_lat = compile_path(mapping.lon), compile_path(mapping.lat)
    west, south, east, north = mapping.area or (-180.0, -90.0, 180.0, 90.0)

    def take(item: dict[str, Any], attributes: Attributes, rejects: list[Reject]) -> None:
        lon, lat = find_lon(item), find_lat(item)
        if (
            lon.__class__ is float
            and lat.__class__ is float
            and west <= lon <= east
            and south <= lat <= north
            and (lon or lat)
        ):
            attributes[name] = {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [lon, lat]}}
            return
        if lon is None or lat is None:
            return  # no fix, said honestly
        if lon is MISSING or lat is MISSING:
            _absent(name, path, MISSING, required, rejects)
            return
        found = doubt(lon, lat)
        if isinstance(found, Reject):
            rejects.append(found)
        else:
            attributes[name] = {"type": "GeoProperty", "value": {"type": "Point", "coordinates": found}}

    def doubt(lon: Any, lat: Any) -> list[float] | Reject:
        for raw in (lon, lat):
            if isinstance(raw, str) and raw in _CONSTANTS:
                return Reject("not-finite", f"{name}: the device sent {raw}. Send null while there is no position.")
            if isinstance(raw, bool) or not isinstance(raw, int | float):
                return _wrong(name, path, raw, "a number of degrees")
        if not (abs(lon) <= 180 and abs(lat) <= 90):
            swapped = abs(lat) <= 180 and abs(lon) <= 90
            cause = (
                "Longitude and latitude seem swapped in the mapping."
                if swapped
                else "Check the receiver; degrees are expected, not degrees and minutes."
            )
            return Reject(
                "out-of-range", f"{name}: longitude {show(lon)}, latitude {show(lat)} is not on the globe. {cause}"
            )
        if lon == 0 and lat == 0:
            return Reject("no-fix", f"{name}: 0, 0 is what a receiver sends without a fix. Send null instead.")
        if not (west <= lon <= east and south <= lat <= north):
            return Reject(
                "out-of-area",
                f"{name}: longitude {show(lon)}, latitude {show(lat)} is outside the mapping's area. "
                "Check the receiver, or widen the area.",
            )
        return [float(lon), float(lat)]

    return take
