"""Training in stages: order, what moves, what is kept, and going on after an interruption, on objectives made up."""

from __future__ import annotations

import math

import pytest
import torch

from toolkit.optimise.descent import Descent
from toolkit.optimise.schedules import OneCycle
from toolkit.optimise.stages import BatchSettings, Stage, descend
from toolkit.optimise.status import Status

ROWS = 12
SETTINGS = BatchSettings(lr=0.05, batch=5, patience=4)


def parameters() -> dict[str, torch.Tensor]:
    return {name: torch.full((2,), value, dtype=torch.float64) for name, value in (("a", 1.0), ("b", 2.0), ("c", 3.0))}


def towards(state, name: str, seen: list | None = None):
    """Half the squared distance from zero; row numbers only change the order of the sums."""

    def objective(batch):
        if seen is not None:
            seen.append(batch.clone())
        return {"objective": 0.5 * state[name].square().sum() + 0.0 * batch.sum()}

    return objective


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Memory:
    """A keeper that takes a copy after a given epoch, and one that starts from it."""

    def __init__(self, generator: torch.Generator, at: int = -1, taken: dict | None = None) -> None:
        self.generator, self.at, self.taken, self.saved = generator, at, taken, None
        self.resumed = 0 if taken is None else 1
        self.stage = 0 if taken is None else taken["numbers"]["counters"]["stage"]

    def begin(self, descent: Descent) -> None:
        if self.taken is not None and descent.stage == self.stage:
            descent.take_up(self.taken["tensors"], self.taken["numbers"])
            self.generator.set_state(self.taken["random"])

    def epoch_ended(self, descent: Descent) -> None:
        if descent.epoch == self.at:
            self.saved = {
                "tensors": {name: value.clone() for name, value in descent.tensors().items()},
                "numbers": descent.numbers(),
                "random": self.generator.get_state(),
            }
            raise KeyboardInterrupt

    def end(self) -> None:
        pass


def test_stages_run_in_order_and_move_only_what_is_theirs():
    state, seen = parameters(), []
    untouched = {name: value.clone() for name, value in state.items()}

    def stage(name: str, epochs: int) -> Stage:
        def begin() -> None:
            seen.append((name, {key: value.detach().clone() for key, value in state.items()}))

        return Stage(names=(name,), objective=towards(state, name), rows=ROWS, epochs=epochs, begin=begin)

    outcome = descend([stage("a", 3), stage("b", 0), stage("c", 2)], state, SETTINGS, generator=generator())
    assert [name for name, _ in seen] == ["a", "c"]
    assert torch.equal(state["b"], untouched["b"])  # a stage of no epochs is left out
    at_c = seen[1][1]
    assert torch.equal(at_c["c"], untouched["c"])
    assert torch.equal(at_c["a"], state["a"])
    assert not torch.equal(at_c["a"], untouched["a"])
    assert not torch.equal(state["c"], untouched["c"])
    assert [(row["epoch"], row["stage"]) for row in outcome.trace] == [(1, 0), (2, 0), (3, 0), (4, 2), (5, 2)]
    assert outcome.epochs == outcome.best_epoch == 5
    assert not any(value.requires_grad for value in state.values())


def test_every_epoch_sees_every_row_once_in_an_order_of_its_own():
    state, seen = parameters(), []
    stage = Stage(names=("a",), objective=towards(state, "a", seen), rows=ROWS, epochs=2)
    descend([stage], state, SETTINGS, generator=generator())
    epochs = [torch.cat(seen[:3]), torch.cat(seen[3:])]
    assert [len(batch) for batch in seen] == [5, 5, 2] * 2
    assert all(sorted(epoch.tolist()) == list(range(ROWS)) for epoch in epochs)
    assert not torch.equal(*epochs)


def test_terms_are_weighted_by_the_rows_of_their_batch():
    state = parameters()

    def objective(batch):
        return {"objective": 0.0 * state["a"].sum() + batch.double().mean()}

    outcome = descend(
        [Stage(names=("a",), objective=objective, rows=ROWS, epochs=1)], state, SETTINGS, generator=generator()
    )
    assert outcome.trace[0]["objective"] == pytest.approx((ROWS - 1) / 2)
    assert math.isnan(outcome.trace[0]["validation"])


