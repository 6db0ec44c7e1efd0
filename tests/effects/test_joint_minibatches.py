"""Mini-batches with several grouping factors: gradients that add up to the full one, and every prior counted once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from toolkit.data.grouped import GroupedDataset
from toolkit.data.outcomes import rows_for
from toolkit.effects.batches import drawn_batches
from toolkit.effects.joint_sweeping import JointBatches
from toolkit.errors import DataError
from toolkit.models import NmeCrf, NmeMlp
from toolkit.models.chain_structure import chain_parts
from toolkit.models.joint_rounds import joint_layout
from toolkit.models.minibatches import flat_rows, mini_batches
from toolkit.models.outcomes import task_of
from toolkit.models.pieces import Pieces
from toolkit.models.placement import effect_layout, of_factor
from toolkit.models.prepare import fit_scaler, problem
from toolkit.models.starting import row_codes, start_effects, start_network

CPU = torch.device("cpu")
FACTORS = ["person", "family", "item"]
LAST = {"person": "last", "family": "*.bias", "item": "layers.0.bias"}


def frame(rows: int = 60, days: bool = False) -> pd.DataFrame:
    """Persons in families, crossed with items (of a day each where ``days``)."""
    rng = np.random.default_rng(3)
    person = np.sort(rng.integers(0, 6, rows))
    day = np.arange(rows) // 4
    item = (day if days else rng.integers(0, 3, rows)) % 3
    made = pd.DataFrame(rng.standard_normal((rows, 2)), columns=["a", "b"])
    names = {
        "person": [f"p{p}" for p in person],
        "family": [f"f{p // 2}" for p in person],
        "item": [f"i{i}" for i in item],
    }
    made = made.assign(**names, t=np.arange(rows), day=day, y=rng.standard_normal(rows))
    return made.assign(state=np.array(["calm", "glad", "sad"])[rng.integers(0, 3, rows)])


def prepared(config, target: str, size_of_data: int = 60, **roles):
    """A state away from its start, the sweep, its pieces, and the padded problem of the same rows."""
    task = task_of(config)
    given = {"features": ["a", "b"], "groups": FACTORS, "time": "t", **roles}
    data = rows_for(task, GroupedDataset.from_frame(frame(size_of_data, "sequence" in roles), target=target, **given))
    every, generator = np.arange(data.n_rows), torch.Generator().manual_seed(4)
    scaler = fit_scaler(data, every, task=task)
    module, shared = start_network(config, data, scaler, generator=generator, dtype=torch.float64, device=CPU)
    layouts = [
        effect_layout(of_factor(config, name, FACTORS), module, shared, scaler, data.classes) for name in FACTORS
    ]
    state = start_effects(config, data, module, shared, layouts)
    for place, factor in enumerate(state.factors):
        factor.eta.copy_(0.3 * torch.randn(factor.eta.shape, generator=generator, dtype=torch.float64))
        factor.log_cholesky.add_(0.1 * place + 0.05 * torch.arange(len(factor.log_cholesky)))
    parts, codes = chain_parts(config, data.classes, None), row_codes(data)
    padded = problem(data, codes, scaler, module, task=task, dtype=torch.float64, device=CPU, parts=parts)
    rows, loss = flat_rows(data, every, scaler, task=task, like=state.eta, parts=parts, levels=codes)
    sweep = mini_batches(config, rows, module, state, generator)
    return state, sweep, padded, Pieces(module=module, data=rows, loss=loss, size=state.line_layout.size)


def full_gradient(state, padded) -> tuple[float, torch.Tensor, list[torch.Tensor]]:
    shared = {name: value.detach().clone().requires_grad_(True) for name, value in state.shared.items()}
    etas = [factor.eta.detach().clone().requires_grad_(True) for factor in state.factors]
    loss = padded.losses(shared, joint_layout(state.factors), padded.lines_of(*etas)).sum()
    penalty = sum(
        0.5 * (eta @ torch.linalg.inv(factor.covariance) * eta).sum()
        for eta, factor in zip(etas, state.factors, strict=True)
    )
    found = torch.autograd.grad((state.weight * loss + penalty) / padded.rows, [*shared.values(), *etas])
    split = len(shared)
    return float(loss.detach()), torch.cat([value.reshape(-1) for value in found[:split]]), list(found[split:])


CASES = [
    (NmeMlp(hidden=(), effects={**LAST, "family": "last"}, batch=7), "y", {}),
    (NmeMlp(hidden=(), effects=LAST, covariance="full", batch=7), "y", {}),
    (NmeMlp(hidden=(4,), effects={**LAST, "person": "all"}, batch=7), "y", {}),
    (NmeMlp(hidden=(4,), effects={**LAST, "item": "layers.0.weight"}, task="multiclass", batch=7), "state", {}),
    pytest.param(
        NmeCrf(hidden=(3,), effects={"person": "last+T", "family": "T", "item": "layers.1.bias"}, batch=9),
        "state",
        {"sequence": "day"},
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize("by", ["persons", "rows"])
@pytest.mark.parametrize(("config", "target", "roles"), CASES)
def test_the_gradients_of_an_epoch_average_to_the_full_one(config, target, roles, by):
    config = config.model_copy(update={"batch_by": by})
    state, sweep, padded, _ = prepared(config, target, **roles)
    assert isinstance(sweep, JointBatches)
    loss, shared, etas = full_gradient(state, padded)
    total, count, found = 0.0, 0, [torch.zeros_like(eta) for eta in etas]
    of_shared = torch.zeros_like(shared)
    for factor in sweep.factors:
        factor.begin()
    for batch in drawn_batches(sweep.rows, sweep.size, sweep.by, sweep.generator):
        total += float(sweep.gradients(batch, state.weight, state.precision()))
        of_shared += sweep.of_shared
        for own, factor in zip(found, sweep.factors, strict=True):
            own.index_add_(0, factor.present, factor.gradient)
        count += 1
    assert count > 3
    assert total == pytest.approx(loss, rel=1e-12)
    torch.testing.assert_close(of_shared / count, shared, rtol=1e-10, atol=1e-12)
    for own, wanted in zip(found, etas, strict=True):
        torch.testing.assert_close(own / count, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("config", "target", "roles"), CASES)
def test_pieces_say_what_the_padded_rows_say(config, target, roles, monkeypatch):
    from toolkit.models import joint_rounds, pieces

    monkeypatch.setattr(pieces, "MOST", 8)
    monkeypatch.setattr(pieces, "LEAST", 8)
    state, _, padded, parts = prepared(config, target, **roles)
    assert len(list(parts.pieces())) > 2
    at = [joint_rounds.line_curvature(rows, state.shared, state.factors) for rows in (padded, parts)]
    found = [
        joint_rounds.posterior_of_all(rows, own, state.factors, state.weight)
        for rows, own in zip((padded, parts), at, strict=True)
    ]
    for one, other in zip(found[0].of_levels(), found[1].of_levels(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    before = [factor.eta.clone() for factor in state.factors]
    moved = []
    for rows in (padded, parts):
        for factor, eta in zip(state.factors, before, strict=True):
            factor.eta.copy_(eta)
        joint_rounds.newton_step_of_all(rows, state.shared, state.factors, state.weight)
        moved.append(torch.cat([factor.eta.reshape(-1) for factor in state.factors]))
    assert not torch.equal(moved[0], torch.cat([eta.reshape(-1) for eta in before]))
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-9, atol=1e-12)


def test_a_factor_that_changes_inside_a_sequence_is_refused():
    roles = {"features": ["a"], "groups": FACTORS, "time": "t", "sequence": "day"}
    data = GroupedDataset.from_frame(frame(), target="state", **roles)
    every, codes = np.arange(60), row_codes(data)
    scaler = fit_scaler(data, every, task="sequence")
    with pytest.raises(DataError) as caught:
        flat_rows(data, every, scaler, task="sequence", like=torch.zeros(1), levels=codes)
    assert caught.value.code == "E137"
