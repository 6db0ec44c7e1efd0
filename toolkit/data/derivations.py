"""Known ways to make a study's columns from its data file, by the name ``derive`` gives in study.toml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import pandas as pd

from toolkit.data.demo import emotions, panic


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """How a frame is made from a file.

    Attributes:
        make: from the table as read to the table the roles speak of.
        text_columns: id columns of the file, read as text.
        text: the definitions, for reports.
    """

    make: Callable[[pd.DataFrame], pd.DataFrame]
    text_columns: tuple[str, ...]
    text: str


DERIVATIONS: Mapping[str, Derivation] = {
    f"emotions-{variant.replace('_', '-')}": Derivation(
        make=partial(emotions.emotion_frame, variant=variant),
        text_columns=("id",),
        text=emotions.definition(variant),
    )
    for variant in emotions.VARIANTS
} | {
    "panic": Derivation(make=panic.rated_frame, text_columns=("id",), text=panic.DEFINITION),
}
