"""The run folder of a network of experts: predictions to the last bit, pseudonyms everywhere, tables that are true."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from tests.models.experts_study import rows_of, study
from toolkit import fit, load_run
from toolkit.errors import DataError, ToolkitError
from toolkit.models import Pen, PenShared
from toolkit.models import experts as algebra
from toolkit.models.expert_prior import SIGMA2, VARIANCES
from toolkit.models.pen_tables import EXPERT_COLUMNS, GATE_COLUMNS
from toolkit.runs.restore import restore_network

QUICK = {"shared_epochs": 6, "head_epochs": 8, "gate_epochs": 12, "epochs": 12, "lr": 0.02, "batch": 32}
ROLES = {"cluster": "family", "group": "arm"}
CASES = {
    "one each": (Pen(**QUICK), "valence"),
    "prior, hidden": (Pen(hidden=(3,), prior="nme", **QUICK), "valence"),
    "two targets": (Pen(prior="nme", **QUICK), ["valence", "arousal"]),
    "fewer": (Pen(experts=3, **QUICK), "valence"),
    "two each": (Pen(experts_per_person=2, **QUICK), "valence"),
    "nobody's": (Pen(experts=3, identities=False, **QUICK), "valence"),
    "binary": (Pen(task="binary", prior="nme", **QUICK), "high"),
    "classes": (Pen(task="multiclass", **QUICK), "state"),
    "single precision": (Pen(precision="float32", prior="nme", **QUICK), "valence"),
    "shared": (PenShared(hidden=(3,), shared_epochs=6, head_epochs=8), "valence"),
}


@pytest.fixture(scope="module")
def frame():
    return study(persons=6)


@pytest.fixture(scope="module")
def kept(frame, tmp_path_factory):
    """Every case as (run in memory, run folder, data)."""
    home = tmp_path_factory.mktemp("runs")
    made = {}

    def get(name: str):
        if name not in made:
            config, target = CASES[name]
            data = rows_of(frame, target=target, **ROLES)
            folder = home / f"run-{len(made)}"
            made[name] = fit(config, data, seed=1, out=folder), load_run(folder), data
        return made[name]

    return get


@pytest.mark.parametrize("name", CASES)
def test_predictions_after_restoring_are_the_same_to_the_last_bit(kept, name):
    run, saved, data = kept(name)
    for level in ("person", "population"):
        np.testing.assert_array_equal(saved.predict(data, level), run.predict(data, level))
    pd.testing.assert_frame_equal(saved.predict_frame(data), run.predict_frame(data))
    stored = saved.predictions()
    column = "prediction" if run.trained.network.classes is None else f"probability_{run.trained.network.classes[0]}"
    values = run.predict(data)
    np.testing.assert_array_equal(stored[column], values if values.ndim == 1 else values[:, 0])
    assert saved.verify() == len(saved.manifest["files"])
    if run.trained.network.has_experts:
        np.testing.assert_array_equal(restore_network(saved).gate(data), run.trained.network.gate(data))
        assert restore_network(saved).predict(data, strict=True).shape == values.shape


def raw_labels(frame: pd.DataFrame) -> set[str]:
    return set(frame["who"]) | set(frame["family"])


def every_cell(folder: Path) -> str:
    """All there is to read in a folder: bytes as they are, and the cells of its tables."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found.append(path.name + path.read_bytes().decode("latin-1"))
            if path.suffix == ".parquet":
                table = pd.read_parquet(path)
                found.append(table.to_csv())
    return "\n".join(found)


@pytest.mark.parametrize("name", CASES)
def test_no_label_of_a_person_is_in_the_folder(kept, frame, name):
    _, saved, _ = kept(name)
    everything = every_cell(saved.path)
    assert "P001" in everything
    assert not [label for label in raw_labels(frame) if label in everything]
    assert "Anna" not in everything


@pytest.mark.slow
def test_labels_that_are_part_of_each_other_or_of_names_of_experts(frame, tmp_path):
    """Pseudonyms are given by the whole label, whatever the labels look like."""
    names = ["Ann", "Anna", "Anna (1)", "group 1", "g", "Ann, Anna"]
    odd = frame.assign(who=frame["who"].map(dict(zip(sorted(frame["who"].unique()), names, strict=True))))
    data = rows_of(odd)
    for number, config in enumerate(
        (Pen(experts_per_person=2, **QUICK), Pen(experts=3, **QUICK), Pen(experts=3, identities=False, **QUICK))
    ):
        folder = tmp_path / f"run-{number}"
        fit(config, data, seed=1, out=folder)
        saved = load_run(folder)
        pseudonyms = set(saved.persons()["person"])
        assert len(pseudonyms) == 6
        assert all(re.fullmatch(r"P\d{3}", name) for name in pseudonyms)
        assert set(saved.predictions()["person"]) == pseudonyms
        assert set(saved.gate()["person"]) == pseudonyms
        assert not re.search(r"\bAnn", every_cell(folder))
        experts = set(saved.experts()["expert"])
        assert all(re.fullmatch(r"P\d{3}( \([12]\))?|group [123]|expert [123]", name) for name in experts)
        members = {one for listed in saved.experts()["persons"] for one in listed.split(", ") if one}
        assert members <= pseudonyms


