"""Which layers and blocks of a model the differences between persons sit in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses import wording
from analyses.grouping_factors import FactorShare, factors_of

if TYPE_CHECKING:
    import pandas as pd

Block = tuple[str, str, float, int, int]


def person_components(components: pd.DataFrame) -> pd.DataFrame:
    """The components of the persons and the residual, of a run that may have further grouping factors."""
    terms = [term for term in components["term"] if term != "residual"]
    return components[components["term"].isin([*terms[:1], "residual"])].reset_index(drop=True)


def variance_blocks(components: pd.DataFrame) -> tuple[Block, ...]:
    """Share of the person variance by layer and block (weight, bias, transitions), from a run's variance components.

    The components' ``share`` weighs each variance by how strongly its parameter acts on the outcome; raw variances of
    different layers have different units and are not added up. Shares are of the person variance: they add up to one.

    Returns:
        (layer, block, share, parameters, of which at the boundary of zero), in the order of the model.
    """
    rows = components[components["term"] != "residual"]
    if rows.empty:
        return ()
    names = rows["parameter"].str.replace(r"\[.*$", "", regex=True)
    parted = names.str.rpartition(".")
    grouped = rows.assign(layer=parted[0], block=parted[2]).groupby(["layer", "block"], sort=False)
    total = float(rows["share"].sum())
    return tuple(
        (
            str(layer),
            str(block),
            float(part["share"].sum() / total) if total > 0 else float("nan"),
            len(part),
            int(part["at_boundary"].sum()),
        )
        for (layer, block), part in grouped  # type: ignore[misc]
    )


def shares_sentence(blocks: tuple[Block, ...], noun: str = "person") -> str:
    """The shares as a sentence, the largest first; ``noun`` says whose effects they are."""
    if not blocks:
        return "This model has no person effects."
    ordered = sorted(blocks, key=lambda block: -block[2])
    named = [f"{_percent(share)} in {place_in_words(layer, block)}" for layer, block, share, _, _ in ordered]
    listed = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    return f"Of what {noun} effects change in the predictions, {listed}."


def _percent(share: float) -> str:
    return "an undefined share" if np.isnan(share) else f"{wording.number(100 * share, 0)}%"


def place_in_words(layer: str, block: str) -> str:
    """A block of parameters in words, such as ``the biases of layer 2``."""
    if not layer:
        return f"the {block}"
    if (layer, block) == ("output", "bias"):  # what is added to a network's output
        return "the level"
    number = layer.rpartition(".")[2]
    which = f"layer {int(number) + 1}" if number.isdigit() else layer
    return f"the {'biases' if block == 'bias' else 'weights' if block == 'weight' else block} of {which}"


def blocks_of_factors(components: pd.DataFrame) -> tuple[tuple[str, tuple[Block, ...]], ...]:
    """`variance_blocks` of every further grouping factor: (what its levels are, blocks)."""
    return tuple(
        (factor.noun, variance_blocks(components[components["term"] == factor.term]))
        for factor in factors_of(components)[1:]
    )


def share_rows(factors: Sequence[FactorShare], blocks: Sequence[tuple[str, tuple[Block, ...]]]) -> list[dict[str, Any]]:
    """Rows of a table: share and intraclass correlation of each factor, then each factor's blocks."""
    rows: list[dict[str, Any]] = []
    for one in factors:
        counts = {"parameters": one.parameters, "at_boundary": one.at_boundary}
        rows.append({"kind": "factor share", "name": one.factor.term, "value": one.share, **counts})
        rows.append({"kind": "factor icc", "name": one.factor.term, "value": one.icc})
    for noun, own in blocks:
        for layer, block, share, count, zero in own:
            where = {"kind": f"share {noun}".strip(), "name": f"{layer} {block}".strip()}
            where |= {"layer": layer, "block": block}
            rows.append({**where, "value": share, "parameters": count, "at_boundary": zero})
    return rows
