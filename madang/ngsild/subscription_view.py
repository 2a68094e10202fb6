"""Subscriptions as documents for a reader (ETSI GS CIM 009 clauses 5.2.12, 5.2.14.2): in its names, with status and what was sent."""

from collections.abc import Collection, Mapping
from typing import Any

from madang.model.time import Instant, render_instant
from madang.ngsild.context import Context
from madang.ngsild.subscription import DEFAULT_TRIGGERS, ENTITY_MEMBERS, PROJECTED, TYPE_NAME, Sent, Subscription


def render_subscription(
    subscription: Subscription,
    sent: Sent,
    context: Context,
    now: Instant,
    *,
    created_at: Instant = 0,
    modified_at: Instant = 0,
    sys_attrs: bool = False,
    hidden: Collection[str] = (),
) -> dict[str, Any]:
    """The document, in the reader's names, with its status and what was sent. `hidden`: members of the endpoint that this reader does
    not see (headers may hold secrets)."""
    shown = context.shown_name
    document: dict[str, Any] = {}
    for name, value in subscription.document.items():
        match name:
            case "entities":
                document[name] = [
                    {
                        k: TYPE_NAME.sub(lambda m: shown(m.group()), v) if k == "type" and v != "*" else v
                        for k, v in e.items()
                    }
                    for e in value
                ]
            case "watchedAttributes" | "expandValues" | "jsonKeys":
                document[name] = [shown(n) for n in value]
            case "geoQ":
                document[name] = {k: shown(v) if k == "geoproperty" else v for k, v in value.items()}
            case "isActive" if value:
                continue
            case _:
                document[name] = value
    document.setdefault("notificationTrigger", list(DEFAULT_TRIGGERS))
    document["status"] = subscription.status_at(now)
    document["notification"] = _shown_notification(subscription.document["notification"], sent, context, hidden)
    if sys_attrs:
        document["createdAt"], document["modifiedAt"] = render_instant(created_at), render_instant(modified_at)
    return document


def _shown_notification(
    stored: Mapping[str, Any], sent: Sent, context: Context, hidden: Collection[str]
) -> dict[str, Any]:
    def term(text: str) -> str:
        return PROJECTED.sub(lambda m: m[0] if m[0] in ENTITY_MEMBERS else context.shown_name(m[0]), text)

    shown: dict[str, Any] = {}
    for name, value in stored.items():
        if name == "attributes":
            shown[name] = [context.shown_name(n) for n in value]
        elif name in ("pick", "omit"):
            shown[name] = [term(text) for text in value]
        elif name == "endpoint":
            shown[name] = {k: v for k, v in value.items() if k not in hidden}
        else:
            shown[name] = value
    if sent.last_notification is not None:
        shown["status"] = "failed" if sent.failed else "ok"
        shown["timesSent"] = sent.times_sent
        if sent.times_failed:
            shown["timesFailed"] = sent.times_failed
        for name, at in (
            ("lastNotification", sent.last_notification), ("lastSuccess", sent.last_success),
            ("lastFailure", sent.last_failure),
        ):  # fmt: skip
            if at is not None:
                shown[name] = render_instant(at)
    return shown
