"""Names of types and attributes, ids, and what the core @context does to them (clauses 4.6.2, 5.5.7).

Stored names are what the core @context compacts to: short for core terms and for the default vocabulary, full URIs
for the rest. An @context in a document is checked for its shape and otherwise not applied yet: no @context is ever
fetched while a request is answered. Expansion by user contexts belongs to the complete NGSI-LD issue; it comes in
here.
"""

import re
from typing import Any

from madang.model.entity import ID_LENGTH_MAX
from madang.ngsild.errors import NgsiLdError

CORE_CONTEXT = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld"
CORE_VOCABULARY = "https://uri.etsi.org/ngsi-ld/"
DEFAULT_VOCABULARY = "https://uri.etsi.org/ngsi-ld/default-context/"
_CORE_URIS = {
    "http://purl.org/dc/terms/description": "description",
    "http://purl.org/dc/terms/title": "title",
}
_CORE_TERMS = frozenset({"location", "observationSpace", "operationSpace", "scope"})

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
    return isinstance(text, str) and len(text) <= ID_LENGTH_MAX and _URI.match(text) is not None


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
    """A URI as the core @context compacts it (clause 5.5.7)."""
    if uri in _CORE_URIS:
        return _CORE_URIS[uri]
    if uri.startswith("ngsi-ld:"):
        uri = CORE_VOCABULARY + uri[len("ngsi-ld:") :]
    if uri.startswith(DEFAULT_VOCABULARY):
        rest = uri[len(DEFAULT_VOCABULARY) :]
        return rest if _NAME.match(rest) else uri
    if uri.startswith(CORE_VOCABULARY):
        rest = uri[len(CORE_VOCABULARY) :]
        return rest if rest in _CORE_TERMS else uri
    return uri


def check_context(value: Any, where: str = "@context") -> None:
    """An @context is a URI, an object, or an array of these. Raises NgsiLdError. It is not fetched."""
    items = value if isinstance(value, list) else [value]
    if len(items) > CONTEXT_ITEMS_MAX:
        raise NgsiLdError(f"has more than {CONTEXT_ITEMS_MAX} members", where)
    for item in items:
        if not (isinstance(item, dict) or is_uri(item)):
            raise NgsiLdError("must be a URI, an object, or an array of these", where)
