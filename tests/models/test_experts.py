"""The algebra of mixtures of experts against loops in plain Python, its gradients, and its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import experts as oracle
from toolkit.models import experts as algebra

SIZES = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(2, 4), st.integers(1, 3))
TASKS = ("regression", "binary", "multiclass")


def drawn(z: int, experts: int, outputs: int, seed: int = 0, scale: float = 1.0) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    shapes = {
        algebra.HEAD_WEIGHT: (outputs, z),
        algebra.HEAD_BIAS: (outputs,),
        algebra.EXPERT_WEIGHT: (experts, outputs, z),
        algebra.EXPERT_BIAS: (experts, outputs),
        algebra.GATE_WEIGHT: (experts, z),
        algebra.GATE_BIAS: (experts,),
    }
    return {name: torch.as_tensor(scale * rng.normal(size=shape)) for name, shape in shapes.items()}


def listed(parameters):
    """The same parameters as the oracle takes them."""
    experts = list(
        zip(parameters[algebra.EXPERT_WEIGHT].tolist(), parameters[algebra.EXPERT_BIAS].tolist(), strict=True)
    )
    gate = list(zip(parameters[algebra.GATE_WEIGHT].tolist(), parameters[algebra.GATE_BIAS].tolist(), strict=True))
    return experts, gate


def rows_and_targets(count: int, z: int, outputs: int, task: str, seed: int = 1):
    rng = np.random.default_rng(seed)
    rows = torch.as_tensor(rng.normal(size=(count, z)))
    if task == "regression":
        return rows, torch.as_tensor(rng.normal(size=(count, outputs)))
    return rows, torch.as_tensor(rng.integers(0, 2 if task == "binary" else outputs, size=count))


@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 1000))
def test_output_gate_and_losses_of_numbers_are_those_of_the_paper(sizes, seed):
    count, z, experts, outputs = sizes
    parameters = drawn(z, experts, outputs, seed)
    rows, targets = rows_and_targets(count, z, outputs, "regression", seed)
    mixed = algebra.mixture(parameters, rows)
    own, gate = listed(parameters)
    found = {
        "outputs": algebra.mixed_outputs(mixed),
        "weights": mixed.log_weights.exp(),
        "scores": algebra.gate_scores(parameters, rows),
        "squared": algebra.squared_error(algebra.mixed_outputs(mixed), targets),
        "sparsity": algebra.sparsity(mixed.gate),
    }
    for place, row in enumerate(rows.tolist()):
        expected = {
            "outputs": oracle.mixed(own, gate, row),
            "weights": oracle.softmax(oracle.gate_scores(gate, row)),
            "scores": oracle.gate_scores(gate, row),
            "squared": oracle.squared_error(own, gate, row, targets[place].tolist()),
            "sparsity": oracle.sparsity(gate, row),
        }
        for name, value in expected.items():
            np.testing.assert_allclose(found[name][place].numpy(), value, rtol=1e-10, atol=1e-12, err_msg=name)
        for expert in range(experts):
            np.testing.assert_allclose(
                mixed.outputs[place, expert].numpy(), oracle.expert_outputs(own[expert], row), rtol=1e-10, atol=1e-12
            )


@settings(max_examples=30, deadline=None)
@given(sizes=SIZES, per_group=st.integers(1, 3), seed=st.integers(0, 1000))
def test_the_gate_is_asked_for_the_experts_of_a_person_together(sizes, per_group, seed):
    count, z, groups, _ = sizes
    parameters = drawn(z, groups * per_group, 1, seed)
    rows, _ = rows_and_targets(count, z, 1, "regression", seed)
    owner = np.random.default_rng(seed).integers(-1, groups, size=count)
    weights = torch.log_softmax(algebra.gate_scores(parameters, rows), dim=1)
    found = algebra.recognition_loss(weights, torch.as_tensor(owner), per_group)
    for place, row in enumerate(rows.tolist()):
        group = int(owner[place])
        own = range(group * per_group, (group + 1) * per_group) if group >= 0 else ()
        assert float(found[place]) == pytest.approx(oracle.recognition(listed(parameters)[1], row, own), abs=1e-12)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@settings(max_examples=25, deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 1000))
def test_classes_are_mixed_as_probabilities(task, sizes, seed):
    count, z, experts, outputs = sizes
    outputs = 1 if task == "binary" else outputs + 1
    parameters = drawn(z, experts, outputs, seed)
    rows, codes = rows_and_targets(count, z, outputs, task, seed)
    found = algebra.log_probabilities(algebra.mixture(parameters, rows), task)
    own, gate = listed(parameters)
    losses = algebra.class_loss(found, codes)
    for place, row in enumerate(rows.tolist()):
        expected = oracle.mixed_probabilities(own, gate, row, task)
        np.testing.assert_allclose(found[place].exp().numpy(), expected, rtol=1e-10)
        assert float(losses[place]) == pytest.approx(-math.log(expected[int(codes[place])]))


@pytest.mark.parametrize("task", TASKS)
def test_gradients_of_the_joint_objective(task):
    outputs = {"regression": 2, "binary": 1, "multiclass": 3}[task]
    parameters = drawn(3, 4, outputs)
    rows, targets = rows_and_targets(6, 3, outputs, task)
    names = (*algebra.EXPERTS, *algebra.GATE)
    groups = torch.tensor([0, 1, 1, 0, -1, 0])

    def objective(*values):
        mixed = algebra.mixture(dict(zip(names, values, strict=True)), rows)
        if task == "regression":
            loss = algebra.squared_error(algebra.mixed_outputs(mixed), targets)
        else:
            loss = algebra.class_loss(algebra.log_probabilities(mixed, task), targets)
        recognised = algebra.recognition_loss(mixed.log_weights, groups, 2)
        return (loss + 0.3 * recognised + 0.2 * algebra.sparsity(mixed.gate)).mean()

    assert torch.autograd.gradcheck(objective, [parameters[name].clone().requires_grad_(True) for name in names])


@pytest.mark.parametrize("task", TASKS)
def test_equal_experts_are_the_shared_head_whatever_the_gate_says(task):
    outputs = {"regression": 2, "binary": 1, "multiclass": 3}[task]
    parameters = drawn(3, 4, outputs, scale=2.0)
    parameters[algebra.EXPERT_WEIGHT] = parameters[algebra.HEAD_WEIGHT].expand(4, -1, -1).clone()
    parameters[algebra.EXPERT_BIAS] = parameters[algebra.HEAD_BIAS].expand(4, -1).clone()
    rows, _ = rows_and_targets(7, 3, outputs, task)
    mixed, head = algebra.mixture(parameters, rows), algebra.head_outputs(parameters, rows)
    if task == "regression":
        torch.testing.assert_close(algebra.mixed_outputs(mixed), head)
    else:
        torch.testing.assert_close(algebra.log_probabilities(mixed, task), algebra.class_scores(head, task))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("expert", [0, 2])
def test_a_saturated_gate_leaves_one_expert(task, expert):
    outputs = {"regression": 2, "binary": 1, "multiclass": 3}[task]
    parameters = drawn(3, 3, outputs)
    parameters[algebra.GATE_BIAS] = torch.eye(3, dtype=torch.float64)[expert] * 1e4
    rows, _ = rows_and_targets(7, 3, outputs, task)
    mixed = algebra.mixture(parameters, rows)
    alone = mixed.outputs[:, expert]
    if task == "regression":
        torch.testing.assert_close(algebra.mixed_outputs(mixed), alone, rtol=0, atol=0)
    else:
        torch.testing.assert_close(algebra.log_probabilities(mixed, task), algebra.class_scores(alone, task))
    # what is certain to be another's stays a finite loss with a finite gradient
    scores = mixed.gate.detach().clone().requires_grad_(True)
    other = torch.full((7,), (expert + 1) % 3)
    loss = algebra.recognition_loss(torch.log_softmax(scores, dim=1), other, 1).sum()
    loss.backward()
    assert math.isfinite(loss.item())
    assert bool(torch.isfinite(scores.grad).all())


def test_information_of_numbers_is_half_the_curvature_of_the_squared_error():
    parameters = drawn(2, 3, 2)
    rows, _ = rows_and_targets(5, 2, 2, "regression")
    mixed = algebra.mixture(parameters, rows)
    found = algebra.row_information(mixed, None, "regression")

    def half_error(outputs):
        values = torch.einsum("re,reo->ro", mixed.log_weights.exp(), outputs)
        return 0.5 * values.square().sum()

    curved = torch.autograd.functional.hessian(half_error, mixed.outputs)
    for row in range(5):
        for expert in range(3):
            for output in range(2):
                expected = float(curved[row, expert, output, row, expert, output])
                assert float(found[row, expert, output]) == pytest.approx(expected)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_information_of_classes_is_the_squared_slope_of_the_log_likelihood(task):
    outputs = 1 if task == "binary" else 3
    parameters = drawn(2, 3, outputs)
    rows, codes = rows_and_targets(5, 2, outputs, task)
    mixed = algebra.mixture(parameters, rows)
    found = algebra.row_information(mixed, codes, task)
    values = mixed.outputs.clone().requires_grad_(True)
    chosen = algebra.log_probabilities(mixed._replace(outputs=values), task)[torch.arange(5), codes]
    chosen.sum().backward()
    torch.testing.assert_close(found, values.grad.square())
