"""Experts with a prior: under a gate that is sure of the person they are a linear mixed model, person by person."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import minimize

from tests.oracles import experts as oracle
from toolkit import GroupedDataset, fit
from toolkit.models import Pen, expert_prior
from toolkit.models import experts as algebra
from toolkit.models.extractors import FeatureMap
from toolkit.models.pen_objectives import mixture_terms
from toolkit.models.pen_rows import Rows, Trainee

PERSONS, ROWS = 6, 14
BLOCKS = (np.array([0, 1]), np.array([2]))  # one variance for the weights, one for the offsets
SIGMA2, TAU = 0.3, np.array([0.2, 0.2, 4.0])


def known_persons(outputs: int = 1, persons: int = PERSONS, rows: int = ROWS, seed: int = 0):
    """Rows of persons that lie on a circle, and a gate that tells them apart beyond doubt."""
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * np.arange(persons) / persons
    centre = 6.0 * np.column_stack([np.cos(angle), np.sin(angle)])
    person = np.repeat(np.arange(persons), rows)
    z = centre[person] + rng.uniform(-1.0, 1.0, size=(persons * rows, 2))
    design = np.column_stack([z, np.ones(len(z))])
    own = rng.normal(size=(persons, outputs, 3)) * np.sqrt(TAU) + np.array([0.5, -0.2, 0.1])
    y = np.einsum("rp,rop->ro", design, own[person]) + rng.normal(scale=SIGMA2**0.5, size=(len(z), outputs))
    gate = 1e3 * np.column_stack([np.cos(angle), np.sin(angle)])
    assert ((z @ gate.T).argmax(axis=1) == person).all()
    return z, y, person, gate


def state(z, gate, outputs: int = 1, tau=TAU, sigma2: float = SIGMA2) -> dict[str, torch.Tensor]:
    experts = len(gate)
    found = {
        algebra.HEAD_WEIGHT: np.zeros((outputs, 2)),
        algebra.HEAD_BIAS: np.zeros(outputs),
        algebra.EXPERT_WEIGHT: np.zeros((experts, outputs, 2)),
        algebra.EXPERT_BIAS: np.zeros((experts, outputs)),
        algebra.GATE_WEIGHT: gate,
        algebra.GATE_BIAS: np.zeros(experts),
        expert_prior.SIGMA2: np.full(outputs, sigma2),
        expert_prior.VARIANCES: np.tile(np.array([[tau[0]], [tau[2]]]), (1, outputs)),
    }
    return {name: torch.as_tensor(value) for name, value in found.items()}


def put(parameters, mean, own) -> None:
    """Shared head (outputs, 3) and experts (experts, outputs, 3) into the parameters."""
    parameters[algebra.HEAD_WEIGHT].copy_(torch.as_tensor(mean[:, :2]))
    parameters[algebra.HEAD_BIAS].copy_(torch.as_tensor(mean[:, 2]))
    parameters[algebra.EXPERT_WEIGHT].copy_(torch.as_tensor(own[..., :2]))
    parameters[algebra.EXPERT_BIAS].copy_(torch.as_tensor(own[..., 2]))


def by_person(z, y, person, output: int = 0):
    design = np.column_stack([z, np.ones(len(z))])
    persons = range(person.max() + 1)
    return [design[person == p] for p in persons], [y[person == p, output] for p in persons]


def test_posterior_variances_are_those_of_each_persons_blup():
    z, y, person, gate = known_persons(outputs=2)
    parameters = state(z, gate, outputs=2)
    parameters[expert_prior.SIGMA2].copy_(torch.tensor([0.3, 1.7], dtype=torch.float64))
    parameters[expert_prior.VARIANCES].copy_(torch.tensor([[0.2, 0.05], [4.0, 3.0]], dtype=torch.float64))
    curved = expert_prior.curvature(parameters, torch.as_tensor(z), None, "regression")
    found = expert_prior.expert_variances(parameters, curved, squared=True)
    designs, _ = by_person(z, y, person)
    for output, (sigma2, tau) in enumerate([(0.3, [0.2, 0.2, 4.0]), (1.7, [0.05, 0.05, 3.0])]):
        for expert, design in enumerate(designs):
            covariance = oracle.blup(design, np.zeros(len(design)), np.zeros(3), np.diag(tau), sigma2)[1]
            np.testing.assert_allclose(found[expert, output].numpy(), np.diag(covariance), rtol=1e-9)


def test_a_vanishing_prior_variance_does_no_harm():
    z, _, _, gate = known_persons()
    parameters = state(z, gate, tau=np.array([0.0, 0.0, 0.5]))
    curved = expert_prior.curvature(parameters, torch.as_tensor(z), None, "regression")
    found = expert_prior.expert_variances(parameters, curved, squared=True)
    assert bool((found[..., :2] == 0).all())
    assert bool(((found[..., 2] > 0) & (found[..., 2] < 0.5)).all())


def minimised(z, y, gate, tau, sigma2, mean):
    """Experts at the minimum of the objective of the last stage, everything else held."""
    parameters = state(z, gate, y.shape[1], tau, sigma2)
    put(parameters, mean, np.tile(mean, (len(gate), 1, 1)))
    features = FeatureMap(module=None, shape=None, own=False, trained=(), size=2)
    rows = Rows(
        features=torch.as_tensor(z),
        targets=torch.as_tensor(y),
        groups=torch.zeros(len(z), dtype=torch.int64),
        map=features,
    )
    config = Pen(prior="nme", lambda_0=0.0, lambda_1=0.0)
    trainee = Trainee(config=config, task="regression", parameters=parameters, train=rows, validation=None)
    experts = [parameters[name].requires_grad_(True) for name in algebra.EXPERTS]
    search = torch.optim.LBFGS(
        experts, max_iter=500, tolerance_grad=1e-13, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )
    every = torch.arange(len(z))

    def step():
        search.zero_grad()
        loss = mixture_terms(trainee, config, every, None)["objective"]
        loss.backward()
        return loss

    search.step(step)
    for value in experts:
        value.requires_grad_(False)
    return parameters


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_minimum_of_the_objective_is_each_persons_blup(outputs):
    z, y, person, gate = known_persons(outputs)
    mean = np.array([[0.5, -0.2, 0.1], [0.1, 0.4, -0.3]])[:outputs]
    parameters = minimised(z, y, gate, TAU, SIGMA2, mean)
    found = expert_prior.deviations(parameters).numpy()
    for output in range(outputs):
        for expert, (design, own) in enumerate(zip(*by_person(z, y, person, output), strict=True)):
            expected = oracle.blup(design, own, mean[output], np.diag(TAU), SIGMA2)[0]
            np.testing.assert_allclose(found[expert, output], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_no_variance_is_the_shared_network_and_endless_variance_separate_regressions():
    z, y, person, gate = known_persons()
    mean = np.array([[0.5, -0.2, 0.1]])
    design = np.column_stack([z, np.ones(len(z))])
    same = minimised(z, y, gate, np.full(3, 1e-11), SIGMA2, mean)
    shown = algebra.mixed_outputs(algebra.mixture(same, torch.as_tensor(z))).numpy()[:, 0]
    np.testing.assert_allclose(shown, design @ mean[0], atol=1e-5)
    apart = minimised(z, y, gate, np.full(3, 1e9), SIGMA2, mean)
    shown = algebra.mixed_outputs(algebra.mixture(apart, torch.as_tensor(z))).numpy()[:, 0]
    alone = np.concatenate(
        [d @ np.linalg.lstsq(d, own, rcond=None)[0] for d, own in zip(*by_person(z, y, person), strict=True)]
    )
    np.testing.assert_allclose(shown[np.argsort(person, kind="stable")], alone, atol=1e-4)


def fixed_point(z, y, person, gate, rounds: int = 500):
    """`update_variances` in turn with exact posterior modes, until nothing moves."""
    designs, ys = by_person(z, y, person)
    parameters = state(z, gate, tau=np.ones(3), sigma2=1.0)
    rows, targets = torch.as_tensor(z), torch.as_tensor(y)
    before = np.zeros(3)
    for _ in range(rounds):
        weight, bias = parameters[expert_prior.VARIANCES][:, 0].tolist()
        tau, sigma2 = np.array([weight, weight, bias]), float(parameters[expert_prior.SIGMA2][0])
        mean = np.append(parameters[algebra.HEAD_WEIGHT][0], parameters[algebra.HEAD_BIAS][0])
        own = [mean + oracle.blup(d, v, mean, np.diag(tau), sigma2)[0] for d, v in zip(designs, ys, strict=True)]
        put(parameters, mean[None], np.array(own)[:, None])
        expert_prior.update_variances(parameters, rows, targets, "regression", rounds=1)
        after = np.array([weight, bias, sigma2])
        if np.abs(after - before).max() < 1e-13:
            break
        before = after
    return mean, tau, sigma2


@pytest.fixture(scope="module")
def settled():
    case = known_persons(persons=10, seed=3)
    return case, fixed_point(*case)


def test_the_updates_fixed_point_is_that_of_em(settled):
    (z, y, person, _), (mean, tau, sigma2) = settled
    designs, ys = by_person(z, y, person)
    again = oracle.em_round(designs, ys, mean, tau, sigma2, BLOCKS)
    np.testing.assert_allclose(again[0], mean, rtol=1e-7)
    np.testing.assert_allclose(again[1], tau, rtol=1e-7)
    assert again[2] == pytest.approx(sigma2, rel=1e-7)


def test_em_from_elsewhere_ends_there_too(settled):
    (z, y, person, _), (mean, tau, sigma2) = settled
    designs, ys = by_person(z, y, person)
    at = np.zeros(3), np.array([0.5, 0.5, 0.5]), 1.0
    for _ in range(1500):
        at = oracle.em_round(designs, ys, *at, BLOCKS)
    np.testing.assert_allclose(at[1], tau, rtol=1e-3)
    np.testing.assert_allclose(at[0], mean, rtol=1e-2)
    assert at[2] == pytest.approx(sigma2, rel=1e-4)


def test_the_fixed_point_is_the_maximum_of_the_marginal_likelihood(settled):
    (z, y, person, _), (mean, tau, sigma2) = settled
    designs, ys = by_person(z, y, person)

    def minus(values):
        variances = np.exp(values[3:])
        return -oracle.log_likelihood(designs, ys, values[:3], variances[[0, 0, 1]], variances[2])

    start = np.concatenate([np.zeros(3), np.log([0.5, 0.5, 1.0])])
    best = minimize(minus, start, method="BFGS", options={"gtol": 1e-7})
    found = minus(np.concatenate([mean, np.log([tau[0], tau[2], sigma2])]))
    assert found == pytest.approx(best.fun, abs=1e-6)
    np.testing.assert_allclose([tau[0], tau[2], sigma2], np.exp(best.x[3:]), rtol=1e-3)
    np.testing.assert_allclose(mean, best.x[:3], rtol=1e-3, atol=1e-3)


def test_updating_centres_the_experts():
    z, y, _, gate = known_persons()
    parameters = state(z, gate)
    rng = np.random.default_rng(5)
    put(parameters, np.zeros((1, 3)), rng.normal(size=(PERSONS, 1, 3)))
    expert_prior.update_variances(parameters, torch.as_tensor(z), torch.as_tensor(y), "regression")
    np.testing.assert_allclose(expert_prior.deviations(parameters).mean(dim=0).numpy(), 0, atol=1e-13)


def test_updating_variances_of_classes_leaves_the_predictions():
    z, _, _, gate = known_persons()
    parameters = state(z, gate)
    codes = torch.as_tensor(np.random.default_rng(1).integers(0, 2, size=len(z)))
    put(parameters, np.zeros((1, 3)), np.random.default_rng(5).normal(size=(PERSONS, 1, 3)))
    before = algebra.log_probabilities(algebra.mixture(parameters, torch.as_tensor(z)), "binary")
    expert_prior.update_variances(parameters, torch.as_tensor(z), codes, "binary")
    assert torch.equal(before, algebra.log_probabilities(algebra.mixture(parameters, torch.as_tensor(z)), "binary"))
    np.testing.assert_allclose(expert_prior.deviations(parameters).mean(dim=0).numpy(), 0, atol=1e-13)


@pytest.mark.slow
def test_with_the_persons_alike_the_variance_falls_towards_the_floor():
    z, noise, person, gate = known_persons()
    design, mean = np.column_stack([z, np.ones(len(z))]), np.array([0.5, -0.2, 0.1])
    y = design @ mean
    for mine in (person == k for k in range(PERSONS)):  # everybody's own regression is the same
        fitted = np.linalg.lstsq(design[mine], noise[mine, 0], rcond=None)[0]
        y[mine] += noise[mine, 0] - design[mine] @ fitted
    parameters = state(z, gate)
    put(parameters, mean[None], np.tile(mean, (PERSONS, 1, 1)))
    for _ in range(400):
        expert_prior.update_variances(parameters, torch.as_tensor(z), torch.as_tensor(y[:, None]), "regression")
    assert bool((parameters[expert_prior.VARIANCES] < 1e-5).all())
    assert bool((parameters[expert_prior.VARIANCES] > 0).all())


def moving(parameters, outputs: int) -> tuple[torch.Tensor, ...]:
    """A gate that is of two minds, and experts anywhere."""
    parameters[algebra.GATE_WEIGHT].mul_(3e-4)
    rng = np.random.default_rng(5)
    put(parameters, rng.normal(size=(outputs, 3)), rng.normal(size=(PERSONS, outputs, 3)))
    return tuple(parameters[name].clone() for name in (*algebra.HEAD, *algebra.GATE))


def penalised(parameters, z, y) -> float:
    """Minus twice the log posterior density: squared errors over their variances, and the prior's terms."""
    errors = (algebra.mixed_outputs(algebra.mixture(parameters, z)) - y).square().sum(dim=0)
    terms = expert_prior.deviations(parameters).square() / expert_prior.prior_variances(parameters)
    return float((errors / parameters[expert_prior.SIGMA2]).sum() + terms.sum())


