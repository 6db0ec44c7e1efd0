"""What is no fault but should be known before a result is believed: the W findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from toolkit.data.findings import Findings
from toolkit.data.labels import number_as_text, row_numbers

FEW_ROWS = 10  # fewer, and a person is left out of the metrics
SENTINELS = tuple(
    sign * value for value in (9, 99, 999, 9999, 99999, 88, 888, 8888, 77, 777, 7777, 66) for sign in (-1, 1)
)
GAP = 0.5  # a sentinel lies at least this part of the other values' range away from them


def sentinel_candidates(values: Float[np.ndarray, " rows"]) -> dict[float, int]:
    """Codes like -99 or 999 that lie far outside the other values, with how often they occur.

    A candidate lies below all other values, or above them, by at least half their range.

    Args:
        values: a column of numbers, NaN where empty, shape (rows,).
    """
    values = values[np.isfinite(values)]
    present = {float(code): int((values == code).sum()) for code in SENTINELS}
    present = {code: count for code, count in present.items() if count}
    rest = values[~np.isin(values, list(present))]
    if not present or not len(rest):
        return {}
    low, high = float(rest.min()), float(rest.max())
    margin = max(GAP * (high - low), 1.0)
    return {code: count for code, count in present.items() if code < low - margin or code > high + margin}


def add_column_oddities(findings: Findings, columns: Mapping[str, Float[np.ndarray, " rows"]]) -> None:
    """Constant (W205) and identical (W206) columns, and codes that may mean "missing" (W204)."""
    seen: dict[int, list[str]] = {}
    for name, values in columns.items():
        for code, count in sentinel_candidates(values).items():
            findings.add(
                "W204",
                f"value {number_as_text(code).replace('-', '−')} occurs {count}× far outside the others",
                column=name,
                rows=row_numbers(values == code),
                remedy="If it is a code for a missing answer, empty these cells",
            )
        known = values[~np.isnan(values)]
        if len(known) and known.min() == known.max():
            findings.add("W205", "the column is constant; models leave it out", column=name)
            continue
        digest = int(pd.util.hash_array(np.nan_to_num(values, nan=-0.1234567)).sum(dtype=np.uint64))
        twin = next((other for other in seen.get(digest, []) if _same(values, columns[other])), None)
        if twin is not None:
            findings.add("W206", f"the column is identical to '{twin}'", column=name, remedy="Leave one of them out")
        seen.setdefault(digest, []).append(name)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))


def add_person_oddities(findings: Findings, person: Int[np.ndarray, " rows"], labels: Sequence[str], name: str) -> None:
    """Persons with one row (W208) or fewer than ten (W214)."""
    rows = np.bincount(person, minlength=len(labels))
    single = int((rows == 1).sum())
    if single:
        findings.add(
            "W208",
            f"{single} of {len(labels)} persons have one row; their effects are drawn towards the average",
            column=name,
            remedy="They are left out of metrics within persons, and counted",
        )
    few = [label for label, count in zip(labels, rows, strict=True) if 1 < count < FEW_ROWS]
    if few:
        findings.add(
            "W214",
            f"{len(few)} of {len(labels)} persons have 2 to {FEW_ROWS - 1} rows",
            column=name,
            remedy="They train, and are left out of metrics within persons, and counted",
        )


def add_target_oddities(
    findings: Findings, target: Float[np.ndarray, " rows"], person: Int[np.ndarray, " rows"], name: str
) -> None:
    """Persons whose target never changes (W207): correlations and alpha are undefined for them."""
    known = ~np.isnan(target)
    grouped = pd.Series(target[known]).groupby(person[known])
    several = grouped.size() > 1
    constant = int(((grouped.nunique() == 1) & several).sum())
    if constant:
        findings.add(
            "W207",
            f"the target never changes within {constant} of {int(several.sum())} persons with several rows",
            column=name,
            remedy="Their metrics within persons are undefined; they are excluded and counted",
        )


def add_training_oddities(
    findings: Findings, columns: Mapping[str, Float[np.ndarray, " rows"]], training: Bool[np.ndarray, " rows"]
) -> None:
    """Columns that vary, but not among the training rows (W205)."""
    for name, values in columns.items():
        known, seen = values[~np.isnan(values)], values[training & ~np.isnan(values)]
        if len(known) and len(seen) and known.min() < known.max() and seen.min() == seen.max():
            findings.add("W205", "the column is constant in the training rows; models leave it out", column=name)


def add_repeated_rows(findings: Findings, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Rows that repeat another one in every column with a role (W202)."""
    combined = np.zeros(len(frame), dtype=np.uint64)
    for position, name in enumerate(columns):
        try:
            hashed = pd.util.hash_pandas_object(frame[name], index=False).to_numpy(dtype=np.uint64)
        except TypeError:  # lists and the like
            hashed = pd.util.hash_pandas_object(frame[name].astype("str"), index=False).to_numpy(dtype=np.uint64)
        combined = combined * np.uint64(1_000_003) + hashed + np.uint64(position)
    repeated = pd.Series(combined).duplicated().to_numpy()
    if repeated.any():
        findings.add(
            "W202",
            f"{int(repeated.sum())} row(s) repeat an earlier row exactly",
            rows=row_numbers(repeated),
            remedy="Drop them if the file was put together from overlapping parts",
        )


