"""Reasons, values and names put into words, per language: the only place where a sentence is made (DESIGN §4).

Sentences come from JSON files, code to text with ``{parameter}`` places: `madang/hub/locale` for the hub's own, and each
service's `locale_dir`. Files are named ``<lang>.json`` or ``<lang>.<part>.json``. A parameter's name ends in its unit
(`madang.model.finding.Reason`), so that it can be written as people write it. Nothing here raises on what it is asked to say:
an unknown code is shown as itself and counted.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from madang.hub.josa import fit_particles
from madang.model.entity import Entity, value_of
from madang.model.finding import Reason
from madang.model.time import Instant, parse_instant, to_datetime
from madang.procedure.contract import RecordType
from madang.services.contract import Service

LANGUAGES = ("ko", "en")
FALLBACK = "en"
HUB_LOCALE = Path(__file__).parent / "locale"
TEXT_MAX = 2_000
"""Characters of one value in a sentence."""
NUMBER_MAX = 1e15
"""No quantity of a city is larger; beyond, numbers are shown as unknown."""
LABEL_ATTRIBUTES = ("vehiclePlateIdentifier", "name", "number", "title")
"""What names an entity to people, the first that it has."""
_SHAPES = {
    "Point": {"ko": "지점", "en": "point"},
    "LineString": {"ko": "선", "en": "line"},
    "Polygon": {"ko": "구역", "en": "area"},
}
"""What a geometry is that a table cannot show in figures."""

_PLACE = re.compile(r"\{(\w+)\}")
_UNKNOWN = {"ko": "알 수 없음", "en": "unknown"}
_YES = {"ko": ("아니요", "예"), "en": ("no", "yes")}
_UNITS = {
    "KGM": "kg", "TNE": "t", "MTR": "m", "KMT": "km", "KMH": "km/h", "MTS": "m/s", "MTK": "m²", "VLT": "V", "DD": "°",
    "CEL": "°C", "P1": "%", "SEC": "s", "MIN": "min", "HUR": "h", "DAY": "d", "LTR": "L", "C62": "", "E48": "",
}  # fmt: skip
_KOREAN_UNITS = {"SEC": "초", "MIN": "분", "HUR": "시간", "DAY": "일"}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Words:
    """Immutable but for its counters and `find_label`; any thread may call it."""

    def __init__(
        self,
        services: Iterable[Service] = (),
        *,
        time_zone: str = "Asia/Seoul",
        record_types: Iterable[RecordType] = (),
        find_label: Callable[[str], str | None] | None = None,
    ) -> None:
        services = tuple(services)
        self.zone = ZoneInfo(time_zone)
        self.find_label = find_label
        """Id -> the entity's label; set when the store is there. None, or an answer of None: the id's last part."""
        self.missing: Counter[str] = Counter()
        """What could not be said: ``<lang>:<code>`` and ``<lang>:<code>{parameter}``."""
        folders = [HUB_LOCALE, *(s.locale_dir for s in services if s.locale_dir is not None)]
        self._texts = {lang: _load(folders, lang) for lang in LANGUAGES}
        self._states: dict[str, dict[str, str]] = {}
        self._actions: dict[str, dict[str, str]] = {}
        for record_type in (*record_types, *(r for s in services for r in s.record_types)):
            self._states.update(record_type.state_titles)
            self._actions.update({action.name: action.title for action in record_type.procedure.actions})

    # ── sentences ───────────────────────────────────────────────────────────

    def say(self, reason: Reason | Mapping[str, Any] | str, lang: str) -> str:
        """A reason as a sentence. Also takes its JSON form, or a bare code."""
        code, params = _parts(reason)
        text = self._find_text(code, lang)
        if text is None:
            self.missing[f"{lang}:{code}"] += 1
            return code

        def fill(place: re.Match[str]) -> str:
            name = place.group(1)
            if name not in params:
                self.missing[f"{lang}:{code}{{{name}}}"] += 1
                return "…"
            return self.parameter(name, params[name], lang)

        said = _PLACE.sub(fill, text)
        return fit_particles(said) if lang == "ko" else said

    def has(self, code: str, lang: str) -> bool:
        """True when there is a sentence for the code in this very language."""
        return code in self._texts.get(lang, {})

    def title(self, titles: Mapping[str, str] | None, lang: str, default: str = "") -> str:
        """The title in the language, else in English, else in any, else `default`."""
        if not titles:
            return default
        return titles.get(lang) or titles.get(FALLBACK) or next(iter(titles.values()))

    def state(self, state: str, lang: str, record_type: RecordType | None = None) -> str:
        """The title of a record's state."""
        titles = record_type.state_titles.get(state) if record_type is not None else self._states.get(state)
        return self.title(titles, lang, state)

    def text(self, code: str, lang: str, default: str | None = None) -> str:
        """A bare text without parameters, such as ``severity.high``; `default` (else the code) when there is none."""
        found = self._find_text(code, lang)
        return found if found is not None else (code if default is None else default)

    def _find_text(self, code: str, lang: str) -> str | None:
        return self._texts.get(lang, {}).get(code) or self._texts[FALLBACK].get(code)

    # ── parameters of sentences ─────────────────────────────────────────────

    def parameter(self, name: str, value: Any, lang: str) -> str:
        """A parameter as people write it, by the unit that its name ends in.

        >>> words = Words()
        >>> [words.parameter(n, v, "en") for n, v in (("dropped_kg", 2900), ("dropped_kg", 340.4), ("far_m", 1240.0))]
        ['2.9 t', '340 kg', '1.2 km']
        """
        if value is None:
            return _UNKNOWN.get(lang, _UNKNOWN[FALLBACK])
        if isinstance(value, list | tuple):
            stem = name[:-1] if name.endswith("_ids") else name
            return ", ".join(self.parameter(stem, item, lang) for item in value[:20])
        if isinstance(value, bool):
            return _YES.get(lang, _YES[FALLBACK])[value]
        if name.endswith("_at"):
            return self.instant(value, lang)
        if name.endswith("_id"):
            return self.label(str(value))
        if name == "state":
            return self.state(str(value), lang)
        if name == "action":
            return self.title(self._actions.get(str(value)), lang, str(value))
        if isinstance(value, int | float):
            return self._number_parameter(name, value, lang)
        return str(value)[:TEXT_MAX]

    def _number_parameter(self, name: str, value: int | float, lang: str) -> str:
        if abs(value) > NUMBER_MAX or not isfinite(value):
            return _UNKNOWN.get(lang, _UNKNOWN[FALLBACK])
        korean = lang == "ko"
        if name.endswith("_km_h"):
            return f"{value:.0f} km/h"
        if name.endswith("_kg"):
            return f"{value / 1000:.1f} t" if abs(value) >= 1000 else f"{value:.0f} kg"
        if name.endswith(("_share", "_percent")):
            return f"{plain_number(value * 100 if name.endswith('_share') else value, 1)} %"
        if name.endswith("_m2"):
            return f"{value:,.0f} m²"
        if name.endswith("_km"):
            return f"{value:.1f} km"
        if name.endswith("_m"):
            return f"{value / 1000:.1f} km" if abs(value) >= 1000 else f"{value:.0f} m"
        if name.endswith("_min"):
            return duration(value * 60, korean)
        if name.endswith("_h"):
            return duration(value * 3600, korean)
        if name.endswith("_days"):
            return f"{plain_number(value, 1)}일" if korean else f"{plain_number(value, 1)} days"
        if name.endswith("_s"):
            return duration(value, korean)
        return plain_number(value, 2)

    # ── values ──────────────────────────────────────────────────────────────

    def value(self, value: Any, unit: str | None, lang: str, digits: int | None = None) -> str:
        """A value with its unit as it stands in a table: exact, not rounded to another unit.

        >>> Words().value(12900, "KGM", "en"), Words().value(True, None, "ko"), Words().value(None, "KGM", "en")
        ('12,900 kg', '예', '')
        """
        if value is None:
            return ""
        if isinstance(value, bool):
            return _YES.get(lang, _YES[FALLBACK])[value]
        if isinstance(value, int | float):
            exact = digits is not None and abs(value) <= NUMBER_MAX and isfinite(value)
            shown = f"{value:,.{digits}f}" if exact else plain_number(value, 2)
            word = self.unit(unit, lang)
            return f"{shown} {word}".strip() if word != "°" else f"{shown}°"
        if isinstance(value, list | tuple):
            return ", ".join(self.value(item, unit, lang, digits) for item in value[:50])[:TEXT_MAX]
        if isinstance(value, dict):
            if value.get("type") == "Point" and isinstance(value.get("coordinates"), list):
                lon, lat = value["coordinates"][:2]
                return f"{lat:.5f}, {lon:.5f}"
            if "type" in value and "coordinates" in value:
                names = _SHAPES.get(str(value["type"]).removeprefix("Multi"))
                return str(value["type"]) if names is None else names.get(lang, names[FALLBACK])
            return json.dumps(value, ensure_ascii=False)[:TEXT_MAX]
        return str(value)[:TEXT_MAX]

    def unit(self, unit: str | None, lang: str) -> str:
        """A UN/CEFACT code as its sign."""
        if not unit:
            return ""
        if lang == "ko" and unit in _KOREAN_UNITS:
            return _KOREAN_UNITS[unit]
        return _UNITS.get(unit, unit)

    def instant(self, value: Any, lang: str) -> str:
        """An instant (microseconds, or RFC 3339 text) as the city's clock shows it."""
        moment = self.local(value)
        if moment is None:
            return str(value)[:TEXT_MAX]
        clock = moment.strftime("%H:%M:%S")
        if lang == "ko":
            return f"{moment.month}월 {moment.day}일 {clock}"
        return f"{moment.day} {_MONTHS[moment.month - 1]} {clock}"

    def local(self, value: Any) -> datetime | None:
        """The local date and time of an instant; None when it is none."""
        try:
            instant = parse_instant(value) if isinstance(value, str) else int(value)
            return to_datetime(instant).astimezone(self.zone)
        except (ValueError, OverflowError, TypeError):
            return None

    # ── names ───────────────────────────────────────────────────────────────

    def label(self, entity: Entity | str) -> str:
        """What people call an entity: its plate, name or number, else the last part of its id."""
        if isinstance(entity, Entity):
            return find_label(entity) or last_part(entity.id)
        found = None if self.find_label is None else self.find_label(entity)
        return found or last_part(entity)


