"""Korean particles after words that are put in: 을(를), 이(가), 은(는), 와(과), (으)로, (이)라 … become the one that fits.

Which one fits depends on whether the word before ends in a consonant *as it is spoken*: digits, Latin letters and units are
read out ("kg" as 킬로그램, "m" as 미터). Where that is not known the written pair stays as it is. Source: Korean Standard Orthography
(한글 맞춤법), particles by final consonant.
"""

import re

_PAIRS = {
    "을": ("을", "를"), "를": ("을", "를"), "이": ("이", "가"), "가": ("이", "가"), "은": ("은", "는"), "는": ("은", "는"),
    "과": ("과", "와"), "와": ("과", "와"), "아": ("아", "야"), "야": ("아", "야"),
}  # fmt: skip
_BOTH = re.compile(
    r"(?<=(.))(을\(를\)|를\(을\)|이\(가\)|가\(이\)(?![가-힣])|은\(는\)|는\(은\)|과\(와\)|와\(과\)|\(으\)로|으로\(로\)|로\(으로\)|\(이\))"
)
_DIGITS = {"0": "영", "1": "일", "2": "이", "3": "삼", "4": "사", "5": "오", "6": "육", "7": "칠", "8": "팔", "9": "구"}
_UNITS = {
    "kg": "램", "t": "톤", "m": "터", "km": "터", "km/h": "터", "m²": "터", "%": "트", "min": "분", "s": "초", "h": "시",
    "V": "트", "°": "도", "L": "터",
}  # fmt: skip
_LETTERS_WITH_FINAL = {"l": "엘", "m": "엠", "n": "엔", "r": "알"}
_UNIT_AT_END = re.compile(r"(?:^|[\d\s])([a-zA-Z/²%°]+)$")
_CLOSING = "\"'”’)]}」』〉》"


def fit_particles(text: str) -> str:
    """The text with every written pair resolved where the sound before it is known.

    >>> fit_particles("2.9 t을(를) 내렸습니다"), fit_particles("트럭이(가) 2이(가)"), fit_particles("북부처리장(으)로")
    ('2.9 t을 내렸습니다', '트럭이 2가', '북부처리장으로')
    """
    return _BOTH.sub(lambda found: _choose(text[: found.start()], found.group(2)), text)


def _choose(before: str, pair: str) -> str:
    final = _final(before)
    if final is None:
        return pair
    if "로" in pair:
        return "으로" if final not in ("", "ㄹ") else "로"
    if pair == "(이)":
        return "이" if final else ""
    return _PAIRS[pair[0]][0 if final else 1]


def _final(before: str) -> str | None:
    """The final consonant of what is read out last: empty for none, ``ㄹ``, another one, or None when it is not known."""
    word = before.rstrip(_CLOSING + " ")
    if not word:
        return None
    unit = _UNIT_AT_END.search(word)
    if unit is not None and unit.group(1) in _UNITS:
        return _of_syllable(_UNITS[unit.group(1)])
    last = word[-1]
    if last in _DIGITS:
        return _of_syllable(_DIGITS[last])
    if last.isascii() and last.isalpha():
        return _of_syllable(_LETTERS_WITH_FINAL.get(last.lower(), "이"))
    return _of_syllable(last)


def _of_syllable(syllable: str) -> str | None:
    place = ord(syllable) - 0xAC00
    if not 0 <= place < 11_172:
        return None
    final = place % 28
    return "" if final == 0 else ("ㄹ" if final == 8 else "other")