def test_pseudonymous_data_keep_their_names(frame, tmp_path):
    named = frame.assign(who=frame["who"].str.replace("Anna-", "P00"))
    run = fit(Pen(**QUICK), rows_of(named, pseudonymous=True), seed=1, out=tmp_path / "run")
    assert set(load_run(tmp_path / "run").experts()["expert"]) == set(named["who"]) == set(run.experts()["expert"])
    assert not list(tmp_path.glob("*.key.csv"))


def test_the_key_leads_back_to_the_persons(kept, frame):
    run, saved, _data = kept("one each")
    key = pd.read_csv(saved.path.with_name(f"{saved.path.name}.key.csv")).query("role == 'person'")
    back = dict(zip(key["pseudonym"], key["label"], strict=True))
    mine = saved.experts().assign(expert=lambda table: table["expert"].map(back))
    theirs = run.experts()
    np.testing.assert_array_equal(mine["expert"], theirs["expert"])
    np.testing.assert_array_equal(mine["weight"], theirs["weight"])
    gates = saved.gate().assign(person=lambda t: t["person"].map(back), expert=lambda t: t["expert"].map(back))
    pd.testing.assert_frame_equal(gates.astype(object), run.gate().astype(object), check_dtype=False)


@pytest.mark.parametrize("name", [name for name in CASES if name != "shared"])
def test_experts_and_gate_hold_what_they_say(kept, name):
    run, saved, data = kept(name)
    network = run.trained.network
    experts, gate = saved.experts(), saved.gate()
    assert list(experts.columns) == list(EXPERT_COLUMNS)
    assert list(gate.columns) == list(GATE_COLUMNS)
    np.testing.assert_allclose(experts["weight"] - experts["shared"], experts["difference"], atol=1e-9)
    outputs, size = network.shared[algebra.HEAD_WEIGHT].shape
    assert len(experts) == network.groups.count * outputs * (size + 1)
    assert not experts.duplicated(["expert", "parameter"]).any()
    assert set(gate["expert"]) == set(experts["expert"])
    sums = gate.groupby(["person", "split"])["weight"].sum()
    np.testing.assert_allclose(sums, 1.0, atol=1e-6)
    assert gate["entropy"].between(0, np.log(network.groups.count) + 1e-9).all()
    assert (gate.groupby(["person", "split"])["entropy"].nunique() == 1).all()
    assert gate.drop_duplicates(["person", "split"])["rows"].sum() == data.n_rows
    weights = network.gate(data)
    mine = run.gate()
    chosen = (np.asarray(data.person) == 2) & (run.split == "test")
    own = mine[(mine["person"] == data.persons[2]) & (mine["split"] == "test")]
    np.testing.assert_allclose(own["weight"], weights[chosen].mean(axis=0))
    entropy = -(weights[chosen] * np.log(weights[chosen] + 1e-300)).sum(axis=1).mean()
    np.testing.assert_allclose(own["entropy"], entropy, rtol=1e-6)


@pytest.mark.parametrize("name", ["one each", "prior, hidden", "two targets", "classes", "binary"])
def test_effects_are_experts_less_the_shared_head_in_units_of_the_target(kept, name):
    run, saved, data = kept(name)
    personal, generic = load_file(saved.path / "persons.safetensors"), load_file(saved.path / "generic.safetensors")
    scale = generic["target_scale"]
    numeric = run.trained.network.classes is None
    spread = np.asarray(data.targets)[run.split == "train"].std(axis=0) if numeric else np.ones(1)
    np.testing.assert_allclose(scale, spread)
    weight = personal["shared.experts.weight"] - generic["shared.head.weight"]
    bias = personal["shared.experts.bias"] - generic["shared.head.bias"]
    outputs = weight.shape[1]
    unit = np.broadcast_to(scale, (outputs,))
    expected = np.concatenate([(weight * unit[:, None]).reshape(len(weight), -1), bias * unit], axis=1)
    effects = run.random_effects()
    np.testing.assert_allclose(effects["estimate"].to_numpy().reshape(len(weight), -1), expected, atol=1e-9)
    assert set(effects["term"]) == {"who"}
    assert effects["level"].drop_duplicates().tolist() == list(data.persons)
    table = run.experts()
    np.testing.assert_allclose(effects["estimate"], table["difference"])
    assert effects["parameter"].tolist() == table["parameter"].tolist()


