"""Marks what a stability analysis found unstable wherever the parameter is shown again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

MARK = "†"
TRANSITION_VALUES = ("probability", "expected")


def unstable_parameters(run: SavedRun) -> frozenset[str]:
    """Parameters of a run that did not come out alike when it was fitted again; empty when that was not looked into.

    Transitions are listed under the name of the probability that was judged (``probability[calm,tense]``) and, for
    person effects, as ``transitions[calm,tense]``.

    Raises:
        RunFolderError: E402 for a damaged table of the stability analysis.
    """
    # the whole analysis is not loaded to look for what it may have left
    from analyses.stability import stable_parameters

    judged = stable_parameters(run) or {}
    shaky = {name for name, stable in judged.items() if not stable}
    for name in tuple(shaky):
        value, _, cell = name.partition("[")
        if value == "probability":
            shaky.add(f"transitions[{cell}")
    return frozenset(shaky)


def stability_sentence(unstable: frozenset[str], names: Iterable[str], labels: Iterable[str] | None = None) -> str:
    """What to tell the reader of these parameters; empty when none of them is unstable.

    Args:
        unstable: of `unstable_parameters`.
        names: parameters that are shown.
        labels: how they are called; their names by default.
    """
    shown = list(names)
    called = dict(zip(shown, shown if labels is None else labels, strict=True))
    found = [called[name] for name in shown if name in unstable]
    if not found:
        return ""
    listed = ", ".join(found[:6]) + (f" and {len(found) - 6} more" if len(found) > 6 else "")
    which = "this estimate" if len(shown) == 1 else f"{len(found)} of {len(shown)} estimates ({listed})"
    return (
        f"{MARK} Unstable: {which} did not come out alike when the model was fitted again; "
        "do not read anything into single persons' values."
    )


def cell_names(states: Iterable[str], value: str) -> list[str]:
    """Names under which a run's transitions were judged: those of `value`, or of probabilities for other values."""
    names = list(states)
    judged = value if value in TRANSITION_VALUES else "probability"
    return [f"{judged}[{a},{b}]" for a in names for b in names]


def cell_labels(states: Iterable[str]) -> list[str]:
    """The same transitions in words."""
    names = list(states)
    return [f"{a} to {b}" for a in names for b in names]