def test_early_stopping_brings_the_best_state_back():
    state, states = parameters(), []
    losses = iter([5.0, 4.0, 1.0, 2.0, 2.5, 3.0, 3.5, 9.0])

    def validate() -> float:
        states.append({name: value.detach().clone() for name, value in state.items()})
        return next(losses)

    stage = Stage(names=("a",), objective=towards(state, "a"), rows=ROWS, epochs=100, validate=validate)
    outcome = descend([stage], state, SETTINGS, generator=generator())
    assert outcome.status is Status.VALIDATED
    assert (outcome.best_epoch, outcome.epochs) == (2, 6)  # losses of the start, then of epochs 1, 2, ...
    assert torch.equal(state["a"], states[2]["a"])
    assert not torch.equal(state["a"], states[-1]["a"])


def test_the_state_before_a_stage_stays_if_no_epoch_betters_it():
    state, losses = parameters(), iter([1.0, *range(2, 100)])
    before = {name: value.clone() for name, value in state.items()}

    def begin() -> None:
        state["b"].mul_(2.0)

    stage = Stage(
        names=("a",),
        objective=towards(state, "a"),
        rows=ROWS,
        epochs=100,
        validate=lambda: float(next(losses)),
        begin=begin,
    )
    outcome = descend([stage], state, SETTINGS, generator=generator())
    assert outcome.best_epoch == 0
    assert torch.equal(state["a"], before["a"])
    assert torch.equal(state["b"], 2.0 * before["b"])  # what the stage began with, not what it found


def test_the_best_state_of_a_stage_is_where_the_next_one_starts():
    state, losses, starts = parameters(), iter([3.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0]), []
    first = Stage(names=("a",), objective=towards(state, "a"), rows=ROWS, epochs=6, validate=lambda: next(losses, 2.0))
    second = Stage(
        names=("b",),
        objective=towards(state, "b"),
        rows=ROWS,
        epochs=1,
        begin=lambda: starts.append(state["a"].detach().clone()),
    )
    descend([first, second], state, SETTINGS, generator=generator())
    once = parameters()
    descend([Stage(names=("a",), objective=towards(once, "a"), rows=ROWS, epochs=1)], once, SETTINGS,
            generator=generator())  # fmt: skip
    assert torch.equal(starts[0], once["a"])


def test_without_validation_rows_training_ends_when_the_loss_stands_still():
    state = parameters()
    stage = Stage(names=("a",), objective=towards(state, "b"), rows=ROWS, epochs=500)

    def flat(batch):
        return {"objective": 1.0 + 0.0 * state["a"].sum()}

    outcome = descend(
        [Stage(names=("a",), objective=flat, rows=ROWS, epochs=500)], state, SETTINGS, generator=generator()
    )
    assert outcome.status is Status.SETTLED
    assert outcome.epochs == SETTINGS.patience + 1
    state = parameters()
    stage = Stage(names=("a",), objective=towards(state, "a"), rows=ROWS, epochs=3)
    outcome = descend([stage], state, SETTINGS, generator=generator())
    assert outcome.status is Status.OUT_OF_EPOCHS


@pytest.mark.parametrize("validated", [True, False])
@pytest.mark.parametrize("where", ["objective", "state", "update"])
def test_what_is_no_number_is_rolled_back_and_ends_training(where, validated):
    state, epochs, later = parameters(), [], []

    def objective(batch):
        value = 0.5 * state["a"].square().sum()
        return {"objective": value * float("nan") if where == "objective" and len(epochs) == 3 else value}

    def update(epoch: int) -> None:
        epochs.append(epoch)
        if epoch == 4 and where == "state":
            state["c"][0] = float("inf")
        if epoch == 4 and where == "update":
            raise torch.linalg.LinAlgError

    stages = [
        Stage(names=("a",), objective=objective, rows=ROWS, epochs=9, update=update,
              validate=(lambda: state["a"].detach().abs().sum().item()) if validated else None),
        Stage(names=("b",), objective=towards(state, "b"), rows=ROWS, epochs=9, begin=lambda: later.append(1)),
    ]  # fmt: skip
    outcome = descend(stages, state, SETTINGS, generator=generator())
    assert outcome.status is Status.NOT_FINITE
    assert not later  # no further stage starts
    good = parameters()
    descend([Stage(names=("a",), objective=towards(good, "a"), rows=ROWS, epochs=3)], good, SETTINGS,
            generator=generator())  # fmt: skip
    assert all(torch.equal(state[name], good[name]) for name in state)
    assert outcome.best_epoch == len(outcome.trace) == 3


def test_a_validation_loss_that_is_no_number_is_rolled_back():
    state, losses = parameters(), iter([3.0, 2.0, 1.0, float("nan")])
    stage = Stage(names=("a",), objective=towards(state, "a"), rows=ROWS, epochs=9, validate=lambda: next(losses))
    outcome = descend([stage], state, SETTINGS, generator=generator())
    assert (outcome.status, outcome.best_epoch) == (Status.NOT_FINITE, 2)
    assert len(outcome.trace) == 2


