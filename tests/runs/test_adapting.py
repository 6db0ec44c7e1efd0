"""``adapt``: whom it refuses, what it leaves as it is, what it writes, and that experts do not ask who is who."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.models.experts_study import rows_of, study
from tests.oracles import experts as oracle
from toolkit import SequenceBatch, fit, load_run
from toolkit.data.adaptation_splits import adaptation_split
from toolkit.errors import ConfigError, DataError, RunFolderError, ToolkitError, ToolkitWarning
from toolkit.models import GenericMlp, NmeCrf, NmeMlp, Pen, PenShared
from toolkit.models import experts as algebra
from toolkit.models.expert_prior import VARIANCES
from toolkit.runs.adapting import AdaptSettings, adapt

QUICK = {"shared_epochs": 6, "head_epochs": 8, "gate_epochs": 12, "epochs": 12, "lr": 0.02, "batch": 32}
CONFIGS = {
    "pen": Pen(hidden=(3,), **QUICK),
    "prior": Pen(prior="nme", **QUICK),
    "pen-shared": PenShared(hidden=(3,), shared_epochs=6, head_epochs=8, lr=0.02),
    "nme-mlp": NmeMlp(hidden=(3,), epochs=20),
}


@pytest.fixture(scope="module")
def source():
    return study()


@pytest.fixture(scope="module")
def target_frame():
    return study(persons=4, rows=20, seed=9, prefix="Zoe-")


@pytest.fixture(scope="module")
def new(target_frame):
    return rows_of(target_frame)


@pytest.fixture(scope="module")
def runs(source, tmp_path_factory):
    home, made = tmp_path_factory.mktemp("runs"), {}

    def get(name: str):
        if name not in made:
            made[name] = fit(CONFIGS[name], rows_of(source), seed=1, out=home / name), load_run(home / name)
        return made[name]

    return get


def tensors_of(run) -> dict[str, torch.Tensor]:
    return run.trained.network.shared


def bytes_of(saved) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(saved.path.iterdir()) if path.is_file()}


@pytest.mark.parametrize(
    "name",
    [case if case in ("prior", "pen-shared") else pytest.param(case, marks=pytest.mark.slow) for case in CONFIGS],
)
def test_the_run_stays_as_it_is_in_memory_and_on_disk(runs, new, name):
    run, saved = runs(name)
    before = {key: value.clone() for key, value in tensors_of(run).items()}
    files = bytes_of(saved)
    first, second = adapt(run, new, seed=3), adapt(saved, new, seed=3)
    assert all(torch.equal(value, tensors_of(run)[key]) for key, value in before.items())
    assert bytes_of(saved) == files
    assert all(torch.equal(value, tensors_of(second)[key]) for key, value in tensors_of(first).items())
    np.testing.assert_array_equal(first.predict(new), second.predict(new))
    assert not np.array_equal(first.predict(new), run.predict(new))


@pytest.mark.parametrize("name", CONFIGS)
def test_share_zero_predicts_as_the_model_does(runs, new, name):
    run, saved = runs(name)
    split = adaptation_split(new, 0.0, rng=np.random.default_rng(0))
    adapted = adapt(saved, new, seed=1, split=split)
    level = "population" if name == "nme-mlp" else "person"
    expected = run.predict(new.take(split.labels == "test"), level)
    np.testing.assert_allclose(adapted.predictions()["prediction"], expected, rtol=1e-12)
    assert set(adapted.predictions()["split"]) == {"test"}


@pytest.mark.parametrize("name", CONFIGS)
def test_an_adapted_run_is_a_run_of_the_new_persons(runs, new, tmp_path, name):
    run, _saved = runs(name)
    split = adaptation_split(new, 0.3, rng=np.random.default_rng(0))
    adapted = adapt(run, new, seed=1, split=split, out=tmp_path / "adapted")
    kept = load_run(tmp_path / "adapted")
    np.testing.assert_array_equal(kept.predict(new), adapted.predict(new))
    assert kept.verify()
    assert kept.manifest["adapted_from"]["model"] == name if name != "prior" else "pen"
    assert kept.manifest["adapted_from"]["data"] == run.manifest["data"]["hash"]
    assert kept.manifest["split"]["name"] == "adaptation-time"
    assert len(kept.persons()) == 4
    assert not kept.metrics().empty
    everything = "\n".join(
        path.read_bytes().decode("latin-1") + (pd.read_parquet(path).to_csv() if path.suffix == ".parquet" else "")
        for path in kept.path.iterdir()
    )
    assert "Zoe" not in everything
    assert "Anna" not in everything


def test_source_labels_stay_out_when_only_the_new_data_have_pseudonyms(runs, target_frame, tmp_path):
    run, _ = runs("pen")
    named = target_frame.assign(who=target_frame["who"].str.replace("Zoe-", "P90"))
    adapt(run, rows_of(named, pseudonymous=True), seed=1, out=tmp_path / "adapted")
    everything = "\n".join(
        path.read_bytes().decode("latin-1") + (pd.read_parquet(path).to_csv() if path.suffix == ".parquet" else "")
        for path in (tmp_path / "adapted").iterdir()
    )
    assert "Anna" not in everything


@pytest.mark.parametrize("name", ["pen", "nme-mlp"])
def test_persons_of_the_training_are_refused(runs, source, target_frame, name):
    run, saved = runs(name)
    mixed = pd.concat([target_frame, source[source["who"] == "Anna-3"]], ignore_index=True)
    for asked in (run, saved):  # the folder knows them by the key that lies beside it
        with pytest.raises(DataError, match="E133: 1 of 5 persons were in the model's training") as caught:
            adapt(asked, rows_of(mixed), seed=1)
        assert caught.value.rows[0] == len(target_frame) + 2
        assert len(caught.value.rows) == 30


def test_known_pseudonyms_are_refused(runs, source):
    _, saved = runs("pen")
    name = saved.persons()["person"].iloc[0]
    with pytest.raises(DataError, match="E133"):
        adapt(saved, rows_of(source.assign(who=source["who"].replace("Anna-0", name)), pseudonymous=True), seed=1)


def test_data_with_pseudonyms_in_source_and_target(source, target_frame, tmp_path):
    def named(frame, prefix):
        return frame.assign(who=prefix + frame["who"].str[-1])

    fit(CONFIGS["pen"], rows_of(named(source, "P00"), pseudonymous=True), seed=1, out=tmp_path / "run")
    saved = load_run(tmp_path / "run")
    with pytest.raises(DataError, match="E133: 4 of 4"):
        adapt(saved, rows_of(named(target_frame, "P00"), pseudonymous=True), seed=1)
    adapted = adapt(saved, rows_of(named(target_frame, "P01"), pseudonymous=True), seed=1, out=tmp_path / "adapted")
    assert set(load_run(tmp_path / "adapted").persons()["person"]) == {"P010", "P011", "P012", "P013"}
    assert set(adapted.experts()["expert"]) == {f"P00{k}" for k in range(5)}


def test_a_person_left_out_of_the_training_is_new(source):
    data = rows_of(source)
    labels = np.where(np.asarray(data.person) == 4, "test", "train")
    with pytest.warns(ToolkitWarning, match="W209"):
        run = fit(Pen(**QUICK), data, seed=1, split=labels)
    alone = data.take(np.asarray(data.person) == 4)
    assert adapt(run, alone, seed=1).persons()["person"].tolist() == ["Anna-4"]


def test_a_generic_model_has_nothing_to_adapt(source, new):
    run = fit(GenericMlp(hidden=(3,), epochs=5), rows_of(source), seed=1)
    with pytest.raises(ConfigError, match="E302: nothing differs between persons"):
        adapt(run, new, seed=1)


def test_settings_of_experts_are_refused_elsewhere(runs, new):
    with pytest.raises(ConfigError, match=r"E302: these settings are for networks of experts") as caught:
        adapt(runs("nme-mlp")[0], new, seed=1, settings=AdaptSettings(epochs=3))
    assert caught.value.column == "settings"


@pytest.mark.parametrize("target", ["arousal", None, ["valence", "arousal"], ["arousal", "valence"]])
def test_another_target_is_refused(runs, target_frame, target):
    with pytest.raises(DataError, match=r"E103: the data do not hold the model's target.*valence"):
        adapt(runs("pen")[0], rows_of(target_frame, target=target), seed=1)


def test_a_target_of_another_name_is_refused_by_mixed_effects_models_too(runs, target_frame):
    with pytest.raises(DataError, match="E103"):
        adapt(runs("nme-mlp")[0], rows_of(target_frame, target=None), seed=1)


@pytest.mark.parametrize("kind", ["pen", "nme-mlp", "nme-crf"])
def test_a_class_the_model_does_not_know_is_refused(source, target_frame, kind):
    config = {
        "pen": Pen(task="multiclass", **QUICK),
        "nme-mlp": NmeMlp(task="multiclass", hidden=(), epochs=5, variance_update="paper"),
        "nme-crf": NmeCrf(hidden=(), epochs=5, variance_update="paper"),
    }[kind]
    roles = {"features": ["x", "y", "east", "north"], "groups": "who", "time": "t", "target": "state"}
    read = SequenceBatch.from_frame if kind == "nme-crf" else lambda frame, **r: rows_of(frame, **r)
    run = fit(config, read(source, **roles), seed=1)
    strange = target_frame.assign(state=target_frame["state"].replace("calm", "furious"))
    with pytest.raises(DataError, match="E120"):
        adapt(run, read(strange, **roles), seed=1)
    fewer = target_frame[target_frame["state"] != "glad"]  # a class nobody shows is no error
    adapted = adapt(run, read(fewer, **roles), seed=1)
    assert adapted.predict(read(fewer, **roles)).shape == (len(fewer), 3)


def test_missing_features_are_named(runs, target_frame):
    for name in ("pen", "nme-mlp"):
        with pytest.raises(DataError, match="E405: features missing: north"):
            adapt(runs(name)[0], rows_of(target_frame, features=["x", "y", "east"]), seed=1)


@pytest.mark.parametrize("split", [["train"] * 79, ["train"] * 79 + ["training"], [0] * 80])
def test_a_split_that_is_none(runs, new, split):
    with pytest.raises(ConfigError, match=r"E302: the split has to be one of train, validation, test, unused.*80 rows"):
        adapt(runs("pen")[0], new, seed=1, split=split)


def test_a_folder_that_is_in_use_is_refused_before_the_work(runs, new, tmp_path):
    run, _ = runs("pen")
    adapt(run, new, seed=1, out=tmp_path / "adapted")
    with pytest.raises(RunFolderError, match="E306"):
        adapt(run, new, seed=1, out=tmp_path / "adapted")
    adapt(run, new, seed=2, out=tmp_path / "adapted", overwrite=True)
    assert load_run(tmp_path / "adapted").manifest["seed"] == 2


def test_a_damaged_run_is_refused(runs, new, tmp_path):
    shutil.copytree(runs("pen")[1].path, tmp_path / "run")
    path = tmp_path / "run" / "persons.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(RunFolderError, match="E402"):
        adapt(load_run(tmp_path / "run"), new, seed=1)


@pytest.mark.parametrize("name", ["pen", "prior", "pen-shared"])
def test_experts_do_not_ask_who_is_who(runs, target_frame, name):
    run, _ = runs(name)
    split = adaptation_split(rows_of(target_frame), 0.5, rng=np.random.default_rng(0)).labels
    turned = target_frame.assign(who=np.random.default_rng(1).permutation(target_frame["who"].to_numpy()))
    first = adapt(run, rows_of(target_frame), seed=4, split=split)
    second = adapt(run, rows_of(turned), seed=4, split=split)
    for key, value in tensors_of(first).items():
        assert torch.equal(value, tensors_of(second)[key]), key


@pytest.mark.parametrize("name", ["pen", "prior"])
def test_experts_and_gate_move_and_nothing_else(runs, new, name):
    run, _ = runs(name)
    adapted = adapt(run, new, seed=4)
    moved = {key for key, value in tensors_of(run).items() if not torch.equal(value, tensors_of(adapted)[key])}
    assert moved == {*algebra.EXPERTS, *algebra.GATE}
    assert adapted.trained.network.groups.names == run.trained.network.groups.names


def test_of_a_shared_network_the_head_moves(runs, new):
    run, _ = runs("pen-shared")
    adapted = adapt(run, new, seed=4)
    moved = {key for key, value in tensors_of(run).items() if not torch.equal(value, tensors_of(adapted)[key])}
    assert moved == {*algebra.HEAD}


def test_the_first_loss_of_an_adaptation_is_eq_8(runs, new):
    run, _ = runs("pen")
    network = run.trained.network
    shared = {key: value.clone() for key, value in network.shared.items()}
    adapted = adapt(run, new, seed=4, settings=AdaptSettings(epochs=1, lr=1e-12, soften=0.0))
    z = network.extracted(new).tolist()
    y = ((np.asarray(new.targets) - network.targets.mean) / network.targets.scale).tolist()
    experts = list(zip(shared[algebra.EXPERT_WEIGHT].tolist(), shared[algebra.EXPERT_BIAS].tolist(), strict=True))
    gate = list(zip(shared[algebra.GATE_WEIGHT].tolist(), shared[algebra.GATE_BIAS].tolist(), strict=True))
    expected = oracle.joint(experts, gate, z, y, [()] * len(z), 0.0, 1e-3)
    assert adapted.trace()["objective"].iloc[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["pen", "pen-shared"])
def test_a_fresh_start_forgets_heads_experts_and_gate(runs, new, name):
    run, _ = runs(name)
    network = run.trained.network
    other = {
        key: value if key.startswith("extractor.") else torch.full_like(value, 7.0)
        for key, value in network.shared.items()
    }
    altered = replace(run, trained=replace(run.trained, network=replace(network, shared=other)))
    settings = AdaptSettings(fresh=True, epochs=5)
    first, second = (adapt(one, new, seed=4, settings=settings) for one in (run, altered))
    for key, value in tensors_of(first).items():
        assert torch.equal(value, tensors_of(second)[key]), key
    assert not np.array_equal(first.predict(new), adapt(run, new, seed=5, settings=settings).predict(new))


def test_a_fresh_start_forgets_the_variances_too(runs, new):
    run, _ = runs("prior")
    network = run.trained.network
    other = {key: 100 * value if key == VARIANCES else value for key, value in network.shared.items()}
    altered = replace(run, trained=replace(run.trained, network=replace(network, shared=other)))
    settings = AdaptSettings(fresh=True, epochs=5)
    first, second = (adapt(one, new, seed=4, settings=settings) for one in (run, altered))
    assert torch.equal(tensors_of(first)[algebra.EXPERT_WEIGHT], tensors_of(second)[algebra.EXPERT_WEIGHT])


def test_a_fresh_start_without_rows_is_no_model_of_the_source(runs, new):
    run, _ = runs("pen")
    with pytest.raises(ToolkitError):
        adapt(run, new, seed=1, split=np.full(80, "test"), settings=AdaptSettings(fresh=True))


def test_more_epochs_and_another_rate_are_taken(runs, new):
    run, _ = runs("pen")
    assert len(adapt(run, new, seed=1, settings=AdaptSettings(epochs=3)).trace()) == 3
    slow, quick = (adapt(run, new, seed=1, settings=AdaptSettings(epochs=1, lr=lr, soften=0.0)) for lr in (1e-9, 1e-2))
    weight = tensors_of(run)[algebra.EXPERT_WEIGHT]
    assert float((tensors_of(slow)[algebra.EXPERT_WEIGHT] - weight).abs().max()) < 1e-6
    assert float((tensors_of(quick)[algebra.EXPERT_WEIGHT] - weight).abs().max()) > 1e-3


def entropy_of(network, rows) -> float:
    weights = network.gate(rows)
    return float(-(weights * np.log(weights + 1e-300)).sum(axis=1).mean() / np.log(weights.shape[1]))


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_a_gate_that_is_certain_is_made_undecided_first(runs, new, share):
    run, _ = runs("pen")
    network = run.trained.network
    sharp = {key: 20 * value if key in algebra.GATE else value for key, value in network.shared.items()}
    certain = replace(run, trained=replace(run.trained, network=replace(network, shared=sharp)))
    assert entropy_of(certain.trained.network, new) < 0.3
    still = AdaptSettings(epochs=1, lr=1e-12, soften=share)
    adapted = adapt(certain, new, seed=1, settings=still).trained.network
    assert entropy_of(adapted, new) == pytest.approx(share, abs=1e-6)
    assert (adapted.gate(new).argmax(axis=1) == certain.trained.network.gate(new).argmax(axis=1)).all()
    as_published = adapt(certain, new, seed=1, settings=replace(still, soften=0.0)).trained.network
    assert entropy_of(as_published, new) == pytest.approx(entropy_of(certain.trained.network, new), abs=1e-6)


def test_a_gate_that_is_undecided_stays(runs, new):
    run, _ = runs("pen")
    found = entropy_of(run.trained.network, new)
    adapted = adapt(run, new, seed=1, settings=AdaptSettings(epochs=1, lr=1e-12, soften=0.5 * found))
    assert entropy_of(adapted.trained.network, new) == pytest.approx(found, abs=1e-9)


def test_validation_rows_end_an_adaptation_at_its_best_state(runs, new):
    run, _ = runs("pen")
    labels = np.tile(np.repeat(["train", "validation", "test"], [8, 6, 6]), 4)
    adapted = adapt(run, new, seed=1, split=labels, settings=AdaptSettings(epochs=200, lr=0.05))
    trace = adapted.trace()
    assert len(trace) < 200
    best = adapted.manifest["status"]["best_epoch"]
    assert trace["validation"].iloc[best - 1] == trace["validation"].min()
    rows = labels == "validation"
    error = (adapted.predict(new)[rows] - np.asarray(new.target)[rows]) / run.trained.network.targets.scale[0]
    assert np.mean(error**2) == pytest.approx(trace["validation"].min())


def test_adapting_fits_the_rows_it_adapts_to(runs, new):
    split = adaptation_split(new, 0.5, rng=np.random.default_rng(0)).labels
    seen = split == "train"
    for name in ("pen", "pen-shared", "nme-mlp"):
        run, _ = runs(name)
        level = "population" if name == "nme-mlp" else "person"
        adapted = adapt(run, new, seed=1, split=split)
        error = {
            when: np.mean((values - np.asarray(new.target))[seen] ** 2)
            for when, values in (("before", run.predict(new, level)), ("after", adapted.predict(new)))
        }
        assert error["after"] < 0.9 * error["before"], name


def test_an_adapted_run_adapts_on(runs, new):
    once = adapt(runs("pen")[0], new, seed=1)
    with pytest.raises(DataError, match="E133"):
        adapt(once, new, seed=1)
    later = rows_of(study(persons=2, rows=10, seed=3, prefix="Mia-"))
    assert len(adapt(once, later, seed=1).persons()) == 2


@pytest.mark.slow
def test_without_tables_it_still_predicts(runs, new):
    for name in ("pen", "nme-mlp"):
        run, _ = runs(name)
        bare, full = adapt(run, new, seed=1, tables=False), adapt(run, new, seed=1)
        np.testing.assert_array_equal(bare.predict(new), full.predict(new))


def test_one_new_person_with_one_row(runs, target_frame):
    alone = rows_of(target_frame[target_frame["who"] == "Zoe-1"].iloc[:1])
    for name in CONFIGS:
        adapted = adapt(runs(name)[0], alone, seed=1)
        assert np.isfinite(adapted.predict(alone)).all()
        assert len(adapted.persons()) == 1


def test_warnings_of_an_adaptation_are_kept(runs, target_frame):
    far = target_frame.copy()
    far.loc[far.index[0], "x"] = 1e6
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        adapted = adapt(runs("pen")[0], rows_of(far), seed=1)
    assert any("W210" in str(entry.message) for entry in caught)
    assert any(note.startswith("W210") for note in adapted.manifest["warnings"])


def test_a_gate_with_one_expert_is_no_matter_for_new_persons(runs, new, monkeypatch):
    monkeypatch.setattr("toolkit.models.pen_training.COLLAPSED", 0.0)
    adapted = adapt(runs("pen")[0], new, seed=1)
    assert not any(note.startswith("W228") for note in adapted.manifest["warnings"])


@pytest.mark.parametrize("soften", [-0.1, 1.5])
def test_a_share_of_entropy_that_is_none_is_refused(runs, new, soften):
    run, _ = runs("pen")
    with pytest.raises(ConfigError, match="soften is a share") as caught:
        adapt(run, new, seed=1, settings=AdaptSettings(epochs=1, soften=soften))
    assert caught.value.code == "E302"


def test_a_gate_softened_wholly_weighs_every_expert_alike(runs, new):
    run, _ = runs("pen")
    adapted = adapt(run, new, seed=1, settings=AdaptSettings(epochs=1, lr=1e-12, soften=1.0)).trained.network
    scores = algebra.gate_scores(adapted.shared, adapted.extracted(new))
    assert torch.softmax(scores, dim=1).std(dim=1).max() < 0.02
