"""The training loop: what it keeps, when it stops, and what it does when numbers run away."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from toolkit.optimise.minimise import Settings, minimise
from toolkit.optimise.status import Status


def leaf(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def square(x: Tensor, target: float = 3.0) -> Callable[[], dict[str, Tensor]]:
    def objective() -> dict[str, Tensor]:
        loss = torch.square(x - target).sum() + 1.0
        return {"objective": loss, "loss": loss}

    return objective


def test_the_best_state_is_restored_parameters_and_buffers():
    x, seen = leaf(0.0), torch.zeros((), dtype=torch.float64)
    visited: dict[int, tuple[float, float]] = {}

    def update(epoch: int) -> dict[str, float]:
        seen.fill_(float(epoch))
        visited[epoch] = (x.item(), seen.item())
        return {}

    outcome = minimise(
        square(x), {"x": x}, {"seen": seen}, Settings(lr=0.1, epochs=300, patience=25), update=update,
        validate=lambda: abs(x.item() - 1.5),  # best on the way, not at the end
    )  # fmt: skip
    assert outcome.status is Status.VALIDATED
    best = min(outcome.trace, key=lambda row: row["validation"])
    assert outcome.best_epoch == int(best["epoch"]) < len(outcome.trace)
    assert (x.item(), seen.item()) == visited[outcome.best_epoch]
    assert abs(x.item() - 1.5) < 0.11


def test_it_stops_after_patience_epochs_without_progress():
    x = leaf(0.0)
    losses = [5.0, 4.0, 3.0] + [3.5] * 100
    given = iter(losses)
    outcome = minimise(square(x), {"x": x}, {}, Settings(lr=0.01, epochs=90, patience=12), validate=lambda: next(given))
    assert outcome.best_epoch == 3
    assert len(outcome.trace) == 3 + 12
    assert [row["validation"] for row in outcome.trace] == losses[:15]


@pytest.mark.parametrize("patience", [20, 50])
@pytest.mark.parametrize("lr", [0.05, 0.2])
def test_settled_means_close_to_the_minimum(patience, lr):
    """A learning rate cut again and again makes every objective stand still, at the minimum or not."""
    x = leaf(0.0, 10.0)
    outcome = minimise(square(x), {"x": x}, {}, Settings(lr=lr, epochs=5000, patience=patience))
    assert outcome.status is Status.SETTLED
    assert outcome.trace[-1]["loss"] < 1.001


def test_out_of_epochs_is_said():
    x = leaf(0.0)
    outcome = minimise(square(x, 50.0), {"x": x}, {}, Settings(lr=0.5, epochs=5, patience=2))
    assert outcome.status is Status.OUT_OF_EPOCHS
    assert not outcome.status.converged
    assert len(outcome.trace) == 5
    assert "training objective" in outcome.status.sentence(validated=False)
    assert "validation loss" in outcome.status.sentence(validated=True)


def test_without_validation_it_waits_for_the_variances_too():
    x = leaf(3.0)  # at the optimum from the start
    moving = minimise(
        square(x), {"x": x}, {}, Settings(lr=0.01, epochs=60, patience=10),
        update=lambda epoch: {"variance_mean": 1.1**-epoch},
    )  # fmt: skip
    assert moving.status is Status.OUT_OF_EPOCHS
    still = minimise(
        square(x), {"x": x}, {}, Settings(lr=0.01, epochs=60, patience=10), update=lambda _: {"variance_mean": 0.5}
    )
    assert still.status is Status.SETTLED
    assert len(still.trace) == 11


def root(x: Tensor) -> Callable[[], dict[str, Tensor]]:
    """Falls towards zero and is no number below it."""

    def objective() -> dict[str, Tensor]:
        loss = torch.sqrt(x).sum()
        return {"objective": loss, "loss": loss}

    return objective


@pytest.mark.parametrize("validated", [False, True])
def test_a_loss_that_is_no_number_rolls_back_to_the_last_good_state(validated):
    x = leaf(1.0)
    outcome = minimise(
        root(x), {"x": x}, {}, Settings(lr=0.3, epochs=50, patience=40),
        validate=(lambda: math.sqrt(x.item()) if x.item() >= 0 else math.nan) if validated else None,
    )  # fmt: skip
    assert outcome.status is Status.NOT_FINITE
    assert not outcome.status.converged
    assert "E301" in outcome.status.sentence(validated=validated)
    assert 0.0 < x.item() < 1.0
    assert math.isfinite(root(x)()["loss"].item())
    assert 1 < len(outcome.trace) < 50


def test_an_infinite_gradient_counts_too():
    x = leaf(4.0, 0.0)  # the square root is finite at zero, its slope is not
    outcome = minimise(root(x), {"x": x}, {}, Settings(lr=0.1, epochs=10, patience=5))
    assert outcome.status is Status.NOT_FINITE
    assert x.tolist() == [4.0, 0.0]
    assert outcome.trace == ()


def test_weight_decay_leaves_person_effects_alone():
    shared, eta = leaf(2.0), leaf(2.0)

    def flat() -> dict[str, Tensor]:
        loss = 0.0 * (shared.sum() + eta.sum())
        return {"objective": loss, "loss": loss + 1.0}

    settings = Settings(lr=0.05, epochs=20, patience=50, weight_decay=0.1)
    minimise(flat, {"w": shared, "eta": eta}, {}, settings, undecayed=frozenset({"eta"}))
    assert eta.tolist() == [2.0]
    assert shared.item() < 1.5


def test_the_trace_and_the_progress_hold_every_epoch():
    x, told = leaf(0.0), []
    outcome = minimise(
        square(x), {"x": x}, {}, Settings(lr=0.1, epochs=7, patience=50), update=lambda epoch: {"sigma2": epoch / 2},
        validate=lambda: float(torch.square(x.detach() - 3).sum()), progress=lambda *what: told.append(what),
    )  # fmt: skip
    assert [row["epoch"] for row in outcome.trace] == list(range(1, 8))
    assert set(outcome.trace[0]) == {"epoch", "objective", "loss", "sigma2", "validation", "lr"}
    assert [(epoch, total) for epoch, total, _ in told] == [(epoch, 7) for epoch in range(1, 8)]
    assert [loss for *_, loss in told] == [row["validation"] for row in outcome.trace]