def add_group_oddities(
    findings: Findings, groups: Sequence[str | None], clusters: Sequence[str | None], name: str
) -> None:
    """Groups too small to compare (the comparison says E124) or to show (W217); groups of whole clusters (W215)."""
    sizes = pd.Series([group for group in groups if group is not None], dtype=object).value_counts()
    if len(sizes) < 2 or (sizes < 2).any():
        findings.add(
            "W217",
            f"{len(sizes)} group(s), the smallest of {int(sizes.min()) if len(sizes) else 0} person(s): "
            "a comparison needs two groups of at least 2 (E124)",
            column=name,
            remedy="Models can be fitted; groups can be compared with more persons",
        )
    elif (sizes <= FEW_ROWS).any():
        findings.add(
            "W217",
            f"the smallest group has {int(sizes.min())} persons",
            column=name,
            remedy="Tables and exports show groups of 11 persons or more",
        )
    pairs = pd.DataFrame({"group": groups, "cluster": clusters}, dtype=object).dropna()
    shared = pairs.groupby("cluster").size() > 1
    if len(sizes) > 1 and shared.any() and (pairs.groupby("cluster")["group"].nunique() == 1).all():
        findings.add(
            "W215",
            "all persons of a cluster are in the same group",
            column=name,
            remedy="Compare the groups by cluster (--unit cluster); by person, p values come out too small",
        )


def add_giveaways(
    findings: Findings,
    features: Mapping[str, Float[np.ndarray, " rows"]],
    target: Float[np.ndarray, " rows"],
    name: str,
    *,
    is_classification: bool,
) -> None:
    """Features that tell the target of their own row (W219): equal to it up to scale, or cut into its classes.

    Args:
        findings: where to add.
        features: columns of numbers, NaN where empty.
        target: values or class codes, NaN where empty.
        name: of the target.
        is_classification: whether the target holds class codes.
    """
    for feature, values in features.items():
        both = np.isfinite(values) & np.isfinite(target)
        x, y = values[both], target[both]
        if len(x) < FEW_ROWS or x.min() == x.max() or y.min() == y.max():
            continue
        tells = _cuts_into_classes(x, y) if is_classification else abs(float(np.corrcoef(x, y)[0, 1])) > 1 - 1e-9
        if tells:
            findings.add(
                "W219",
                f"the column tells the target '{name}' of the same row exactly",
                column=feature,
                remedy="Leave it out, or use its earlier value ([lagged] in the study file)",
            )


def _cuts_into_classes(values: np.ndarray, codes: np.ndarray) -> bool:
    """Whether the classes follow one another when rows are sorted by a value, and equal values have equal classes."""
    order = np.lexsort((codes, values))
    change = np.diff(codes[order]) != 0
    several = len(np.unique(values)) >= len(np.unique(codes))
    return bool(several and change.sum() == len(np.unique(codes)) - 1 and (np.diff(values[order])[change] > 0).all())
