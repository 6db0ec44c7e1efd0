"""What every result record shares: read-only numbers, a frame, a summary and a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike


@runtime_checkable
class Result(Protocol):
    """A finished computation. Records are frozen dataclasses whose arrays are read-only float64."""

    def to_frame(self) -> pd.DataFrame:
        """The numbers as a tidy table, one row per reported quantity."""
        ...

    def summary(self) -> dict[str, Any]:
        """The headline numbers as plain Python values, ready for JSON."""
        ...

    def text(self) -> str:
        """One plain sentence with its uncertainty."""
        ...

    def apa(self) -> str:
        """The same as a sentence in APA 7 style."""
        ...


def read_only(values: ArrayLike, dtype: type = np.float64) -> np.ndarray[Any, np.dtype[Any]]:
    """A read-only copy of ``values``; freezing a dataclass does not freeze the arrays in it."""
    array = cast(np.ndarray[Any, np.dtype[Any]], np.array(values, dtype=dtype))
    array.setflags(write=False)
    return array