@pytest.mark.parametrize("optimiser", ["adam", "adadelta"])
@pytest.mark.parametrize("at", [2, 5, 7, 10])
def test_an_interrupted_training_goes_on_bit_by_bit(optimiser, at):
    settings = BatchSettings(lr=0.05, batch=5, patience=6, optimiser=optimiser, weight_decay=0.01)

    def stages(state):
        def begin() -> None:
            state["c"].copy_(state["a"])

        def update(epoch: int) -> None:
            state["b"].mul_(0.5)

        return [
            Stage(names=("a",), objective=towards(state, "a"), rows=ROWS, epochs=5, update=update),
            Stage(names=("c",), objective=towards(state, "c"), rows=ROWS, epochs=8, begin=begin,
                  validate=lambda: state["c"].detach().abs().sum().item()),
        ]  # fmt: skip

    whole = parameters()
    expected = descend(stages(whole), whole, settings, generator=generator())
    broken = parameters()
    keeper = Memory(generator(), at=at)
    with pytest.raises(KeyboardInterrupt):
        descend(stages(broken), broken, settings, generator=keeper.generator, keeper=keeper)
    again = parameters()
    keeper = Memory(generator(99), taken=keeper.saved)
    found = descend(stages(again), again, settings, generator=keeper.generator, keeper=keeper)
    assert all(torch.equal(again[name], whole[name]) for name in whole)
    assert [list(row.items()) for row in found.trace][-1] == [list(row.items()) for row in expected.trace][-1]
    assert len(found.trace) == len(expected.trace) == 13
    assert (found.status, found.best_epoch) == (expected.status, expected.best_epoch)


def test_adadelta_is_that_of_keras_with_its_rate_left_alone():
    state = parameters()
    settings = BatchSettings(lr=1.0, batch=ROWS, patience=2, optimiser="adadelta")
    losses = iter(range(1, 100))  # never better: Adam would take smaller steps
    rates = []

    class Look(Memory):
        def epoch_ended(self, descent: Descent) -> None:
            rates.append((type(descent.optimiser).__name__, descent.optimiser.param_groups[0]["lr"]))

    stage = Stage(
        names=("a",), objective=towards(state, "a"), rows=ROWS, epochs=3, validate=lambda: float(next(losses))
    )
    descend([stage], state, settings, generator=generator(), keeper=Look(generator()))
    assert rates
    assert set(rates) == {("Adadelta", 1.0)}


def test_progress_counts_over_all_stages():
    state, seen = parameters(), []
    stages = [Stage(names=(name,), objective=towards(state, name), rows=ROWS, epochs=2) for name in ("a", "b")]
    descend(stages, state, SETTINGS, generator=generator(), progress=lambda *said: seen.append(said[:2]))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("validated", [True, False])
def test_a_loss_that_is_low_enough_ends_the_stage(validated):
    state = parameters()
    stage = Stage(
        names=("a",),
        objective=towards(state, "a"),
        rows=ROWS,
        epochs=300,
        enough=0.5,
        validate=(lambda: state["a"].detach().square().sum().item() / 2) if validated else None,
    )
    outcome = descend([stage], state, SETTINGS, generator=generator())
    assert outcome.status is (Status.VALIDATED if validated else Status.SETTLED)
    monitored = [row["validation" if validated else "objective"] for row in outcome.trace]
    assert monitored[-1] <= 0.5 < monitored[-2]


def test_one_cycle_rises_and_falls_and_goes_on_where_it_stood() -> None:
    weight = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.AdamW([weight], lr=0.1)
    cycle = OneCycle(optimiser, epochs=10, highest=0.1)
    rates = []
    for _ in range(10):
        for within in (0.0, 0.5):
            cycle.before_step(within)
            rates.append(float(optimiser.param_groups[0]["lr"]))
        cycle.step(0.0)
    assert rates[0] == pytest.approx(0.1 / 25)
    assert max(rates) == pytest.approx(0.1)
    assert rates.index(max(rates)) == 6
    assert rates[6:] == sorted(rates[6:], reverse=True)
    again = OneCycle(optimiser, epochs=10, highest=0.1)
    again.load_state_dict({"last_epoch": 4})
    again.before_step(0.5)
    assert float(optimiser.param_groups[0]["lr"]) == rates[9]
    assert optimiser.param_groups[0]["betas"][0] < 0.95
