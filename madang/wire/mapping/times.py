"""When was it true? Readers of the device's time, one per format."""

from collections.abc import Callable
from typing import Any

from madang.model.entity import Reject
from madang.model.time import INSTANT_MAX, INSTANT_MIN, MILLISECOND, SECOND, Instant, parse_instant, render_instant
from madang.wire.mapping.paths import MISSING, compile_path, show
from madang.wire.source import TimeMapping

GPS_ROLLOVER = 1024 * 7 * 86_400 * SECOND
"""A GPS receiver counts weeks in ten bits (IS-GPS-200 clause 20.3.3.3.1.1): old ones fall back by 1,024 weeks."""

ReadTime = Callable[[dict[str, Any], Instant], Instant | Reject | None]
"""(reading, received_at) -> the time, a reject, or None when the payload does not say."""


def compile_time(mapping: TimeMapping | None) -> ReadTime:
    """The reader for a mapping; without one, always None."""
    if mapping is None:
        return lambda item, received_at: None
    find, path = compile_path(mapping.path), mapping.path
    ahead, behind = round(mapping.future_max_s * SECOND), round(mapping.too_old_s * SECOND)
    parse = _parser(mapping)

    def read(item: dict[str, Any], received_at: Instant) -> Instant | Reject | None:
        raw = find(item)
        if raw is None or raw is MISSING or raw == "":
            return None
        try:
            observed_at = parse(raw)
        except (ValueError, OverflowError) as error:
            return Reject(
                "bad-time",
                f"{path}: {show(raw)} is no time in the form {mapping.format} ({error}). Mend the device or the mapping.",
            )
        if -behind <= observed_at - received_at <= ahead:
            return observed_at
        return _too_far(path, observed_at, received_at, mapping)

    return read


def _too_far(path: str, observed_at: Instant, received_at: Instant, mapping: TimeMapping) -> Reject:
    told, got = render_instant(observed_at), render_instant(received_at)
    if observed_at > received_at:
        return Reject(
            "time-in-future",
            f"{path}: {told} is more than {mapping.future_max_s:g} s after its arrival at {got}. Set the device's clock or zone.",
        )
    if abs(received_at - observed_at - GPS_ROLLOVER) < 8 * 86_400 * SECOND:
        cause = "About 1,024 weeks: the receiver's GPS week counter rolled over and needs new firmware."
    else:
        cause = "Set the device's clock, or raise time.too_old_s if it really kept the reading that long."
    return Reject(
        "time-too-old",
        f"{path}: {told} is more than {mapping.too_old_s / 86_400:g} days before its arrival at {got}. {cause}",
    )


def _parser(mapping: TimeMapping) -> Callable[[Any], Instant]:
    if mapping.format == "rfc3339":
        return _parse_rfc3339
    if mapping.format == "local":
        return _local_parser(mapping.offset_min or 0)
    return _unix_parser(SECOND if mapping.format == "unix_s" else MILLISECOND)


def _parse_rfc3339(raw: Any) -> Instant:
    if not isinstance(raw, str):
        raise ValueError("it is not text")
    return parse_instant(raw)


def _unix_parser(unit: int) -> Callable[[Any], Instant]:
    def parse(raw: Any) -> Instant:
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            raise ValueError("it is not a number")
        instant = raw * unit if isinstance(raw, int) else round(raw * unit)
        if INSTANT_MIN <= instant < INSTANT_MAX:
            return instant
        other = "milliseconds" if unit == SECOND else "seconds"
        raise ValueError(f"outside 1970 to 2100; does the device send {other}?")

    return parse


def _local_parser(offset_min: int) -> Callable[[Any], Instant]:
    hours, minutes = divmod(abs(offset_min), 60)
    zone = f"{'-' if offset_min < 0 else '+'}{hours:02d}:{minutes:02d}"

    def parse(raw: Any) -> Instant:
        text = str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw
        if not isinstance(text, str):
            raise ValueError("it is not text")
        if len(text) == 14 and text.isascii() and text.isdecimal():
            text = f"{text[:4]}-{text[4:6]}-{text[6:8]}T{text[8:10]}:{text[10:12]}:{text[12:]}"
        if text[10:11] == " ":
            text = text[:10] + "T" + text[11:]
        if len(text) < 16 or "+" in text or text.endswith(("Z", "z")) or "-" in text[10:]:
            raise ValueError("it is not a local date and time")
        return parse_instant(text + (":00" if len(text) == 16 else "") + zone)

    return parse
