"""The language filter (clause 4.15): which text of a LanguageProperty a reader gets."""

from collections.abc import Mapping
from typing import Any

from madang.ngsild.errors import NgsiLdError

LENGTH_MAX = 512
RANGES_MAX = 32
NO_LANGUAGE = "@none"


def parse_languages(text: str) -> tuple[str, ...]:
    """Language ranges of a `lang` parameter, best first; written like Accept-Language (RFC 9110). Raises NgsiLdError.

    >>> parse_languages("fr;q=0.2,nl;q=0.9,*;q=0.1")
    ('nl', 'fr', '*')
    """
    parts = [part.strip() for part in text.split(",")]
    if len(text) > LENGTH_MAX or len(parts) > RANGES_MAX or not all(parts):
        raise NgsiLdError("must be languages such as fr, or fr;q=0.8,en;q=0.5", "lang")
    weighted: list[tuple[float, int, str]] = []
    for place, part in enumerate(parts):
        name, _, parameters = part.partition(";")
        key, _, value = parameters.strip().partition("=")
        weight = 1.0
        if key.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                raise NgsiLdError(f"not a weight: {value[:20]!r}", "lang") from None
        if weight > 0:
            weighted.append((-weight, place, name.strip()))
    return tuple(name for _, _, name in sorted(weighted))


def choose_text(texts: Mapping[str, Any], languages: tuple[str, ...]) -> tuple[str, Any]:
    """(language, text) that fits best: a tag that is asked for, one that begins with it, or one that it begins with (RFC 4647 lookup);
    else the text without a language, else the first. An empty map gives (``@none``, None).

    >>> choose_text({"en-US": "Square", "de": "Platz"}, ("en",))
    ('en-US', 'Square')
    """
    if not texts:
        return NO_LANGUAGE, None
    tags = {tag.lower(): tag for tag in texts}
    for asked in languages:
        wanted = asked.lower()
        if wanted == "*":
            break
        while wanted:
            found = tags.get(wanted) or next((tags[t] for t in sorted(tags) if t.startswith(wanted + "-")), None)
            if found is not None:
                return found, texts[found]
            wanted = wanted.rpartition("-")[0]
    tag = NO_LANGUAGE if NO_LANGUAGE in texts else next(iter(texts))
    return tag, texts[tag]
