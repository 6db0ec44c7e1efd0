"""Mini-batches: every row once, gradients that add up to the full one, steps that touch the batch's persons only."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from tests.effects.problems import random_frame
from toolkit.data.grouped import GroupedDataset
from toolkit.data.outcomes import rows_for
from toolkit.effects.batches import drawn_batches
from toolkit.effects.personal_module import PersonalModule
from toolkit.models import NmeCrf, NmeMlp
from toolkit.models.chain_covariates import fit_covariates, without_columns
from toolkit.models.chain_structure import chain_parts
from toolkit.models.fit_state import start_state
from toolkit.models.minibatches import flat_rows, mini_batches
from toolkit.models.networks import chain_parameters, initial_parameters
from toolkit.models.outcome_networks import outcome_network
from toolkit.models.outcomes import task_of
from toolkit.models.placement import effect_layout
from toolkit.models.prepare import fit_scaler, problem
from toolkit.models.starting import variance_rule
from toolkit.optimise.row_adam import Adam, RowAdam

CPU = torch.device("cpu")
CASES = [
    ("regression", "last", ()), ("regression", "all", (4, 3)), ("regression", "first", (4,)),
    ("binary", "*.bias", (4,)),
    ("multiclass", "layers.1.weight", (4, 3)), ("sequence", "last+T", ()), ("sequence", "all", (4,)),
    ("sequence", "T", (4,)),
    ("ordinal", "all", (4,)), ("count", "last", (4,)),
]  # fmt: skip


def prepared(task: str, effects: str, hidden: tuple[int, ...], by: str, size: int, *, full: bool = False, chain=()):
    """A state away from its start, the sweep over batches, and the padded problem of the same rows."""
    covariates = dict(chain).get("transition_covariates", ())
    frame = random_frame(task, 5, 9, 3)
    data = GroupedDataset.from_frame(
        frame.assign(c=frame["day"] % 2 + 0.0) if covariates else frame, target="y", features=["a", "b", *covariates],
        groups="person", time="t", sequence="day",
    )  # fmt: skip
    data = rows_for(task, data)
    if chain:  # labels that follow a forbidden transition are missing
        target, person = np.array(data.target), np.asarray(data.person)
        of_persons = [np.flatnonzero(person == code) for code in range(5)]
        target[[b for rows in of_persons for a, b in pairwise(rows) if target[a] == 0 and target[b] == 1]] = np.nan
        data = replace(data, target=target)
    settings = {"hidden": hidden, "effects": effects, "batch": size, "batch_by": by, **dict(chain)}
    settings["covariance"] = "full" if full else "diagonal"
    config = NmeCrf(**settings) if task == "sequence" else NmeMlp(task=task, **settings)
    assert task_of(config) == task
    parts = chain_parts(config, data.classes, fit_covariates(covariates, data, np.full(data.n_rows, "train")))
    scaler = replace(
        fit_scaler(without_columns(data, covariates), np.arange(data.n_rows), task=task), elsewhere=covariates
    )
    module, generator = outcome_network(task, 2, hidden, classes=3, exposure=False), torch.Generator().manual_seed(5)
    shared = initial_parameters(module, generator=generator, dtype=torch.float64, device=CPU)
    if task == "sequence":
        shared |= chain_parameters(3, learn_ends=True, covariates=len(covariates), dtype=torch.float64, device=CPU)
        shared["transitions"] += torch.randn((3, 3), generator=generator, dtype=torch.float64)
    layout = effect_layout(config, module, shared, scaler, data.classes)
    state = start_state(shared, layout, data.n_persons, variance_rule(config, layout, module, shared))
    state.eta.copy_(0.3 * torch.randn(state.eta.shape, generator=generator, dtype=torch.float64))
    state.log_cholesky.add_(0.1 * torch.arange(len(state.log_cholesky)))
    padded = problem(
        data, np.asarray(data.person), scaler, module, task=task, dtype=torch.float64, device=CPU, parts=parts
    )
    rows, _ = flat_rows(data, np.arange(data.n_rows), scaler, task=task, like=state.eta, parts=parts)
    return state, mini_batches(config, rows, module, state, generator), padded


def full_gradient(state, padded) -> tuple[float, torch.Tensor, torch.Tensor]:
    """Loss, and gradients of shared parameters and effects, of the objective of the whole training set."""
    shared = {name: value.detach().clone().requires_grad_(True) for name, value in state.shared.items()}
    eta = state.eta.detach().clone().requires_grad_(True)
    loss = padded.losses(shared, state.layout, padded.lines_of(eta)).sum()
    penalty = 0.5 * (eta @ torch.linalg.inv(state.covariance) * eta).sum()
    found = torch.autograd.grad((state.weight * loss + penalty) / padded.rows, [*shared.values(), eta])
    return float(loss.detach()), torch.cat([value.reshape(-1) for value in found[:-1]]), found[-1]


def swept_gradient(state, sweep) -> tuple[float, torch.Tensor, torch.Tensor, int]:
    """The mean over the batches of an epoch."""
    shared, eta, loss, count = torch.zeros(()), torch.zeros_like(state.eta), 0.0, 0
    for batch in drawn_batches(sweep.rows, sweep.size, sweep.by, sweep.generator):
        loss += float(sweep.gradients(batch, state.weight, state.precision()))
        shared = shared + sweep.of_shared
        eta.index_add_(0, batch.persons, sweep.of_effects)
        count += 1
    return loss, shared / count, eta / count, count


@pytest.mark.parametrize("by", ["persons", "rows"])
@pytest.mark.parametrize(("task", "effects", "hidden"), CASES)
@pytest.mark.parametrize("size", [7, 1000])
def test_the_gradients_of_an_epoch_average_to_the_full_one(task, effects, hidden, by, size):
    state, sweep, padded = prepared(task, effects, hidden, by, size)
    loss, shared, eta = full_gradient(state, padded)
    found = swept_gradient(state, sweep)
    assert found[3] == 1 if size == 1000 else found[3] > 3
    assert found[0] == pytest.approx(loss, rel=1e-12)
    torch.testing.assert_close(found[1], shared, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found[2], eta, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("by", ["persons", "rows"])
def test_what_a_chain_has_beside_its_parameters_goes_into_batches(by):
    chain = {"forbidden": (("0", "1"),), "transition_covariates": ("c",), "variance_update": "paper"}
    chain["weighting"] = "as_published"
    state, sweep, padded = prepared("sequence", "last+T", (4,), by, 7, chain=chain)
    state.shared["slopes"] += 0.3
    loss, shared, eta = full_gradient(state, padded)
    found = swept_gradient(state, sweep)
    assert found[0] == pytest.approx(loss, rel=1e-12)
    torch.testing.assert_close(found[1], shared, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found[2], eta, rtol=1e-10, atol=1e-12)


def test_a_full_covariance_enters_as_a_matrix():
    state, sweep, padded = prepared("regression", "last", (3,), "rows", 7, full=True)
    torch.testing.assert_close(swept_gradient(state, sweep)[2], full_gradient(state, padded)[2], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("compiled", [False])
def test_any_module_by_autograd_gives_the_same_gradients(compiled):
    state, sweep, padded = prepared("regression", "all", (4, 3), "persons", 7)
    network = PersonalModule(module=padded.module, layout=state.layout, compiled=compiled)
    object.__setattr__(sweep.objective, "network", network)
    _, shared, eta = full_gradient(state, padded)
    found = swept_gradient(state, sweep)
    torch.testing.assert_close(found[1], shared, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found[2], eta, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("by", ["persons", "rows"])
def test_every_row_comes_once_an_epoch(by):
    _, sweep, _ = prepared("regression", "last", (), by, 8)
    batches = list(drawn_batches(sweep.rows, 8, by, sweep.generator))
    assert sorted(torch.cat([batch.rows for batch in batches]).tolist()) == list(range(sweep.rows.rows))
    for batch in batches:
        persons = sweep.rows.persons[batch.rows.numpy()]
        assert (batch.persons[batch.person_of_row].numpy() == persons).all()
        values = torch.randn((len(batch.rows), 2), dtype=torch.float64)
        assert torch.equal(batch.flat(batch.padded(values)), values)


@pytest.mark.parametrize("width", [3, 600])
def test_lazy_steps_on_all_rows_are_those_of_adam(width):
    drawn = torch.Generator().manual_seed(1)
    start = torch.randn((6, width), generator=drawn, dtype=torch.float64)
    ours, theirs = start.clone(), start.clone().requires_grad_(True)
    lazy, dense = RowAdam(ours), torch.optim.Adam([theirs], lr=0.01)
    for _ in range(5):
        gradient = torch.randn(start.shape, generator=drawn, dtype=torch.float64)
        lazy.step(torch.arange(6), gradient, 0.01)
        theirs.grad = gradient.clone()
        dense.step()
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("width", [3, 600])
def test_lazy_steps_leave_other_rows_alone(width):
    values = torch.ones((6, width), dtype=torch.float64)
    adam = RowAdam(values)
    adam.step(torch.tensor([1, 4]), torch.ones((2, width), dtype=torch.float64), 0.01)
    moved = (values != 1.0).any(dim=1)
    assert moved.tolist() == [False, True, False, False, True, False]
    assert torch.count_nonzero(adam.moments["rows"].any(dim=1)) == 2


def test_our_adam_is_torchs():
    drawn = torch.Generator().manual_seed(1)
    start = torch.randn(9, generator=drawn, dtype=torch.float64)
    ours, theirs = start.clone(), start.clone().requires_grad_(True)
    adam, known = Adam(ours, decay=0.1), torch.optim.Adam([theirs], lr=0.01, weight_decay=0.1)
    for _ in range(5):
        gradient = torch.randn(9, generator=drawn, dtype=torch.float64)
        adam.step(gradient, 0.01)
        theirs.grad = gradient.clone()
        known.step()
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-12, atol=1e-14)
