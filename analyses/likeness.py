"""Who is this person like? What the gate of a network of experts says about persons.

The gate weighs the experts of the persons a model was trained with, row by row, from the features alone. Averaged over
a person's rows the weights describe whom the model takes the person for. They describe the model: a person may be given
an expert because they look alike in the features, not because they feel alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses import wording
from toolkit.errors import DataError
from toolkit.results import read_only

if TYPE_CHECKING:
    import pandas as pd

NEEDED = ("person", "split", "expert", "weight", "rows", "entropy")
NAMED = 3  # experts of a person that are named in a sentence


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Likeness:
    """Outcome of `likeness`.

    Attributes:
        persons, experts: names of the axes.
        weights: mean weight of each expert in each person's rows (persons, experts); each line adds up to 1.
        rows: rows of each person.
        mixing: mean entropy of a row divided by its largest value, ``log`` of the number of experts (persons,): 0 when
            one expert speaks alone in every row, 1 when all speak equally.
        effective: ``exp`` of the entropy of the mean weights (persons,): how many experts speak over all rows.
        split: which rows.
    """

    persons: tuple[str, ...]
    experts: tuple[str, ...]
    weights: np.ndarray
    rows: np.ndarray
    mixing: np.ndarray
    effective: np.ndarray
    split: str

    @property
    def own(self) -> np.ndarray:
        """Weight of each person's own expert (persons,); NaN for who has none."""
        place = {name: column for column, name in enumerate(self.experts)}
        found = [self.weights[row, place[name]] if name in place else np.nan for row, name in enumerate(self.persons)]
        return np.array(found, dtype=np.float64)

    def to_frame(self) -> pd.DataFrame:
        """One row per person and expert, the heaviest first, with rank, weight, own, rows, mixing, effective."""
        import pandas as pd

        order = np.argsort(-self.weights, axis=1, kind="stable")
        count = len(self.experts)
        return pd.DataFrame(
            {
                "person": np.repeat(np.array(self.persons, dtype=object), count),
                "rank": np.tile(np.arange(1, count + 1), len(self.persons)),
                "expert": np.array(self.experts, dtype=object)[order].ravel(),
                "weight": np.take_along_axis(self.weights, order, axis=1).ravel(),
                "own": (
                    np.array(self.experts, dtype=object)[order] == np.array(self.persons, dtype=object)[:, None]
                ).ravel(),
                "rows": np.repeat(self.rows, count),
                "mixing": np.repeat(self.mixing, count),
                "effective": np.repeat(self.effective, count),
            }
        )

    def summary(self) -> dict[str, Any]:
        """The numbers over all persons as plain Python values."""
        own = self.own
        known = own[np.isfinite(own)]
        return {
            "split": self.split,
            "persons": len(self.persons),
            "experts": len(self.experts),
            "mean_mixing": float(self.mixing.mean()),
            "mean_effective": float(self.effective.mean()),
            "persons_with_an_expert": len(known),
            "mean_own_weight": float(known.mean()) if len(known) else None,
            "recognised": int((known > 0.5).sum()) if len(known) else None,
        }

    def text(self) -> str:
        """How sharply the gate chooses, in plain words."""
        about = self.summary()
        said = (
            f"Over {len(self.persons)} persons ({self.split} rows) the gate speaks through "
            f"{wording.number(about['mean_effective'], 1)} of {len(self.experts)} experts per person on average."
        )
        if about["mean_own_weight"] is not None:
            said += (
                f" A person's own expert has {_percent(about['mean_own_weight'])} of the weight on average "
                f"(equal weights would be {_percent(1 / len(self.experts))}); it has more than half of it for "
                f"{about['recognised']} of {about['persons_with_an_expert']} persons."
            )
        return said + " Weights describe what the model makes of the features, not how persons feel."

    def apa(self) -> str:
        """The same as a sentence for the results section."""
        about = self.summary()
        own = ""
        if about["mean_own_weight"] is not None:
            own = f", and {wording.number(about['mean_own_weight'])} of the weight fell on a person's own expert"
        return (
            f"The gate used an effective number of {wording.number(about['mean_effective'], 1)} of {len(self.experts)} "
            f"experts per person (normalised entropy of a row M = {wording.number(about['mean_mixing'])}){own}, "
            f"N = {len(self.persons)}."
        )

    def of(self, person: str) -> str:
        """Whom the model takes one person for, in plain words.

        Raises:
            DataError: E119 for a person without rows here.
        """
        if person not in self.persons:
            raise DataError("this person has no rows in this part of the data", code="E119", column="person")
        row = self.persons.index(person)
        order = np.argsort(-self.weights[row], kind="stable")[:NAMED]
        heaviest = self.weights[row, order]
        names = [
            f"{'their own expert' if self.experts[k] == person else self.experts[k]} ({_percent(float(w))})"
            for k, w in zip(order, heaviest, strict=True)
        ]
        listed = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
        spread = f"{wording.number(float(self.effective[row]), 1)} of {len(self.experts)} experts speak for this person"
        return f"The model takes {person} mostly for {listed}; {spread} ({int(self.rows[row])} {self.split} rows)."


def _percent(share: float) -> str:
    """A share of weight in whole percent."""
    return f"{wording.number(100 * share, 0)}%"


def likeness(gate: pd.DataFrame, *, split: str = "test") -> Likeness:
    """What the gate makes of every person, from a run's ``gate`` table.

    Args:
        gate: columns person, split, expert, weight, rows, entropy.
        split: which rows: ``train``, ``validation`` or ``test``.

    Raises:
        DataError: E103 a missing column, E124 no rows of this part.
    """
    absent = [name for name in NEEDED if name not in gate.columns]
    if absent:
        raise DataError(f"the table has no column {', '.join(absent)}", code="E103", column=absent[0])
    mine = gate[gate["split"] == split]
    if mine.empty:
        known: Sequence[str] = [str(name) for name in dict.fromkeys(gate["split"])]
        raise DataError("no rows of this part", code="E124", column="split", remedy=f"known: {', '.join(known)}")
    persons, experts = list(dict.fromkeys(mine["person"])), list(dict.fromkeys(mine["expert"]))
    wide = mine.pivot(index="person", columns="expert", values="weight").loc[persons, experts].to_numpy(dtype=float)
    single = mine.drop_duplicates("person").set_index("person").loc[persons]
    most = np.log(len(experts)) if len(experts) > 1 else 1.0
    entropy = -(wide * np.log(np.maximum(wide, 1e-300))).sum(axis=1)
    return Likeness(
        persons=tuple(str(name) for name in persons),
        experts=tuple(str(name) for name in experts),
        weights=read_only(wide),
        rows=read_only(single["rows"].to_numpy(), dtype=np.int64),
        mixing=read_only(single["entropy"].to_numpy(dtype=float) / most),
        effective=read_only(np.exp(entropy)),
        split=split,
    )
