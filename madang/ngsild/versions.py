"""Answers for readers of an older version of the standard (clause 4.3.6.8): what came later is told in terms of what they know.

Attribute types by the version that brought them: LanguageProperty 1.4; VocabProperty, JsonProperty, ListProperty and ListRelationship
1.8. To an older reader they are Properties (or Relationships) with the same content. Members of the standard that an older reader does
not know are left: such a reader passes over what it does not know.
"""

import re

from madang.model.entity import Attribute, Attributes
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.values import VALUE_MEMBERS

Version = tuple[int, int]
CURRENT: Version = (1, 9)

_SINCE: dict[str, Version] = {
    "LanguageProperty": (1, 4),
    "VocabProperty": (1, 8),
    "JsonProperty": (1, 8),
    "ListProperty": (1, 8),
    "ListRelationship": (1, 8),
}
_PREFERENCE = re.compile(r"(?:^|,)\s*ngsi-ld\s*=\s*\"?(\d{1,2})\.(\d{1,2})(?:\.\d{1,2})?\"?\s*(?:[,;]|$)")


def preferred_version(prefer: str) -> Version | None:
    """The version in a Prefer header (RFC 7240); None when it names none. Raises NgsiLdError for one that never was.

    >>> preferred_version("ngsi-ld=1.5")
    (1, 5)
    """
    found = _PREFERENCE.search(prefer)
    if found is None:
        return None
    version = int(found[1]), int(found[2])
    if not (1, 0) <= version < (2, 0):
        raise NgsiLdError("names a version that there is not: ngsi-ld=1.0 to 1.9", "Prefer")
    return version


def is_newer(attributes: Attributes, version: Version) -> bool:
    """Is there an attribute, or a sub-attribute, of a type that the version does not know?"""
    for attribute in attributes.values():
        if _SINCE.get(attribute.get("type", ""), CURRENT) > version and attribute.get("type") in _SINCE:
            return True
        inner = {k: m for k, m in attribute.items() if isinstance(m, dict) and m.get("type") in VALUE_MEMBERS}
        if inner and is_newer(inner, version):
            return True
    return False


def as_known(attribute: Attribute, version: Version) -> Attribute:
    """A rendered attribute as a reader of the version knows it.

    >>> as_known({"type": "VocabProperty", "vocab": "tall"}, (1, 5))
    {'type': 'Property', 'value': 'tall'}
    """
    kind = attribute.get("type", "")
    known: Attribute = {}
    is_late = kind in _SINCE and _SINCE[kind] > version
    for key, member in attribute.items():
        if is_late and key == "type":
            known[key] = "Relationship" if kind == "ListRelationship" else "Property"
        elif is_late and key == VALUE_MEMBERS[kind]:
            if kind == "ListRelationship":
                known["object"] = [item["object"] if isinstance(item, dict) else item for item in member]
            else:
                known["value"] = member
        elif isinstance(member, dict) and member.get("type") in VALUE_MEMBERS and key not in ("value", "json"):
            known[key] = as_known(member, version)
        else:
            known[key] = member
    return known
