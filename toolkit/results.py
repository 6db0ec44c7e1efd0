"""What every result record shares: read-only numbers, a frame, a summary and a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike


Array = np.ndarray[Any, np.dtype[Any]]


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


def read_only(values: ArrayLike, dtype: type = np.float64) -> Array:
    """A read-only copy of ``values``; freezing a dataclass does not freeze the arrays in it.

    An array that is read-only already, of that type and nobody's view, is shared: large data are not copied each time a
    record is made from another one.
    """
    frozen = cast("Array | None", values) if type(values) is np.ndarray else None
    if frozen is not None and frozen.base is None and frozen.dtype == dtype and not frozen.flags.writeable:
        return frozen
    array = cast(Array, np.array(values, dtype=dtype))
    array.setflags(write=False)
    return array
