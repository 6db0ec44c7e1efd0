"""Classes and levels of which the training rows say little or nothing: said before a model learns from them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ToolkitWarning

SHOWN = 3  # names in a message


def warn_of_scarce_classes(data: GroupedDataset, training: np.ndarray) -> None:
    """Say which classes have no training row, or a single one (W244).

    Args:
        data: rows with class codes; numbers are passed over.
        training: numbers of the training rows.
    """
    if data.classes is None:
        return
    codes = np.asarray(data.target)[training]
    counts = np.bincount(codes[~np.isnan(codes)].astype(np.int64), minlength=len(data.classes))
    for wanted, words in (
        (0, "no training row: the model cannot tell it, and its probabilities mean nothing"),
        (1, "a single training row: nothing general can be learned of it"),
    ):
        names = [name for name, count in zip(data.classes, counts, strict=True) if count == wanted]
        if names:
            _warn(f"{_listed('class', 'classes', names)} {words}; merge it with another, or leave it out", "W244")


def warn_of_scarce_levels(data: GroupedDataset, training: np.ndarray) -> None:
    """Say which factors have a level for every training row (W245), and how many levels have none (W246).

    Persons without training rows are said elsewhere (W209).

    Args:
        data: all rows.
        training: numbers of the training rows.
    """
    for place, factor in enumerate(data.groupings):
        codes = np.asarray(factor.codes)
        counts = np.bincount(codes[training], minlength=len(factor.levels))
        if counts.max(initial=0) == 1:
            _warn(
                f"every training row has a level of '{factor.name}' of its own: what belongs to the level and what to "
                "the row cannot be told apart; leave the factor out, or merge levels",
                "W245",
            )
        present = np.bincount(codes, minlength=len(factor.levels)) > 0
        unseen = int((present & (counts == 0)).sum())
        if place and unseen:
            rows = int((counts[codes] == 0).sum())
            _warn(
                f"{unseen} of {int(present.sum())} levels of '{factor.name}' have no training rows ({rows} row(s) of "
                "the data); they are predicted as a level that is not known",
                "W246",
            )


def _listed(one: str, several: str, names: Sequence[str]) -> str:
    """Names after what they are of; the first few."""
    shown = ", ".join(f"'{name}'" for name in names[:SHOWN]) + (" and others" if len(names) > SHOWN else "")
    return f"{one} {shown} has" if len(names) == 1 else f"{several} {shown} have each"


def _warn(message: str, code: str) -> None:
    warnings.warn(ToolkitWarning(message, code=code), stacklevel=4)
