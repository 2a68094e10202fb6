"""The road net of the generated town: main roads, country roads, streets, lanes; noded into one connected graph; shortest ways.

Lines are drawn first (`RoadLine`), sites hang lanes on them (`Drawing.attach`), then everything is cut at its crossings into
a graph (`build_graph`). Routes are the quickest ways by the speed of each class (Dijkstra 1959, heapq).
"""

import heapq
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, MultiLineString, Point, STRtree

from madang.simulate.town_names import Name
from madang.simulate.town_shapes import XY, Points, at

MAIN, LOCAL, STREET, LANE = 0, 1, 2, 3
"""Road classes. Streets are local roads inside settlements."""
SPEED_KMH = (66.0, 46.0, 32.0, 14.0)
"""What a loaded truck drives where nothing hinders it, by class (limits in Korea: 80/60/50 on such roads; trucks stay below)."""


class NoRoute(Exception):
    """Two places are not connected by road. Never raised in a town that passed its own check."""


@dataclass(slots=True)
class RoadLine:
    """A drawn road before it is cut at its crossings."""

    points: Points
    road_class: int
    name: Name


@dataclass(frozen=True, slots=True)
class Route:
    """A way along roads."""

    points: Points
    """Shape (n, 2), metres, n >= 2, no repeated points."""
    classes: NDArray[np.int8]
    """Road class of each of the n - 1 pieces."""


class Drawing:
    """The lines drawn so far; lanes are attached to their nearest line."""

    def __init__(self) -> None:
        self.lines: list[RoadLine] = []

    def add(self, points: Points, road_class: int, name: Name) -> RoadLine:
        """Draw one more line."""
        line = RoadLine(points, road_class, name)
        self.lines.append(line)
        return line

    def nearest(self, place: XY, classes: tuple[int, ...]) -> tuple[RoadLine, XY, float]:
        """The nearest line of the classes, its nearest point and the distance in metres."""
        best: tuple[RoadLine, XY, float] | None = None
        for line in self.lines:
            if line.road_class in classes:
                low, high = line.points.min(axis=0), line.points.max(axis=0)
                gap = max(low[0] - place[0], place[0] - high[0], low[1] - place[1], place[1] - high[1], 0.0)
                if best is None or gap < best[2]:
                    shape = LineString(line.points)
                    foot = at(shape, shape.project(Point(place)))
                    away = float(np.hypot(foot[0] - place[0], foot[1] - place[1]))
                    if best is None or away < best[2]:
                        best = (line, foot, away)
        if best is None:
            raise NoRoute("no road of these classes was drawn")
        return best

    def attach(self, line: RoadLine, foot: XY, path: list[XY], name: Name) -> RoadLine:
        """Join a lane to a line at `foot` (a point on it, which becomes a vertex); `path` leads from there to the site."""
        shape = LineString(line.points)
        distance = shape.project(Point(foot))
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line.points, axis=0).T))])
        i = int(np.searchsorted(along, distance))
        if min(abs(along[min(i, len(along) - 1)] - distance), abs(along[max(i - 1, 0)] - distance)) > 0.5:
            line.points = np.insert(line.points, i, np.array(foot), axis=0)
            start = foot
        else:
            k = i if i < len(along) and abs(along[i] - distance) <= 0.5 else i - 1
            start = (float(line.points[k][0]), float(line.points[k][1]))
        return self.add(np.array([start, *path]), LANE, name)


class RoadGraph:
    """Nodes, edges and the quickest ways between nodes."""

    def __init__(self, nodes: Points, edges: list[tuple[int, int, Points, int]]) -> None:
        self.nodes = nodes
        self.edges = edges
        self._out: dict[int, list[tuple[int, int, float]]] = defaultdict(list)
        for number, (a, b, points, road_class) in enumerate(edges):
            seconds = float(np.hypot(*np.diff(points, axis=0).T).sum()) / (SPEED_KMH[road_class] / 3.6) + 1.0
            self._out[a].append((b, number, seconds))
            self._out[b].append((a, number, seconds))
        self.route = lru_cache(maxsize=20_000)(self._route)
        self._tree = STRtree(shapely.points(nodes))

    def find_node(self, place: XY) -> int:
        """The nearest node."""
        return int(self._tree.nearest(Point(place)))

    def _route(self, a: int, b: int) -> Route:
        """The quickest way between two nodes. Raises NoRoute; a == b is the caller's mistake (ValueError)."""
        if a == b:
            raise ValueError("a route needs two different nodes")
        came: dict[int, tuple[int, int]] = {}
        best = {a: 0.0}
        queue = [(0.0, a)]
        while queue:
            cost, node = heapq.heappop(queue)
            if node == b:
                break
            if cost > best[node]:
                continue
            for other, number, seconds in self._out[node]:
                total = cost + seconds
                if total < best.get(other, float("inf")):
                    best[other] = total
                    came[other] = (node, number)
                    heapq.heappush(queue, (total, other))
        if b not in came:
            raise NoRoute(f"no way from node {a} to node {b}")
        pieces: list[tuple[Points, int]] = []
        node = b
        while node != a:
            before, number = came[node]
            first, _, points, road_class = self.edges[number]
            pieces.append((points if first == before else points[::-1], road_class))
            node = before
        pieces.reverse()
        points = np.vstack([pieces[0][0][:1], *[p[1:] for p, _ in pieces]])
        classes = np.concatenate([np.full(len(p) - 1, c, dtype=np.int8) for p, c in pieces])
        keep = np.concatenate([[True], np.hypot(*np.diff(points, axis=0).T) > 0.01])
        return Route(points[keep], classes[keep[1:]])

    def component(self, start: int) -> set[int]:
        """All nodes that can be reached from one."""
        seen = {start}
        stack = [start]
        while stack:
            for other, _, _ in self._out[stack.pop()]:
                if other not in seen:
                    seen.add(other)
                    stack.append(other)
        return seen


def build_graph(lines: list[RoadLine], centre: XY) -> RoadGraph:
    """Cut the lines at their crossings and keep what is connected to the city's centre."""
    shapes = [LineString(line.points) for line in lines]
    tree = STRtree(shapes)
    noded = shapely.unary_union(MultiLineString(shapes))
    index: dict[tuple[float, float], int] = {}
    edges: list[tuple[int, int, Points, int]] = []

    def node(place: NDArray[np.float64]) -> int:
        return index.setdefault((round(float(place[0]), 3), round(float(place[1]), 3)), len(index))

    for piece in getattr(noded, "geoms", [noded]):
        points = np.array(piece.coords)
        middle = piece.interpolate(0.5, normalized=True).buffer(0.05)
        owners = [lines[i].road_class for i in tree.query(middle, predicate="intersects")]
        edges.append((node(points[0]), node(points[-1]), points, min(owners)))
    everything = RoadGraph(np.array(list(index)), edges)
    kept = everything.component(everything.find_node(centre))
    renumber = {old: new for new, old in enumerate(sorted(kept))}
    return RoadGraph(
        everything.nodes[sorted(kept)],
        [(renumber[a], renumber[b], points, c) for a, b, points, c in edges if a in renumber and a != b],
    )
