"""Which sequences carry a cell: how often a transition occurs in each, against what the other group leads to expect."""

# pyright: reportMissingTypeStubs=false
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from analyses import wording
from analyses.resampling import check_finite, check_length, factorise
from toolkit.errors import DataError
from toolkit.results import read_only

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SequenceDrivers:
    """Outcome of `sequence_drivers`; arrays over sequences in which the first state is left at least once.

    Attributes:
        cell: names of the states (from, into).
        person, sequence: labels. departures: moves out of the first state. moves: those into the second.
        expected: departures times the expected probability. excess: moves less expected; a person's sequences sum to
            the person's excess. push: excess with the sign of the person's side, what it adds to the group difference.
    """

    cell: tuple[str, str]
    person: tuple[Any, ...]
    sequence: tuple[Any, ...]
    departures: np.ndarray
    moves: np.ndarray
    expected: np.ndarray
    excess: np.ndarray
    push: np.ndarray

    def to_frame(self) -> pd.DataFrame:
        """One row per sequence, those that push the difference up most first."""
        import pandas as pd

        names = ("departures", "moves", "expected", "excess", "push")
        frame = pd.DataFrame({"person": list(self.person), "sequence": list(self.sequence)})
        frame = frame.assign(**{name: getattr(self, name) for name in names})
        return frame.iloc[np.argsort(-self.push, kind="stable")].reset_index(drop=True)

    def summary(self) -> dict[str, Any]:
        """The number of sequences and the table's first and last rows."""
        frame = self.to_frame()
        ends = {"first": frame.head(10), "last": frame.tail(10)}
        return {"cell": list(self.cell), "sequences": len(frame)} | {
            name: part.to_dict(orient="records") for name, part in ends.items()
        }

    def text(self, upwards: bool = True) -> str:
        """The sequence that carries most of a difference that goes up, or down."""
        k = int(np.argmax(self.push if upwards else -self.push))
        return (
            f"The sequence that carries most is {self.sequence[k]} of {self.person[k]}: {int(self.moves[k])} of "
            f"{int(self.departures[k])} moves out of {self.cell[0]} went to {self.cell[1]}, where "
            f"{wording.number(float(self.expected[k]), 1)} would be expected from the other group."
        )

    def apa(self) -> str:
        """How many sequences there are, as a sentence."""
        return (
            f"{len(self.person)} sequences of {len(set(self.person))} persons left the state {self.cell[0]} at least "
            f"once; {int((self.excess > 0).sum())} held more moves to {self.cell[1]} than expected."
        )


def sequence_drivers(
    states: ArrayLike,
    *,
    person: ArrayLike,
    sequence: ArrayLike,
    cell: tuple[str, str],
    expected: ArrayLike,
    side: ArrayLike | None = None,
) -> SequenceDrivers:
    """Count a transition in every sequence and compare it with an expected probability.

    ``excess = moves - departures * expected``, with departures the rows in the first state that are followed by a row
    of the same person and sequence with a state. Rows are taken in their order.

    Args:
        states: label per row, missing where unknown, shape (rows,).
        person: label per row.
        sequence: label per row; equal labels of one person, one after the other, form a sequence.
        cell: (from, into).
        expected: per row, the probability of moving into the second state from the first that its person is held
            against (the other group's, or the generic one).
        side: +1 or -1 per row, the side of its person; +1 by default.

    Raises:
        DataError: E111/E110 missing or infinite probabilities, E112 missing labels, E120 a state that does not occur,
            E121 nobody ever leaves the first state, E127 lengths, E302 probabilities or sides out of range.
    """
    import pandas as pd

    labels = np.asarray(states, dtype=object)
    n = labels.size
    check_length(labels, n, "states")
    chance = np.asarray(expected, dtype=np.float64)
    sign = np.ones(n) if side is None else np.asarray(side, dtype=np.float64)
    check_length(chance, n, "expected")
    check_length(sign, n, "side")
    check_finite(chance, "expected")
    if (chance < 0).any() or (chance > 1).any() or not np.isin(sign, (-1, 1)).all():
        raise DataError(
            "a probability lies outside 0 and 1, or a side is neither 1 nor -1", code="E302", column="expected"
        )
    who, which = np.asarray(person, dtype=object), np.asarray(sequence, dtype=object)
    person_codes, _ = factorise(who, n, "person", missing_code="E112")
    sequence_codes, _ = factorise(which, n, "sequence", missing_code="E112")
    known = ~np.asarray(pd.isna(labels))
    if not {*cell} <= set(labels[known].tolist()):
        raise DataError(
            "one of the states does not occur", code="E120", column="cell", remedy="Choose states that occur"
        )
    changes = (np.diff(person_codes) != 0) | (np.diff(sequence_codes) != 0)
    run = np.concatenate([[0], np.cumsum(changes)])
    leaves = np.flatnonzero((labels[:-1] == cell[0]) & known[1:] & ~changes)
    if leaves.size == 0:
        raise DataError("nobody ever leaves the first state", code="E121", column="cell", remedy="Choose another cell")
    departures = np.bincount(run[leaves], minlength=run[-1] + 1)
    moves = np.bincount(run[leaves], (labels[leaves + 1] == cell[1]).astype(np.float64), minlength=run[-1] + 1)
    inside = np.flatnonzero(departures)
    first = np.searchsorted(run, inside)
    awaited = departures[inside] * chance[first]
    excess = moves[inside] - awaited
    return SequenceDrivers(
        cell=cell,
        person=tuple(who[first].tolist()),
        sequence=tuple(which[first].tolist()),
        departures=read_only(departures[inside], dtype=np.int64),
        moves=read_only(moves[inside], dtype=np.int64),
        expected=read_only(awaited),
        excess=read_only(excess),
        push=read_only(excess * sign[first]),
    )
