"""Person parameters of any module: rows by person, one network per person, names of the coordinates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call

from toolkit.effects.problem import Problem, group_rows
from toolkit.effects.random_effects import EffectLayout, coordinate_labels, personal_outputs, personal_parameters
from toolkit.effects.terms import resolve_terms
from toolkit.models.networks import Mlp, initial_parameters


def layout_of(shared: dict[str, torch.Tensor], names: tuple[str, ...]) -> EffectLayout:
    labels = [label for name in names for label in coordinate_labels(name, shared[name].shape, None, None)]
    shapes = tuple(tuple(shared[name].shape) for name in names)
    return EffectLayout(names=names, shapes=shapes, labels=tuple(labels))


def network(inputs: int = 3, hidden: tuple[int, ...] = (4,), outputs: int = 2, seed: int = 0):
    module = Mlp(inputs, hidden, outputs)
    generator = torch.Generator().manual_seed(seed)
    return module, initial_parameters(module, generator=generator, dtype=torch.float64, device=torch.device("cpu"))


def normal(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.lists(st.integers(-1, 6), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_rows_are_grouped_as_by_a_loop(codes):
    groups = group_rows(np.array(codes))
    persons = sorted(set(codes))
    by_person = {person: [row for row, code in enumerate(codes) if code == person] for person in persons}
    longest = max(len(rows) for rows in by_person.values())
    assert groups.persons.tolist() == persons
    assert groups.index.tolist() == [rows + [-1] * (longest - len(rows)) for rows in by_person.values()]
    for row, code in enumerate(codes):
        assert groups.line[row] == persons.index(code)
        assert groups.place[row] == by_person[code].index(row)


@pytest.mark.parametrize("effects", ["last", "first", "all", "*.bias", "layers.1.weight"])
def test_outputs_are_one_call_per_person(effects):
    module, shared = network(hidden=(4, 3))
    layout = layout_of(shared, resolve_terms(effects, list(shared)))
    eta, inputs = normal(5, layout.size), normal(5, 7, 3, seed=2)
    personal = personal_parameters(shared, layout, eta)
    together = personal_outputs(module, shared, personal, inputs)
    for person in range(5):
        own = {**shared, **{name: value[person] for name, value in personal.items()}}
        torch.testing.assert_close(together[person], functional_call(module, own, (inputs[person],)))


def test_any_module_can_have_person_parameters():
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.LayerNorm(4), nn.Linear(4, 1)).double()
    shared = {name: value.detach() for name, value in module.named_parameters()}
    layout = layout_of(shared, ("2.weight", "3.bias"))
    eta, inputs = normal(4, layout.size), normal(4, 6, 3, seed=2)
    personal = personal_parameters(shared, layout, eta)
    together = personal_outputs(module, shared, personal, inputs)
    for person in range(4):
        own = {**shared, **{name: value[person] for name, value in personal.items()}}
        torch.testing.assert_close(together[person], functional_call(module, own, (inputs[person],)))


def test_the_modules_own_values_are_not_used():
    module, shared = network()
    layout = layout_of(shared, ("layers.1.bias",))
    personal = personal_parameters(shared, layout, normal(2, layout.size))
    before = personal_outputs(module, shared, personal, normal(2, 3, 3))
    with torch.no_grad():
        for value in module.parameters():
            value.fill_(torch.nan)
    assert torch.equal(personal_outputs(module, shared, personal, normal(2, 3, 3)), before)


@pytest.mark.parametrize(("hidden", "outputs"), [((), 1), ((), 3), ((4,), 1), ((4, 2), 3)])
def test_labels_stand_in_the_order_of_the_flattened_parameters(hidden, outputs):
    """Setting the coordinate called ``name[i,j]`` changes the entry [i, j] of that parameter, and nothing else."""
    _, shared = network(hidden=hidden, outputs=outputs)
    layout = layout_of(shared, tuple(shared))
    assert len(set(layout.labels)) == layout.size == sum(value.numel() for value in shared.values())
    for place, label in enumerate(layout.labels):
        changed = layout.unflatten(torch.eye(layout.size)[place : place + 1])
        hit = [(name, tuple(torch.nonzero(value[0])[0].tolist())) for name, value in changed.items() if value.any()]
        ((name, entry),) = hit
        shown = [str(index) for index, size in zip(entry, shared[name].shape, strict=True) if size != 1]
        assert label == (f"{name}[{','.join(shown)}]" if shown else name)


def test_labels_use_names_where_there_are_any():
    states = ("calm", "tense")
    assert coordinate_labels("transitions", (2, 2), states, states) == [
        "transitions[calm,calm]",
        "transitions[calm,tense]",
        "transitions[tense,calm]",
        "transitions[tense,tense]",
    ]
    assert coordinate_labels("w", (2, 3), states, None) == [f"w[{state},{i}]" for state in states for i in range(3)]
    assert coordinate_labels("w", (1, 2), None, ("day", "sleep")) == ["w[day]", "w[sleep]"]
    assert coordinate_labels("w", (1, 1), None, ("day",)) == ["w[day]"]
    assert coordinate_labels("b", (2,), states, None) == ["b[calm]", "b[tense]"]
    assert coordinate_labels("b", (1,), None, None) == ["b"]


def test_unflattening_is_the_inverse_of_flattening():
    _, shared = network()
    layout = layout_of(shared, ("layers.0.weight", "layers.1.bias"))
    eta = normal(3, layout.size)
    parts = layout.unflatten(eta)
    assert torch.equal(torch.cat([parts[name].reshape(3, -1) for name in layout.names], dim=1), eta)


def test_a_line_without_effects_has_the_shared_network():
    module, shared = network()
    layout = layout_of(shared, tuple(shared))
    inputs = normal(3, 5, 3, seed=4)
    part = Problem(
        module=module, inputs=inputs, persons=torch.tensor([1, -1, 0]), loss=lambda out, _: out.sum(dim=(1, 2)), rows=15
    )
    eta = normal(2, layout.size)
    lines = part.lines_of(eta)
    assert torch.equal(lines, torch.stack([eta[1], torch.zeros_like(eta[0]), eta[0]]))
    outputs, chain = part.outputs(shared, layout, lines)
    torch.testing.assert_close(outputs[1], functional_call(module, shared, (inputs[1],)))
    assert chain == {}
