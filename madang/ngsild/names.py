"""Names of types and attributes, ids, and what the core @context does to them (clauses 4.6.2, 5.5.7).

Stored names are what the core @context compacts to: short for core terms and for the default vocabulary, full URIs
for the rest. `compact` and `expand` go between a stored name and its IRI; what a document's own @context does before
and an answer's after is in `madang.ngsild.context`.
"""

import re
import unicodedata
from typing import Any

from madang.model.entity import ID_LENGTH_MAX
from madang.ngsild.core_context import CORE_CONTEXT as CORE_CONTEXT
from madang.ngsild.core_context import CORE_PREFIXES, CORE_TERMS, DEFAULT_VOCABULARY
from madang.ngsild.errors import NgsiLdError


def _without_prefix(text: str) -> str:
    """A compact IRI of the core's two prefixes as the full one."""
    prefix, colon, rest = text.partition(":")
    return CORE_PREFIXES[prefix] + rest if colon and prefix in CORE_PREFIXES else text


_IRI_OF = {
    term: _without_prefix(value if isinstance(value, str) else value["@id"])
    for term, value in CORE_TERMS.items()
    if not term.startswith("@") and term not in CORE_PREFIXES and value not in ("@id", "@type")
}
_TERM_OF = {iri: term for term, iri in _IRI_OF.items()}

NAME_LENGTH_MAX = 256
CONTEXT_ITEMS_MAX = 64
"""Members of an @context array; the longest seen in use have about ten."""

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s<>\"{}|\\^`\x00-\x20\x7f]+\Z")
# 4.6.2: a name is a term, a compact IRI or an IRI. We accept every letter of Unicode: Korean attribute names exist.
_NAME = re.compile(r"[^\W\d_][\w\-.]*\Z")


def is_uri(text: object) -> bool:
    """True for an absolute URI: a scheme, a colon, and something without blanks or quotes.

    >>> is_uri("urn:ngsi-ld:Vehicle:1"), is_uri("Vehicle 1"), is_uri("vehicle")
    (True, False, False)
    """
    if not isinstance(text, str) or len(text) > ID_LENGTH_MAX or _URI.match(text) is None:
        return False
    return text.isascii() or _is_visible(text)


def _is_visible(text: str) -> bool:
    """No character that people cannot see, or that makes them see another text (RFC 3987 2.2 and 4.1; Unicode's default ignorables)."""
    return all(unicodedata.category(c) not in _HIDDEN and c not in _BLANKS and not _is_selector(c) for c in text)


def _is_selector(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


_HIDDEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})
_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters by category that look like nothing: Hangul fillers, the blank Braille pattern."""


def check_id(value: object, where: str = "id") -> str:
    """The entity id. Raises NgsiLdError unless it is a URI of at most 512 characters (clause 4.6.2)."""
    if not isinstance(value, str):
        raise NgsiLdError("must be a text holding a URI, such as urn:ngsi-ld:Vehicle:1", where)
    if len(value) > ID_LENGTH_MAX:
        raise NgsiLdError(f"is longer than {ID_LENGTH_MAX} characters", where)
    if not is_uri(value):
        raise NgsiLdError(f"is not a URI: {value[:80]!r}; use for example urn:ngsi-ld:Vehicle:1", where)
    return value


def check_name(value: object, where: str = "") -> str:
    """A type or attribute name as it is stored. Raises NgsiLdError.

    >>> check_name("https://uri.etsi.org/ngsi-ld/default-context/speed"), check_name("https://example.org/speed")
    ('speed', 'https://example.org/speed')
    """
    if not isinstance(value, str) or not value:
        raise NgsiLdError("a name must be a text that is not empty", where)
    if len(value) > NAME_LENGTH_MAX:
        raise NgsiLdError(f"a name is longer than {NAME_LENGTH_MAX} characters", where)
    if ":" in value:
        if not is_uri(value):
            raise NgsiLdError(f"neither a short name nor a URI: {value[:80]!r}", where)
        return compact(value)
    if _NAME.match(value) is None:
        raise NgsiLdError(
            f"not a name: {value[:80]!r} (a letter, then letters, digits, '_', '-' or '.'; or a full URI)", where
        )
    return value


def compact(uri: str) -> str:
    """A URI as the core @context compacts it (clause 5.5.7): the stored name.

    >>> compact("ngsi-ld:location"), compact("https://uri.etsi.org/ngsi-ld/default-context/location")
    ('location', 'https://uri.etsi.org/ngsi-ld/default-context/location')
    """
    uri = _without_prefix(uri)
    term = _TERM_OF.get(uri)
    if term is not None:
        return term
    if uri.startswith(DEFAULT_VOCABULARY):
        rest = uri[len(DEFAULT_VOCABULARY) :]
        # A core term stands for something else, so its twin in the default vocabulary keeps its full URI.
        return rest if _NAME.match(rest) and rest not in _IRI_OF else uri
    return uri


def expand(name: str) -> str:
    """The URI of a stored name; undoes `compact`.

    >>> expand("speed"), expand("location")
    ('https://uri.etsi.org/ngsi-ld/default-context/speed', 'https://uri.etsi.org/ngsi-ld/location')
    """
    if ":" in name:
        return name
    return _IRI_OF.get(name) or DEFAULT_VOCABULARY + name


def check_context(value: Any, where: str = "@context") -> None:
    """An @context is a URI, an object, or an array of these. Raises NgsiLdError. It is not fetched."""
    items = value if isinstance(value, list) else [value]
    if len(items) > CONTEXT_ITEMS_MAX:
        raise NgsiLdError(f"has more than {CONTEXT_ITEMS_MAX} members", where)
    for item in items:
        if not (isinstance(item, dict) or is_uri(item)):
            raise NgsiLdError("must be a URI, an object, or an array of these", where)
