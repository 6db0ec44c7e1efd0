"""Which cells of a table of counts have to be hidden, so that totals do not give the hidden ones back.

Counts of 1 to ``smallest - 1`` are hidden (zero describes nobody). A hidden count can be worked out again when the
totals leave it one value only, so further cells are hidden until every hidden one has at least two possible values. A
reader is assumed to know all shown cells and totals, that a cell marked as small is between 1 and ``smallest - 1``, and
that any other hidden cell is at least ``smallest``.

A table with its totals is a network: rows and columns are nodes, cells are edges between them, and the sum of every
node is fixed. A cell has a second possible value exactly if one unit can be sent around a cycle through it, with every
hidden cell kept within what the reader knows. So the cheapest cycle is looked for, and the cells on it are hidden.

Source: cell suppression as a network problem, Cox (1980), Journal of the American Statistical Association 75, 377-385;
Kelly, Golden & Assad (1992), Networks 22, 397-417.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int

SHARED = -1  # the one node of all rows (or columns) whose totals nobody sees


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hidden:
    """What must not be shown: of the cells, the totals of rows, the totals of columns, and the total of all."""

    cells: Bool[np.ndarray, "rows columns"]
    rows: Bool[np.ndarray, " rows"]
    columns: Bool[np.ndarray, " columns"]
    total: bool


@dataclass(slots=True, kw_only=True)
class _Edge:
    """A cell or total between a row and a column; ``sign`` is -1 for totals of rows and columns."""

    value: int
    row: int
    column: int
    sign: int
    margin: bool
    small: bool
    hidden: bool

    def room(self, smallest: int, direction: int) -> bool:
        """Whether the reader could believe the count to be one higher (direction 1) or lower (-1)."""
        change = direction * self.sign
        if self.small:
            return 1 <= self.value + change < smallest
        return change > 0 or self.value > smallest


@dataclass(slots=True, kw_only=True)
class _Network:
    """All cells and totals, and for each node the edges that touch it."""

    edges: list[_Edge]
    smallest: int
    fixed_totals: bool
    touching: dict[tuple[str, int], list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for place, edge in enumerate(self.edges):
            self.touching.setdefault(("row", edge.row), []).append(place)
            self.touching.setdefault(("column", edge.column), []).append(place)

    def cycle(self, place: int) -> list[int] | None:
        """The edges of the cheapest cycle through an edge, in either direction; None if there is none."""
        edge = self.edges[place]
        ends = {1: (("column", edge.column), ("row", edge.row)), -1: (("row", edge.row), ("column", edge.column))}
        found = [self._path(*ends[way], without=place) for way in (1, -1) if edge.room(self.smallest, way)]
        costs = [(cost, path) for cost, path in (entry for entry in found if entry is not None)]
        return min(costs, key=lambda entry: entry[0])[1] if costs else None

    def _path(self, start: tuple[str, int], goal: tuple[str, int], *, without: int) -> tuple[int, list[int]] | None:
        """The cheapest way from one node to another: up along edges from rows, down along edges from columns."""
        waiting: list[tuple[int, int, tuple[str, int], tuple[int, ...]]] = [(0, 0, start, ())]
        done: set[tuple[str, int]] = set()
        pushed = 0
        while waiting:
            cost, _, node, path = heapq.heappop(waiting)
            if node == goal:
                return cost, list(path)
            if node in done:
                continue
            done.add(node)
            way = 1 if node[0] == "row" else -1
            for place in self.touching[node]:
                edge = self.edges[place]
                price = self._price(edge)
                if place == without or price is None or not edge.room(self.smallest, way):
                    continue
                other = ("column", edge.column) if way == 1 else ("row", edge.row)
                pushed += 1
                heapq.heappush(waiting, (cost + price, pushed, other, (*path, place)))
        return None

    def _price(self, edge: _Edge) -> int | None:
        """What hiding an edge costs: its count; totals only when nothing else helps; None if it cannot be hidden."""
        if edge.hidden:
            return 0
        if edge.value == 0 or (edge.margin and self.fixed_totals):
            return None
        return 1 + edge.value + (10**9 if edge.margin else 0)


def hidden_counts(
    counts: Int[np.ndarray, "rows columns"],
    *,
    smallest: int,
    row_totals: bool = True,
    column_totals: bool = True,
    fixed_totals: bool = False,
    also: Bool[np.ndarray, "rows columns"] | None = None,
    also_columns: Bool[np.ndarray, " columns"] | None = None,
) -> Hidden:
    """Which counts of a table to hide.

    Args:
        counts: whole numbers from 0.
        smallest: the smallest count that is shown.
        row_totals: whether the sum of each row is published.
        column_totals: whether the sum of each column is published.
        fixed_totals: totals are known anyway and cannot be hidden; then all counts are hidden where nothing less helps.
        also: further cells to hide, such as all rows of a small group of persons.
        also_columns: further totals of columns to hide.

    Returns:
        The cells and totals to hide; totals are hidden only where cells alone do not help.
    """
    network = _network(counts, smallest, row_totals, column_totals, fixed_totals)
    forced = _asked(counts.shape, also, also_columns if column_totals else None, row_totals)
    small = [
        place
        for place, edge in enumerate(network.edges)
        if (edge.small and not (edge.margin and fixed_totals)) or (place in forced and edge.value > 0)
    ]
    for place in small:
        network.edges[place].hidden = True
    for place in sorted(small, key=lambda place: network.edges[place].value, reverse=True):
        path = network.cycle(place)
        for other in _everything(network) if path is None else path:
            network.edges[other].hidden = True
    return _as_hidden(network, counts.shape, row_totals, column_totals)


def _asked(
    shape: tuple[int, int], also: np.ndarray | None, also_columns: np.ndarray | None, row_totals: bool
) -> set[int]:
    """Places of the cells and totals of columns that were asked to be hidden."""
    rows, columns = shape
    cells = set() if also is None else set(np.flatnonzero(also).tolist())
    start = rows * columns + (rows if row_totals else 0)
    return cells | (set() if also_columns is None else {start + int(k) for k in np.flatnonzero(also_columns)})


def given_away(counts: Int[np.ndarray, " groups"], *, smallest: int) -> bool:
    """Whether counts of groups can be worked out from their total whatever is hidden among them."""
    network = _network(counts[None, :], smallest, True, False, True)
    for edge in network.edges:
        edge.hidden = not edge.margin and edge.value > 0
    small = [place for place, edge in enumerate(network.edges) if edge.small and not edge.margin]
    return any(network.cycle(place) is None for place in small)


def _everything(network: _Network) -> list[int]:
    return [place for place, edge in enumerate(network.edges) if edge.value > 0 and not edge.margin]


def _network(counts: np.ndarray, smallest: int, row_totals: bool, column_totals: bool, fixed_totals: bool) -> _Network:
    rows, columns = counts.shape
    edges: list[_Edge] = []

    def add(value: int, row: int, column: int, sign: int = 1, *, margin: bool = False) -> None:
        small = 0 < value < smallest
        node = (row if row_totals else SHARED, column if column_totals else SHARED)
        edges.append(
            _Edge(value=value, row=node[0], column=node[1], sign=sign, margin=margin, small=small, hidden=False)
        )

    for row in range(rows):
        for column in range(columns):
            add(int(counts[row, column]), row, column)
    if row_totals:
        for row in range(rows):
            add(int(counts[row].sum()), row, columns, -1, margin=True)
    if column_totals:
        for column in range(columns):
            add(int(counts[:, column].sum()), rows, column, -1, margin=True)
    if row_totals and column_totals:
        add(int(counts.sum()), rows, columns, margin=True)
    return _Network(edges=edges, smallest=smallest, fixed_totals=fixed_totals)


def _as_hidden(network: _Network, shape: tuple[int, int], row_totals: bool, column_totals: bool) -> Hidden:
    flags = np.array([edge.hidden for edge in network.edges], dtype=bool)
    rows, columns = shape
    cells, rest = flags[: rows * columns].reshape(shape), flags[rows * columns :]
    by_row = rest[:rows] if row_totals else np.zeros(rows, dtype=bool)
    rest = rest[rows:] if row_totals else rest
    by_column = rest[:columns] if column_totals else np.zeros(columns, dtype=bool)
    total = bool(rest[columns]) if row_totals and column_totals else False
    return Hidden(cells=cells, rows=by_row, columns=by_column, total=total)