def test_a_sweep_under_a_gate_without_doubt_is_each_persons_blup():
    z, y, person, gate = known_persons(outputs=2)
    parameters, mean = state(z, gate, outputs=2), np.array([[0.5, -0.2, 0.1], [0.1, 0.4, -0.3]])
    put(parameters, mean, np.random.default_rng(5).normal(size=(PERSONS, 2, 3)))
    rows, targets = torch.as_tensor(z), torch.as_tensor(y)
    curved = expert_prior.curvature(parameters, rows, None, "regression")
    expert_prior.sweep(parameters, rows, targets, curved[:, 0])
    found = expert_prior.deviations(parameters).numpy()
    for output in range(2):
        for expert, (design, own) in enumerate(zip(*by_person(z, y, person, output), strict=True)):
            expected = oracle.blup(design, own, mean[output], np.diag(TAU), SIGMA2)[0]
            np.testing.assert_allclose(found[expert, output], expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("outputs", [1, 2])
def test_sweeps_under_a_gate_in_doubt_never_raise_the_objective_and_end_at_its_minimum(outputs):
    z, y, _, gate = known_persons(outputs)
    parameters = state(z, gate, outputs)
    held = moving(parameters, outputs)
    rows, targets = torch.as_tensor(z), torch.as_tensor(y)
    curved = expert_prior.curvature(parameters, rows, None, "regression")
    values = [penalised(parameters, rows, targets)]
    for _ in range(300):
        expert_prior.sweep(parameters, rows, targets, curved[:, 0])
        values.append(penalised(parameters, rows, targets))
        assert values[-1] <= (1 + 1e-6) * values[-2]  # rows with next to no weight are left out
        if values[-2] - values[-1] < 1e-9 * values[-1]:
            break
    assert all(
        torch.equal(before, parameters[name]) for before, name in zip(held, (*algebra.HEAD, *algebra.GATE), strict=True)
    )
    # the minimum, by ridge regression on all experts together
    shares = torch.softmax(rows @ parameters[algebra.GATE_WEIGHT].T, dim=1).numpy()
    assert 0.2 < shares.max(axis=1).mean() < 0.9
    design = np.column_stack([z, np.ones(len(z))])
    wide = np.concatenate([shares[:, [e]] * design for e in range(PERSONS)], axis=1)
    least = 0.0
    for output in range(outputs):
        mean = np.append(parameters[algebra.HEAD_WEIGHT][output], parameters[algebra.HEAD_BIAS][output])
        left = y[:, output] - design @ mean
        matrix = wide.T @ wide / SIGMA2 + np.diag(np.tile(1 / TAU, PERSONS))
        best = np.linalg.solve(matrix, wide.T @ left / SIGMA2)
        least += ((left - wide @ best) ** 2).sum() / SIGMA2 + (best**2 / np.tile(TAU, PERSONS)).sum()
    assert values[-1] == pytest.approx(least, rel=1e-3)
    assert values[-1] < 0.5 * values[0]


def test_start_variances_move_an_output_by_a_third_of_its_residual():
    z, y, _, gate = known_persons()
    parameters = state(z, gate)
    rows, targets = torch.as_tensor(z), torch.as_tensor(y)
    expert_prior.start_variances(parameters, rows, targets, "regression")
    residual = float(targets.square().mean())
    assert float(parameters[expert_prior.SIGMA2][0]) == pytest.approx(residual)
    moved = parameters[expert_prior.VARIANCES][0, 0] * rows.square().sum(dim=1).mean()
    assert float(moved) == pytest.approx(residual / 9)
    assert float(parameters[expert_prior.VARIANCES][1, 0]) == pytest.approx(residual / 9)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_posterior_variances_of_classes_lie_between_nothing_and_the_prior(task):
    z, _, person, gate = known_persons(outputs=1 if task == "binary" else 3)
    outputs = 1 if task == "binary" else 3
    parameters = state(z, gate, outputs)
    codes = torch.as_tensor(np.random.default_rng(1).integers(0, max(outputs, 2), size=len(z)))
    curved = expert_prior.curvature(parameters, torch.as_tensor(z), codes, task)
    found = expert_prior.expert_variances(parameters, curved, squared=False)
    weights = algebra.row_information(algebra.mixture(parameters, torch.as_tensor(z)), codes, task).numpy()
    prior = expert_prior.prior_variances(parameters)
    assert bool(((found > 0) & (found < prior)).all())
    design = np.column_stack([z, np.ones(len(z))])
    mine = person == 2
    for output in range(outputs):
        matrix = (design[mine] * weights[mine, 2, output, None]).T @ design[mine] + np.diag(1 / prior[output].numpy())
        np.testing.assert_allclose(found[2, output].numpy(), np.diag(np.linalg.inv(matrix)), rtol=1e-8)


@pytest.mark.slow
def test_a_fit_whose_gate_is_sure_ends_near_the_maximum_likelihood():
    """Gradient descent on experts and gate together, judged by the linear mixed model of the same rows."""
    z, y, person, _ = known_persons(persons=8, rows=40, seed=4)
    frame = pd.DataFrame({"a": z[:, 0], "b": z[:, 1], "y": y[:, 0], "who": [f"p{code}" for code in person]})
    data = GroupedDataset.from_frame(frame, target="y", features=["a", "b"], groups="who")
    settings = {"lr": 0.03, "gate_epochs": 150, "head_epochs": 40, "epochs": 150, "batch": 64, "patience": 30}
    run = fit(Pen(prior="nme", lambda_0=1.0, lambda_1=0.0, **settings), data, seed=1, split=None)
    assert run.trained.network.gate(data).max(axis=1).mean() > 0.98
    designs, ys = by_person((z - z.mean(axis=0)) / z.std(axis=0), (y - y.mean()) / y.std(), person)

    def minus(values):
        variances = np.exp(values[3:])
        return -oracle.log_likelihood(designs, ys, values[:3], variances[[0, 0, 1]], variances[2])

    best = np.exp(minimize(minus, np.r_[0, 0, 0, np.log([0.3, 0.3, 0.1])], method="BFGS").x[3:])
    shared = run.trained.network.shared
    found = [*shared[expert_prior.VARIANCES].ravel().tolist(), float(shared[expert_prior.SIGMA2][0])]
    np.testing.assert_allclose(found, best, rtol=0.15)
