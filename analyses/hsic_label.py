"""The group side of the HSIC test: labels, numbers, or several covariates jointly, as codes and a kernel on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analyses.kernels import (
    KERNELS,
    WITH_BANDWIDTH,
    kernel_matrix,
    low_rank_factor,
    median_bandwidth,
    pivoted_factor,
)
from analyses.resampling import Units, check_finite, factorise
from toolkit.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

NAN = float("nan")
SMALL = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Label:
    """The group variable.

    Attributes:
        codes: position of each row's value among the distinct ones, shape (rows,).
        similarity: kernel between distinct values, shape (labels, labels).
        kernel: its name; "product" for several covariates.
        bandwidth: of one Gaussian or Laplace kernel, else NaN.
        sizes: rows per label; empty unless the values are labels.
        columns: (name, kernel, bandwidth) of each of several covariates.
    """

    codes: np.ndarray
    similarity: np.ndarray
    kernel: str
    bandwidth: float
    sizes: dict[Any, int]
    columns: tuple[tuple[str, str, float], ...] = ()

    def factor(self, most: int) -> np.ndarray | None:
        """F with F F' = similarity up to constants; None when it takes more than `most` columns."""
        if len(self.similarity) <= SMALL:
            found = low_rank_factor(self.similarity)
            return found if found.shape[1] <= most else None
        return pivoted_factor(self.similarity, most)


Kernels = str | Mapping[str, str] | None


def make_label(group: ArrayLike | Mapping[str, ArrayLike] | pd.DataFrame, n: int, kernel: Kernels) -> Label:
    """Codes and kernel of the group variable.

    Args:
        group: labels or numbers, one row each; a mapping or a frame of several columns is one joint covariate, its
            kernel the product of the columns' kernels.
        n: rows wanted.
        kernel: name of the kernel; None for "discrete", or for several columns "discrete" on labels and "gaussian" on
            numbers; several columns may name theirs in a mapping.

    Raises:
        DataError: E110/E111 infinite or missing values, E127 shapes that do not fit.
        ConfigError: E302 a kernel that does not exist.
    """
    columns = _as_columns(group)
    if columns is not None:
        return _joint(columns, n, kernel)
    if not isinstance(kernel, str | None):
        raise ConfigError("a kernel per column needs several columns", code="E302", column="group_kernel")
    return _single(group, n, check_kernel(kernel or "discrete", "group_kernel"), "group")  # type: ignore[arg-type]


def as_rows(x: ArrayLike, what: str) -> Float[np.ndarray, "n d"]:
    """Flatten to one float row per person and check that all numbers are there."""
    try:
        values = np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{what} holds values that are no numbers",
            code="E110",
            column=what,
            remedy="Use the discrete kernel for labels",
        ) from error
    if values.ndim == 0 or values.shape[0] < 2 or values.size == 0:
        raise DataError(
            f"{what} needs at least two rows and one column", code="E127", column=what, remedy="Give one row per person"
        )
    flat = values.reshape(values.shape[0], -1)
    absent = np.isnan(flat).all(axis=0)
    if values.ndim == 3 and absent.any() and not absent.all():
        flat = flat[:, ~absent]  # a cell that no matrix has: a transition that cannot occur
    check_finite(flat, what)
    return flat


def check_kernel(kernel: str, what: str) -> str:
    """The kernel, if it exists."""
    if kernel not in KERNELS:
        raise ConfigError(
            f"{what} does not know this kernel", code="E302", column=what, remedy=f"Use one of {', '.join(KERNELS)}"
        )
    return kernel


def check_varies(label: Label, unit_codes: np.ndarray, units: Units) -> None:
    """Raise E124 unless two values occur, and (for labels) each in two units at least."""
    members = np.bincount(unit_codes, minlength=len(label.similarity))
    if len(members) < 2:
        what = "there is one group only" if label.sizes else "the group variable has one value only"
    elif label.sizes and members.min() < 2:
        what = f"one of {len(members)} groups has only 1 of the {units.name}"
    else:
        return
    raise DataError(
        f"{what}; a comparison needs at least two groups with at least two {units.name} each",
        code="E124",
        column="group",
        remedy="Merge or leave out the small group (11 are needed to display a group)",
    )


def _as_columns(group: Any) -> dict[str, Any] | None:
    """The columns of a mapping or frame; None for a plain array."""
    if isinstance(group, Mapping):
        return {str(name): column for name, column in group.items()}
    if hasattr(group, "columns"):
        return {str(name): group[name] for name in group.columns}
    return None


def _single(column: ArrayLike, n: int, kernel: str, what: str) -> Label:
    if kernel == "discrete":
        codes, levels = factorise(column, n, what)
        sizes = dict(zip(levels, np.bincount(codes).tolist(), strict=True))
        return Label(codes=codes, similarity=np.eye(len(levels)), kernel=kernel, bandwidth=NAN, sizes=sizes)
    values = as_rows(column, what)
    if values.shape[0] != n:
        raise DataError(
            f"{what} has {values.shape[0]} rows and x has {n}",
            code="E127",
            column=what,
            remedy=f"Give one row of the {what} per row of x",
        )
    distinct, codes = np.unique(values, axis=0, return_inverse=True)
    width = median_bandwidth(values, kernel) if kernel in WITH_BANDWIDTH else NAN
    # Centred at the mean of all rows, so that a product of several kernels does not hang on where zero lies.
    shifted = distinct - values.mean(axis=0)
    similarity = shifted @ shifted.T if kernel == "linear" else kernel_matrix(distinct, kernel, width)
    return Label(codes=codes.ravel(), similarity=similarity, kernel=kernel, bandwidth=width, sizes={})


def _joint(columns: dict[str, Any], n: int, kernel: Kernels) -> Label:
    """Distinct combinations of all columns, and the product of the columns' kernels between them."""
    if not columns:
        raise DataError("there is no covariate", code="E127", column="group", remedy="Give at least one column")
    unknown = set(kernel) - set(columns) if isinstance(kernel, Mapping) else set()
    if unknown:
        raise ConfigError("group_kernel names a column that is not there", code="E302", column="group_kernel")
    parts = {}
    for name, column in columns.items():
        chosen = kernel.get(name) if isinstance(kernel, Mapping) else kernel
        chosen = chosen or ("gaussian" if _is_numeric(column) else "discrete")
        parts[name] = _single(column, n, check_kernel(chosen, "group_kernel"), name)
    constant = [name for name, part in parts.items() if len(part.similarity) < 2]
    if constant:
        raise DataError(
            "this covariate has one value only", code="E124", column=constant[0], remedy="Leave it out of the group"
        )
    combined = np.column_stack([part.codes for part in parts.values()])
    distinct, codes = np.unique(combined, axis=0, return_inverse=True)
    similarity = np.ones((len(distinct), len(distinct)))
    for position, part in zip(distinct.T, parts.values(), strict=True):
        similarity *= part.similarity[np.ix_(position, position)]
    return Label(
        codes=codes.ravel(),
        similarity=similarity,
        kernel="product",
        bandwidth=NAN,
        sizes={},
        columns=tuple((name, part.kernel, part.bandwidth) for name, part in parts.items()),
    )


def _is_numeric(column: Any) -> bool:
    kind = np.asarray(column).dtype.kind
    return kind in "iuf"


def group_matrix(label: Label) -> Float[np.ndarray, "n n"]:
    """The kernel between all rows."""
    return label.similarity[np.ix_(label.codes, label.codes)]
