"""Finding the row of the route table for a path: a tree over path segments, so that the cost does not grow with the table.

Paths are taken apart *before* they are decoded: an entity id may hold an encoded slash (``http:%2F%2F…``).

Under /ogc and /ngsi-ld a slash at the end is passed over: people write the address of a service either way. Where that leaves no row
of /ngsi-ld for the method, it stands for an empty id, so that a client that forgot the id is told so. An attribute's name may be empty
where the path goes on after it, for the same reason.
"""

from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from madang.api.errors import Problem
from madang.api.route import Route

SEGMENTS_MAX = 16
PATH_LENGTH_MAX = 4_096


class _Node:
    __slots__ = ("literals", "parameters", "routes")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.parameters: list[tuple[str, str, _Node]] = []
        """(name, suffix, node); longer suffixes first."""
        self.routes: dict[str, Route] = {}


class Match(Struct):
    """A path of the table. `routes` by method; `path` the decoded parameters."""

    routes: dict[str, Route]
    path: dict[str, str]
    with_empty: "Match | None" = None
    """The same path, where the slash at its end stands before an empty parameter."""


class Router:
    """See the module's docstring. Raises ValueError when two rows have the same method and path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in route.path.split("/")[1:]:
            if segment.startswith("{"):
                name, _, suffix = segment[1:].partition("}")
                found = next((n for known, s, n in node.parameters if s == suffix and known == name), None)
                if found is None:
                    found = _Node()
                    node.parameters.append((name, suffix, found))
                    node.parameters.sort(key=lambda parameter: -len(parameter[1]))
                node = found
            else:
                node = node.literals.setdefault(segment, _Node())
        if route.method in node.routes:
            raise ValueError(f"two routes for {route.method} {route.path}")
        node.routes[route.method] = route

    def find(self, raw_path: bytes) -> Match | None:
        """The table's rows for a path, or None. Raises Problem 400 for a path that is no UTF-8."""
        if len(raw_path) > PATH_LENGTH_MAX:
            raise Problem(400, "bad-path", f"The path is longer than {PATH_LENGTH_MAX} bytes.")
        segments = raw_path.split(b"/")[1:]
        if len(segments) > SEGMENTS_MAX:
            return None
        try:
            texts = [
                (unquote_to_bytes(segment) if b"%" in segment else segment).decode("utf-8") for segment in segments
            ]
        except UnicodeDecodeError:
            raise Problem(400, "bad-path", "The path is not UTF-8.") from None
        if texts[0] == "ogc" and not texts[-1]:
            texts.pop()
        if texts[0] != "ngsi-ld":
            return self._match(texts, empty=False)
        if texts[-1]:
            return self._match(texts, empty=True)
        found = self._match(texts[:-1], empty=True)
        with_empty = self._match(texts, empty=True)
        if found is None:
            return with_empty
        found.with_empty = with_empty
        return found

    def _match(self, texts: list[str], *, empty: bool) -> Match | None:
        path: dict[str, str] = {}
        node = _walk(self._root, texts, 0, path, empty)
        return None if node is None else Match(node.routes, path)


def _walk(node: _Node, texts: list[str], place: int, path: dict[str, str], empty: bool) -> _Node | None:
    if place == len(texts):
        return node if node.routes else None
    text = texts[place]
    literal = node.literals.get(text)
    if literal is not None:
        found = _walk(literal, texts, place + 1, path, empty)
        if found is not None:
            return found
    for name, suffix, child in node.parameters:
        if not text.endswith(suffix):
            continue
        if len(text) == len(suffix) and not (empty and (name == "id" or (name == "attr" and place + 1 < len(texts)))):
            continue
        found = _walk(child, texts, place + 1, path, empty)
        if found is not None:
            path[name] = text[: len(text) - len(suffix)] if suffix else text
            return found
    return None
