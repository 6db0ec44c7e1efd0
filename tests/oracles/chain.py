"""The chain by enumeration: every quantity from the list of all state sequences and their scores.

Plain Python on nested lists, one sequence at a time and without padding; exponential in the length. A label of -1 is
missing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

Matrix = Sequence[Sequence[float]]
Ends = Sequence[float] | None


def path_score(emissions: Matrix, transitions: Matrix, path: Sequence[int], start: Ends = None, end: Ends = None):
    total = 0.0
    for step, state in enumerate(path):
        total += emissions[step][state]
    for before, after in itertools.pairwise(path):
        total += transitions[before][after]
    if start is not None:
        total += start[path[0]]
    if end is not None:
        total += end[path[-1]]
    return total


def all_paths(emissions: Matrix) -> Iterable[tuple[int, ...]]:
    return itertools.product(range(len(emissions[0])), repeat=len(emissions))


def agrees(path: Sequence[int], labels: Sequence[int]) -> bool:
    return all(label in (-1, state) for state, label in zip(path, labels, strict=True))


def log_sum(values: Iterable[float]) -> float:
    listed = list(values)
    top = max(listed)
    return top + math.log(sum(math.exp(value - top) for value in listed))


def log_partition(emissions: Matrix, transitions: Matrix, start: Ends = None, end: Ends = None) -> float:
    return log_sum(path_score(emissions, transitions, path, start, end) for path in all_paths(emissions))


def log_likelihood(
    emissions: Matrix, labels: Sequence[int], transitions: Matrix, start: Ends = None, end: Ends = None
) -> float:
    matching = [path for path in all_paths(emissions) if agrees(path, labels)]
    joint = log_sum(path_score(emissions, transitions, path, start, end) for path in matching)
    return joint - log_partition(emissions, transitions, start, end)


def best_path(emissions: Matrix, transitions: Matrix, start: Ends = None, end: Ends = None):
    """The best path, its score, and by how much the second best falls short."""
    ranked = sorted((path_score(emissions, transitions, path, start, end), path) for path in all_paths(emissions))
    second = ranked[-2][0] if len(ranked) > 1 else -math.inf
    return list(ranked[-1][1]), ranked[-1][0], ranked[-1][0] - second


def unary_marginals(emissions: Matrix, transitions: Matrix, start: Ends = None, end: Ends = None):
    normaliser = log_partition(emissions, transitions, start, end)
    found = [[0.0] * len(emissions[0]) for _ in emissions]
    for path in all_paths(emissions):
        weight = math.exp(path_score(emissions, transitions, path, start, end) - normaliser)
        for step, state in enumerate(path):
            found[step][state] += weight
    return found


def pairwise_marginals(emissions: Matrix, transitions: Matrix, start: Ends = None, end: Ends = None):
    normaliser = log_partition(emissions, transitions, start, end)
    states = range(len(emissions[0]))
    found = [[[0.0 for _ in states] for _ in states] for _ in range(len(emissions) - 1)]
    for path in all_paths(emissions):
        weight = math.exp(path_score(emissions, transitions, path, start, end) - normaliser)
        for step, (before, after) in enumerate(itertools.pairwise(path)):
            found[step][before][after] += weight
    return found


def filtered(emissions: Matrix, transitions: Matrix, start: Ends = None):
    """Row t: state probabilities of the last step of the chain that is cut off after step t."""
    return [unary_marginals(emissions[: step + 1], transitions, start)[-1] for step in range(len(emissions))]


def forecast(emissions: Matrix, labels: Sequence[int], transitions: Matrix, start: Ends = None):
    """Row t: the same, among the paths that agree with the labels before step t."""
    rows = []
    for step in range(len(emissions)):
        cut = emissions[: step + 1]
        mass = [0.0] * len(emissions[0])
        for path in all_paths(cut):
            if agrees(path[:-1], labels[:step]):
                mass[path[-1]] += math.exp(path_score(cut, transitions, path, start))
        rows.append([value / sum(mass) for value in mass])
    return rows
