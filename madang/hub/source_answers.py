"""Reading what a context source answered, as far as it is the same for all operations."""

from typing import Any

import msgspec

from madang.hub.http import HttpAnswer
from madang.model.entity import Stamps, instance_key
from madang.model.time import Instant, parse_instant
from madang.ngsild.context import Context


def stamps_in(document: Any) -> tuple[Instant, Instant]:
    """(createdAt, modifiedAt) of an entity or an attribute; 0 where it does not say."""
    found = []
    for name in ("createdAt", "modifiedAt"):
        try:
            found.append(parse_instant(document[name]))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            found.append(0)
    return found[0], found[1]


def stamps_of(document: Any, context: Context) -> Stamps:
    """The stamps of those attributes that carry any."""
    stamps: Stamps = {}
    for key, value in document.items():
        for instance in value if isinstance(value, list) else [value]:
            if isinstance(instance, dict) and "modifiedAt" in instance:
                dataset = instance.get("datasetId")
                name = instance_key(context.stored_name(key), None if dataset in (None, "@none") else dataset)
                stamps[name] = stamps_in(instance)
    return stamps


def problem_in(answer: HttpAnswer) -> tuple[str, str]:
    """(detail, the standard's error type) of problem details, as far as they are there."""
    return problem_of(json_of(answer)) if answer.status >= 400 else ("", "")


def problem_of(body: Any) -> tuple[str, str]:
    """(detail, the standard's error type) of a problem document."""
    if not isinstance(body, dict):
        return "", ""
    detail, kind = body.get("detail", body.get("title", "")), body.get("type", "")
    return str(detail)[:400], str(kind).rpartition("/")[2][:80]


def json_of(answer: HttpAnswer) -> Any:
    """The body as JSON; None when it is none."""
    try:
        return msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