def find_label(entity: Entity) -> str | None:
    """The label among an entity's own attributes."""
    for name in LABEL_ATTRIBUTES:
        value = value_of(entity.attributes.get(name))
        if isinstance(value, str) and value:
            return value[:TEXT_MAX]
    return None


def last_part(id_: str) -> str:
    """``urn:ngsi-ld:Vehicle:T-1`` -> ``T-1``."""
    return id_.rsplit(":", 1)[-1] or id_


def plain_number(value: int | float, digits: int) -> str:
    """Thousands apart, at most `digits` decimals, none that are nought.

    >>> plain_number(12900.0, 2), plain_number(0.125, 2), plain_number(-3, 0)
    ('12,900', '0.12', '-3')
    """
    if abs(value) > NUMBER_MAX or not isfinite(value):
        return "—"
    text = f"{value:,.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def duration(seconds: float, korean: bool) -> str:
    """A length of time in its one or two largest units.

    >>> duration(45, False), duration(750, False), duration(7200, True)
    ('45 s', '13 min', '2시간')
    """
    s, minute, h, d = ("초", "분", "시간", "일") if korean else (" s", " min", " h", " d")
    rounded = round(seconds)
    if abs(rounded) < 120:
        return f"{rounded}{s}"
    minutes = round(seconds / 60)
    if abs(minutes) < 120:
        return f"{minutes}{minute}"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}{h}" + (f" {rest}{minute}" if rest else "")
    days, hours = divmod(hours, 24)
    return f"{days}{d}" + (f" {hours}{h}" if hours else "")


def instant_of(value: Any) -> Instant | None:
    """An instant from microseconds or RFC 3339 text; None when it is neither."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            return parse_instant(value)
        except (ValueError, OverflowError):
            return None
    return None


def _parts(reason: Reason | Mapping[str, Any] | str) -> tuple[str, Mapping[str, Any]]:
    if isinstance(reason, Reason):
        return reason.code, reason.params
    if isinstance(reason, str):
        return reason, {}
    params = reason.get("params")
    return str(reason.get("code", "")), params if isinstance(params, Mapping) else {}


def _load(folders: Iterable[Path], lang: str) -> dict[str, str]:
    """All texts of a language. Raises ValueError for a file that is not an object of texts: that is ours to mend, before start."""
    texts: dict[str, str] = {}
    for folder in folders:
        for path in sorted([*folder.glob(f"{lang}.json"), *folder.glob(f"{lang}.*.json")]):
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise ValueError(f"{path}: not JSON ({error})") from None
            if not isinstance(content, dict) or not all(isinstance(text, str) for text in content.values()):
                raise ValueError(f"{path}: must be an object of code -> sentence")
            texts.update(content)
    return texts
