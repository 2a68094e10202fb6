"""Pages of a temporal answer (clause 6.3.10): what does not fit is left out by time, and Content-Range says which time is told. Pure."""

from madang.model.time import Instant, render_instant
from madang.ngsild.temporal import AFTER, BEFORE, BETWEEN, TemporalAsk
from madang.ngsild.temporal_render import Moment

Moments = dict[str, list[Moment]]


def cut_page(entities: list[Moments], size: int, *, newest: bool) -> Instant | None:
    """Leave at most about `size` instances, the same span of time of every attribute: the oldest, or with `newest` the newest.
    Instances of one instant stay together. Gives the instant up to which all is told; None when all of it is. What is left of an
    attribute may be nothing: it then stays, empty."""
    times = sorted((m.at for moments in entities for found in moments.values() for m in found), reverse=newest)
    if len(times) <= size:
        return None
    edge = times[size - 1]
    if edge == times[-1]:
        return None
    for moments in entities:
        for key, found in moments.items():
            moments[key] = [m for m in found if (m.at >= edge if newest else m.at <= edge)]
    return edge


def content_range(ask: TemporalAsk, entities: list[Moments], edge: Instant) -> str:
    """The header Content-Range of an answer that was cut at `edge`.

    The range begins where the request's does, else at the first instance; with lastN it runs back in time."""
    times = [m.at for moments in entities for found in moments.values() for m in found]
    if ask.last_n is not None:
        start = {BEFORE: ask.time_at, BETWEEN: ask.end_time_at}.get(ask.relation or "")
        start = max(times) if start is None else start
    else:
        start = ask.time_at if ask.relation in (AFTER, BETWEEN) else None
        start = min(times) if start is None else start
    size = "*" if ask.last_n is None else str(ask.last_n)
    return f"date-time {render_instant(start)}-{render_instant(edge)}/{size}"
