"""Words: expected sentences written by hand. 2026-11-23T02:14:09Z is 11:14:09 in Seoul (UTC+9)."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.hub.words import LANGUAGES, Words, last_part
from madang.model.entity import Entity, prop
from madang.model.finding import Reason
from madang.services.contract import Service

AT = 1795400049500000


@pytest.fixture
def words(tmp_path: Path) -> Words:
    (tmp_path / "ko.json").write_text(
        json.dumps({"dropped": "{vehicle_id} 차량이 {dropped_kg}을(를) 내렸습니다 ({seen_at})."}), encoding="utf-8"
    )
    (tmp_path / "en.json").write_text(
        json.dumps({"dropped": "{vehicle_id} lost {dropped_kg} at {seen_at}.", "only": "English only"}),
        encoding="utf-8",
    )
    (tmp_path / "en.more.json").write_text(json.dumps({"more": "{gone} and {state}"}), encoding="utf-8")
    service = Service(name="x", title={}, locale_dir=tmp_path)
    return Words([service], find_label={"urn:ngsi-ld:Vehicle:t1": "12가 3456"}.get)


def test_a_sentence_in_both_languages(words: Words) -> None:
    reason = Reason("dropped", {"vehicle_id": "urn:ngsi-ld:Vehicle:t1", "dropped_kg": 2900, "seen_at": AT})
    assert words.say(reason, "en") == "12가 3456 lost 2.9 t at 23 Nov 11:14:09."
    assert words.say(reason, "ko") == "12가 3456 차량이 2.9 t을 내렸습니다 (11월 23일 11:14:09)."
    as_json = {"code": "dropped", "params": {"vehicle_id": "urn:x:9", "dropped_kg": None, "seen_at": "not a time"}}
    assert words.say(as_json, "en") == "9 lost unknown at not a time."


def test_what_is_missing_is_shown_and_counted(words: Words) -> None:
    assert words.say(Reason("nobody.wrote.this"), "ko") == "nobody.wrote.this"
    assert words.say("only", "ko") == "English only"
    assert words.say(Reason("more", {"state": "LOADED"}), "en") == "… and LOADED"
    assert dict(words.missing) == {"ko:nobody.wrote.this": 1, "en:more{gone}": 1}


@pytest.mark.parametrize(
    ("name", "value", "en", "ko"),
    [
        ("a_kg", 340.4, "340 kg", "340 kg"),
        ("a_kg", 1000, "1.0 t", "1.0 t"),
        ("a_m", 12.4, "12 m", "12 m"),
        ("a_m", 1240, "1.2 km", "1.2 km"),
        ("a_km_h", 61.6, "62 km/h", "62 km/h"),
        ("a_min", 12, "12 min", "12분"),
        ("a_min", 600, "10 h", "10시간"),
        ("a_s", 45, "45 s", "45초"),
        ("a_s", 185, "3 min", "3분"),
        ("a_h", 168, "7 d", "7일"),
        ("a_share", 0.125, "12.5 %", "12.5 %"),
        ("n", 12345, "12,345", "12,345"),
        ("n", 0.5, "0.5", "0.5"),
        ("n", True, "yes", "예"),
        ("n", None, "unknown", "알 수 없음"),
        ("a_kg", float("nan"), "unknown", "알 수 없음"),
        ("place_ids", ["urn:x:a", "urn:x:b"], "a, b", "a, b"),
        ("text", "자유", "자유", "자유"),
    ],
)
def test_parameters_by_their_unit(words: Words, name: str, value: Any, en: str, ko: str) -> None:
    assert (words.parameter(name, value, "en"), words.parameter(name, value, "ko")) == (en, ko)


def test_table_values_are_exact(words: Words) -> None:
    assert words.value(12900.4, "KGM", "en") == "12,900.4 kg"
    assert words.value(12900.4, "KGM", "en", 0) == "12,900 kg"
    assert words.value(3.5, "MIN", "ko") == "3.5 분"
    assert words.value(90, "DD", "en") == "90°"
    assert words.value({"type": "Point", "coordinates": [126.5, 33.4]}, None, "en") == "33.40000, 126.50000"


def test_labels(words: Words) -> None:
    assert words.label(Entity("urn:x:1", "T", {"name": prop("북천")}, 0, 0, 0, 1)) == "북천"
    assert words.label(Entity("urn:x:1", "T", {}, 0, 0, 0, 1)) == "1"
    assert last_part("urn:ngsi-ld:Vehicle:T-1") == "T-1"


def test_the_hub_says_the_same_in_every_language() -> None:
    folder = Path(__file__).parents[2] / "madang" / "hub" / "locale"
    by_stem: dict[str, dict[str, dict[str, str]]] = {}
    for path in folder.glob("*.json"):
        lang, _, part = path.stem.partition(".")
        by_stem.setdefault(part, {})[lang] = json.loads(path.read_text(encoding="utf-8"))
    for part, texts in by_stem.items():
        assert set(texts) == set(LANGUAGES), part
        assert set(texts["ko"]) == set(texts["en"]), part


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=12) | st.sampled_from(["a_kg", "a_at", "a_id", "a_s", "state", "action", "a_share", "x_ids"]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.integers(), max_size=3),
    st.sampled_from(["ko", "en", "fr"]),
)
def test_anything_can_be_said(name: str, value: Any, lang: str) -> None:
    """Never raises, always gives text."""
    words = Words()
    assert isinstance(words.parameter(name, value, lang), str)
    assert isinstance(words.value(value, "KGM", lang), str)
    assert isinstance(words.say(Reason(name, {name: value}), lang), str)


def test_a_shape_is_named_and_a_point_stands_in_figures() -> None:
    words = Words()
    line = {"type": "LineString", "coordinates": [[126.5, 33.4], [126.6, 33.5]]}
    assert [words.value(line, None, lang) for lang in ("en", "ko")] == ["line", "선"]
    assert words.value({**line, "type": "MultiPolygon"}, None, "ko") == "구역"
    assert words.value({"type": "GeometryCollection", "coordinates": []}, None, "ko") == "GeometryCollection"
    assert words.value({"type": "Point", "coordinates": [126.5, 33.4]}, None, "ko") == "33.40000, 126.50000"
