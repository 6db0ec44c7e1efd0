"""Which layers and blocks of a model the differences between persons sit in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses import wording

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


def shares_sentence(blocks: tuple[Block, ...]) -> str:
    """The shares as a sentence, the largest first."""
    if not blocks:
        return "This model has no person effects."
    ordered = sorted(blocks, key=lambda block: -block[2])
    named = [f"{_percent(share)} in {place_in_words(layer, block)}" for layer, block, share, _, _ in ordered]
    listed = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    return f"Of what person effects change in the predictions, {listed}."


def _percent(share: float) -> str:
    return "an undefined share" if np.isnan(share) else f"{wording.number(100 * share, 0)}%"


def place_in_words(layer: str, block: str) -> str:
    """A block of parameters in words, such as ``the biases of layer 2``."""
    if not layer:
        return f"the {block}"
    number = layer.rpartition(".")[2]
    which = f"layer {int(number) + 1}" if number.isdigit() else layer
    return f"the {'biases' if block == 'bias' else 'weights' if block == 'weight' else block} of {which}"