@pytest.mark.parametrize("name", ["prior, hidden", "two targets", "binary", "single precision"])
def test_with_a_prior_effects_have_sds_intervals_and_reliability(kept, name):
    run, _, _data = kept(name)
    effects = run.random_effects()
    assert (effects["sd"] > 0).all()
    assert effects["reliability"].between(0, 1).all()
    np.testing.assert_allclose(effects["high"] - effects["estimate"], 1.959964 * effects["sd"], rtol=1e-5)
    np.testing.assert_allclose(effects["estimate"] - effects["low"], 1.959964 * effects["sd"], rtol=1e-5)
    parts = run.variance_components()
    network = run.trained.network
    kinds = effects["parameter"].str.extract(r"^(head\.\w+)\[?(?:.*?([^\[\],]*)\]?)?$")
    assert not kinds[0].isna().any()
    # reliability is one less posterior variance over prior variance
    outputs = len(network.shared[algebra.HEAD_BIAS])
    variance = parts[parts["term"] == "who"].set_index("parameter")["variance"]
    if outputs == 1:
        prior = effects["parameter"].str.split("[").str[0].map(variance)
        np.testing.assert_allclose(1 - effects["sd"] ** 2 / prior, effects["reliability"], atol=1e-6)


def test_without_a_prior_effects_have_no_sd(kept):
    effects = kept("one each")[0].random_effects()
    assert effects[["sd", "low", "high", "reliability"]].isna().all(axis=None)
    assert effects["estimate"].notna().all()
    assert kept("one each")[0].variance_components().empty


def test_variance_components_are_in_units_of_each_target(kept):
    run, _saved, _data = kept("two targets")
    parts = run.variance_components().set_index("parameter")
    shared = {name: value.numpy() for name, value in run.trained.network.shared.items()}
    scale = run.trained.network.targets.scale
    for place, target in enumerate(("valence", "arousal")):
        assert parts.loc[f"head.weight[{target}]", "variance"] == pytest.approx(
            shared[VARIANCES][0, place] * scale[place] ** 2
        )
        assert parts.loc[f"residual[{target}]", "variance"] == pytest.approx(shared[SIGMA2][place] * scale[place] ** 2)
        mine = parts[parts.index.str.endswith(f"[{target}]")]
        assert mine["share"].sum() == pytest.approx(1.0)
    np.testing.assert_allclose(parts["sd"] ** 2, parts["variance"])


def test_experts_of_groups_are_no_persons_effects(kept):
    run, _saved, data = kept("fewer")
    assert set(run.random_effects()["term"]) == {"expert"}
    members = [one for listed in run.experts()["persons"].unique() for one in listed.split(", ")]
    assert sorted(members) == sorted(data.persons)


def test_the_manifest_says_what_was_fitted(kept):
    _, saved, _data = kept("two targets")
    manifest = saved.manifest
    assert (manifest["model"], manifest["task"], saved.model) == ("pen", "regression", "pen")
    assert saved.targets == ("valence", "arousal")
    assert manifest["network"]["experts"]["per_group"] == 1
    assert set(manifest["levels"]) == set(saved.persons()["person"])
    assert json.loads((saved.path / "manifest.json").read_text())["config"]["prior"] == "nme"
    assert kept("shared")[1].model == "pen-shared"


@pytest.mark.parametrize("name", ["one each", "prior, hidden", "fewer", "shared"])
def test_what_experts_do_not_have_is_said_with_a_code(kept, name):
    run, saved, data = kept(name)
    for asked in (saved.posterior, saved.transitions, run.transitions, run.correlations, lambda: run.decode(data)):
        with pytest.raises(ToolkitError, match=r"^E(406|302): .+\."):
            asked()
    with pytest.raises(ToolkitError, match="E302"):
        run.predict(data, prediction="forecast")


def test_a_shared_network_has_no_experts_and_says_so(kept):
    run, saved, data = kept("shared")
    for asked in (run.experts, run.gate, saved.experts, saved.gate):
        with pytest.raises(ToolkitError, match=r"E406: .*no experts"):
            asked()
    with pytest.raises(DataError, match="E406: the shared network has no gate"):
        run.trained.network.gate(data)
    assert run.random_effects().empty
    np.testing.assert_array_equal(run.predict(data), run.predict(data, "population"))
    assert set(saved.manifest["files"]).isdisjoint({"experts.parquet", "gate.parquet"})


def test_missing_features_are_named(kept, frame):
    run, _, _ = kept("one each")
    with pytest.raises(DataError, match="E405: features missing: north"):
        run.predict(rows_of(frame, target=None, features=["x", "y", "east"]))


def test_a_person_nobody_knows_is_predicted_by_the_gate(kept, frame):
    run, saved, data = kept("one each")
    stranger = rows_of(frame.assign(who="somebody"), target=None)
    np.testing.assert_array_equal(saved.predict(stranger), run.predict(data))
    assert not saved.predict_frame(stranger)["person_known"].any()
