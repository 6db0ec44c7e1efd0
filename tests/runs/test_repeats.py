"""Fits repeated with other seeds and fewer rows, on a small study."""

from __future__ import annotations

import numpy as np
import pytest

from tests.small_study import small_study
from toolkit.data.grouped import GroupedDataset
from toolkit.data.sequences import SequenceBatch
from toolkit.data.splits import within_person_time
from toolkit.errors import ConfigError, DataError
from toolkit.models import GenericMlp, NmeCrf, NmeMlp
from toolkit.runs.repeats import fit_less_data, keep_training_rows, repeat_fewer_rows, repeat_seeds


@pytest.fixture(scope="module")
def data():
    return GroupedDataset.from_frame(small_study(), target="mood", features=["x"], groups=["who"], time="t")


@pytest.mark.slow
def test_seeds_compare_the_last_bias_only(data):
    seen = []
    found = repeat_seeds(
        NmeMlp(hidden=(3,), epochs=10, variance_update="paper"), data, [1, 2], progress=lambda k, n: seen.append((k, n))
    )
    assert found.parameters == ("layers.1.bias",)
    assert found.estimates.shape == (2, 6, 1)
    assert seen[-1] == (2, 2)
    again = repeat_seeds(NmeMlp(hidden=(3,), epochs=10, variance_update="paper"), data, [1, 1])
    assert np.array_equal(again.estimates[0], again.estimates[1])
    assert np.array_equal(again.estimates[0], found.estimates[0])


@pytest.mark.slow
def test_chains_compare_probabilities():
    batch = SequenceBatch.from_frame(small_study(), target="state", features=["x"], person="who", time="t")
    found = repeat_fewer_rows(
        NmeCrf(hidden=(), epochs=3, effects="last+T", variance_update="paper"),
        batch,
        keep=[1, 0.5],
        repeats=1,
        seed=1,
        rng=np.random.default_rng(1),
    )
    assert found.shares == (1.0, 0.5)
    assert sum(name.startswith("probability[") for name in found.parameters) == 9
    assert sum(name.startswith("expected[") for name in found.parameters) == 9
    for prefix in ("layers.0.bias", "layers.0.weight"):  # only differences between states are identified
        mine = [k for k, name in enumerate(found.parameters) if name.startswith(prefix)]
        assert len(mine) == 3
        assert np.allclose(found.estimates[:, :, mine].sum(axis=2), 0)


def test_rows_are_dropped_from_training_only(data):
    split = within_person_time(data)
    kept = keep_training_rows(data, split, 0.5, np.random.default_rng(1))
    assert kept[split.labels != "train"].all()
    for person in range(data.n_persons):
        mine = (np.asarray(data.person) == person) & (split.labels == "train")
        place = np.flatnonzero(kept[mine])
        assert len(place) == round(0.5 * mine.sum())
        assert np.all(np.diff(place) == 1)  # one sequence a person: a stretch of it


@pytest.mark.slow
def test_less_data_has_the_same_persons_at_every_share(data):
    configs = {
        "generic": GenericMlp(hidden=(), epochs=5),
        "personal": NmeMlp(hidden=(), epochs=5, variance_update="paper"),
    }
    table = fit_less_data(configs, data, keep=(1, 0.25), seed=1, rng=np.random.default_rng(1))
    counts = table.groupby(["model", "share", "metric"])["person"].nunique()
    assert (counts == 6).all()
    assert set(table["model"]) == set(configs)


def test_bad_input_is_named(data):
    with pytest.raises(DataError, match="E124"):
        repeat_seeds(GenericMlp(hidden=(), epochs=2), data, [1, 2])
    with pytest.raises(ConfigError, match="E302"):
        repeat_fewer_rows(NmeMlp(), data, keep=[0], repeats=1, seed=1, rng=np.random.default_rng(1))
