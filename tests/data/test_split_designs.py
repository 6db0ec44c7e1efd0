"""Splits by rows, persons, clusters and dates: no part knows what it should not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.data.grouped import GroupedDataset
from toolkit.data.split_designs import (
    DESIGNS,
    find_leakage,
    future,
    k_fold,
    leave_units_out,
    make_split,
    random_rows,
    unit_of_rows,
)
from toolkit.data.split_file import load_split, save_split
from toolkit.data.splits import Split, explicit, warn_of_untrained_persons
from toolkit.errors import ConfigError, DataError, ToolkitWarning


def study(persons: int = 12, rows: int = 10) -> GroupedDataset:
    rng = np.random.default_rng(3)
    person = np.repeat(np.arange(persons), rows)
    frame = pd.DataFrame(
        {
            "who": [f"p{k}" for k in person],
            "family": [f"f{k // 2}" for k in person],
            "t": np.tile(np.arange(rows), persons) + person % 3,
            "x": rng.normal(size=len(person)),
            "y": rng.normal(size=len(person)),
        }
    )
    frame = frame.sample(frac=1, random_state=1)
    return GroupedDataset.from_frame(frame, target="y", features="x", groups="who", time="t", cluster="family")


def test_persons_without_training_rows_are_counted() -> None:
    data = study()
    labels = np.where(data.person < 2, "test", "train")
    with pytest.warns(ToolkitWarning, match="W209: 2 of 12 persons"):
        warn_of_untrained_persons(data, explicit(data, labels))


def parts(data: GroupedDataset, split: Split, codes: np.ndarray) -> list[set[int]]:
    return [set(codes[split.rows(part)].tolist()) for part in ("train", "validation", "test")]


@given(st.integers(3, 15), st.integers(1, 6), st.sampled_from(["person", "cluster"]), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_no_unit_is_in_two_parts(persons: int, rows: int, unit: str, seed: int) -> None:
    data = study(max(persons, 6), rows)
    codes = unit_of_rows(data, unit)
    rng = np.random.default_rng(seed)
    designs = [leave_units_out(data, unit, rng=rng), *k_fold(data, 3, unit, rng=rng)]
    for split in designs:
        train, validation, test = parts(data, split, codes)
        assert min(map(len, (train, validation, test))) > 0
        assert train.isdisjoint(validation)
        assert (train | validation).isdisjoint(test)
        assert train | validation | test == set(codes.tolist())


@given(st.integers(2, 10), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_the_future_is_never_earlier(persons: int, rows: int) -> None:
    data = study(persons, rows)
    split = future(data)
    assert data.time is not None
    for earlier, later in (("train", "validation"), ("train", "test"), ("validation", "test")):
        before, after = data.time[split.rows(earlier)], data.time[split.rows(later)]
        assert not len(before) or not len(after) or before.max() < after.min()
    assert split.counts["train"] >= 0.6 * data.n_rows - 1e-9


def test_every_row_tests_once_in_k_folds() -> None:
    data = study()
    for unit in ("row", "person", "cluster"):
        folds = k_fold(data, 4, unit, rng=np.random.default_rng(1))
        tested = np.sum([fold.labels == "test" for fold in folds], axis=0)
        assert (tested == 1).all()
    with pytest.raises(ConfigError, match="E302"):
        k_fold(data, 2, rng=np.random.default_rng(1))
    with pytest.raises(ConfigError, match="E302"):
        k_fold(data, 7, "cluster", rng=np.random.default_rng(1))


def test_shares_are_kept_and_the_seed_decides() -> None:
    data = study(50, 4)
    one, two, other = (random_rows(data, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.counts == {"train": 120, "validation": 40, "test": 40}
    assert (one.labels == two.labels).all()
    assert (one.labels != other.labels).any()
    units = leave_units_out(data, "person", (0.8, 0.0, 0.2), rng=np.random.default_rng(1))
    assert units.counts == {"train": 160, "validation": 0, "test": 40}


@pytest.mark.parametrize("design", DESIGNS)
def test_designs_by_name(design: str) -> None:
    data = study()
    split = make_split(design, data, rng=np.random.default_rng(1))
    assert split.name == design
    assert sum(split.counts.values()) == data.n_rows


def test_what_the_data_cannot_give_is_said() -> None:
    data = study()
    alone = replace(data, cluster_name=None, time=None)
    for design in ("clusters", "future", "sideways"):
        with pytest.raises(ConfigError, match="E302"):
            make_split(design, alone, rng=np.random.default_rng(1))
    with pytest.raises(ConfigError, match="E302"):
        leave_units_out(data.take(data.person < 2), "person", rng=np.random.default_rng(1))


def test_leakage_is_counted() -> None:
    data = study(40)
    rng = np.random.default_rng(1)
    assert find_leakage(data, make_split("persons", data, rng=rng)).shared_persons == 0
    assert find_leakage(data, make_split("persons", data, rng=rng)).shared_clusters > 0
    clusters = find_leakage(data, make_split("clusters", data, rng=rng))
    assert (clusters.shared_persons, clusters.shared_clusters) == (0, 0)
    within = find_leakage(data, make_split("within-person-time", data, rng=rng))
    assert (within.shared_persons, within.earlier_tests) == (40, 0)
    later = find_leakage(data, make_split("future", data, rng=rng))
    assert (later.earlier_tests, later.overlapping_times, later.repeated_rows) == (0, 0, 0)
    random = find_leakage(data, make_split("random", data, rng=rng))
    assert random.earlier_tests > 0
    assert "not later than their person's" in random.text()
    twice = replace(data, features=np.zeros_like(data.features), target=np.zeros_like(data.target))
    assert find_leakage(twice, make_split("random", twice, rng=rng)).repeated_rows == 80


def test_a_split_is_kept_and_used_for_every_model(tmp_path: Path) -> None:
    data = study()
    folds = k_fold(data, 3, rng=np.random.default_rng(1))
    path = save_split(folds, data, tmp_path / "folds.parquet")
    for number, fold in enumerate(folds, start=1):
        again = load_split(path, data, fold=number)
        assert (again.labels == fold.labels).all()
        assert again.name == fold.name
        assert (load_split(f"{path}:{number}", data).labels == fold.labels).all()
    some = data.take(np.arange(0, data.n_rows, 3))  # a target with empty cells has fewer rows
    assert (load_split(path, some).labels == folds[0].labels[::3]).all()
    assert b"p1" not in path.read_bytes().replace(b"part_1", b"")
    with pytest.raises(ConfigError, match="E302"):
        load_split(path, data, fold=4)


def test_a_split_of_other_data_is_refused(tmp_path: Path) -> None:
    data = study()
    path = save_split(random_rows(data, rng=np.random.default_rng(1)), data, tmp_path / "s.parquet")
    assert data.time is not None
    later = replace(data, time=np.where(np.arange(data.n_rows) == 4, -1.0, data.time))
    with pytest.raises(DataError, match="E303") as caught:
        load_split(path, later)
    assert caught.value.rows == (6,)
    for other in (study(13), study(rows=11)):
        with pytest.raises(DataError, match="E303"):
            load_split(path, other)
    (tmp_path / "x.parquet").write_bytes(b"no split")
    for broken in ("x.parquet", "nowhere.parquet"):
        with pytest.raises(DataError, match="E401"):
            load_split(tmp_path / broken, data)
