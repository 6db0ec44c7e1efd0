"""The chain functions against enumeration of all state sequences, golden values, pytorch-crf and their own limits."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.oracles import chain as oracle
from toolkit.errors import DataError
from toolkit.numerics import chain

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "crf_goldens.json").read_text())
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.cuda,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: the chain ran on the CPU only"),
        ],
    ),
]


def draw(
    lengths: list[int], states: int, seed: int, *, own: bool = False, ends: bool = False, scale: float = 2.0
) -> dict[str, Any]:
    """Random scores of padded sequences; padding holds finite rubbish."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return scale * torch.randn(shape, generator=generator, dtype=torch.float64)

    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    emissions = torch.where(mask[..., None], normal(*mask.shape, states), 1e4)
    return {
        "emissions": emissions,
        "transitions": normal(len(lengths), states, states) if own else normal(states, states),
        "mask": mask,
        "start": normal(states) if ends else None,
        "end": normal(states) if ends else None,
    }


def draw_labels(mask: Tensor, states: int, seed: int, missing: float = 0.0) -> Tensor:
    """Random labels; some missing, arbitrary numbers in the padding."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, states, mask.shape)
    labels = np.where(rng.random(mask.shape) < missing, -1, labels)
    return torch.where(mask, torch.as_tensor(labels), 99)


def one_by_one(scores: dict[str, Any]):
    """Unpadded plain lists of each sequence: emissions, transitions, start, end."""
    for row, length in enumerate(scores["mask"].sum(dim=1).tolist()):
        matrix = scores["transitions"]
        matrix = matrix[row] if matrix.dim() == 3 else matrix
        ends = [None if scores[name] is None else scores[name].tolist() for name in ("start", "end")]
        yield row, length, scores["emissions"][row, :length].tolist(), matrix.tolist(), *ends


def close(found: Tensor, expected: Any, tolerance: float = 1e-10) -> None:
    wanted = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(found.double().cpu().reshape(wanted.shape), wanted, rtol=tolerance, atol=tolerance)


CASES = {
    "lengths": st.lists(st.integers(1, 5), min_size=1, max_size=3),
    "states": st.integers(2, 3),
    "seed": st.integers(0, 10_000),
    "own": st.booleans(),
    "ends": st.booleans(),
}


@given(**CASES)
@settings(max_examples=40, deadline=None)
def test_partition_and_marginals_are_those_of_enumeration(lengths, states, seed, own, ends):
    scores = draw(lengths, states, seed, own=own, ends=ends)
    normaliser = chain.log_partition(**scores)
    unary, pairwise = chain.marginals(**scores)
    for row, length, emissions, matrix, start, end in one_by_one(scores):
        close(normaliser[row], oracle.log_partition(emissions, matrix, start, end))
        close(unary[row, :length], oracle.unary_marginals(emissions, matrix, start, end))
        assert not unary[row, length:].any()
        assert not pairwise[row, max(length - 1, 0) :].any()
        if length > 1:
            close(pairwise[row, : length - 1], oracle.pairwise_marginals(emissions, matrix, start, end))


@given(**CASES, missing=st.sampled_from([0.0, 0.4, 1.0]))
@settings(max_examples=40, deadline=None)
def test_likelihood_is_that_of_enumeration(lengths, states, seed, own, ends, missing):
    scores = draw(lengths, states, seed, own=own, ends=ends)
    labels = draw_labels(scores["mask"], states, seed, missing)
    found = chain.log_likelihood(states=labels, **scores)
    for row, length, emissions, matrix, start, end in one_by_one(scores):
        expected = oracle.log_likelihood(emissions, labels[row, :length].tolist(), matrix, start, end)
        close(found[row], expected, 1e-9)


@given(**CASES)
@settings(max_examples=40, deadline=None)
def test_viterbi_is_the_best_of_all_paths(lengths, states, seed, own, ends):
    scores = draw(lengths, states, seed, own=own, ends=ends)
    path, top = chain.viterbi(**scores)
    for row, length, emissions, matrix, start, end in one_by_one(scores):
        best, value, _ = oracle.best_path(emissions, matrix, start, end)
        assert path[row].tolist() == best + [-1] * (max(lengths) - length)
        close(top[row], value)


@given(**CASES, missing=st.sampled_from([0.0, 0.4, 1.0]))
@settings(max_examples=40, deadline=None)
def test_forecast_is_that_of_the_chain_cut_off(lengths, states, seed, own, ends, missing):
    scores = draw(lengths, states, seed, own=own, ends=ends)
    scores.pop("end")
    labels = draw_labels(scores["mask"], states, seed, missing)
    ahead, known = chain.forecast(states=labels, **scores), chain.filtered(**scores)
    for row, length, emissions, matrix, start, _ in one_by_one({**scores, "end": None}):
        close(ahead[row, :length], oracle.forecast(emissions, labels[row, :length].tolist(), matrix, start), 1e-9)
        close(known[row, :length], oracle.filtered(emissions, matrix, start), 1e-9)
        assert not ahead[row, length:].any()
        assert not known[row, length:].any()


def test_forecast_with_all_states_observed_is_a_softmax_of_one_row():
    scores = draw([6], 3, 5)
    labels = draw_labels(scores["mask"], 3, 5)
    found = chain.forecast(scores["emissions"], labels, scores["transitions"])[0]
    rows = scores["emissions"][0, 1:] + scores["transitions"][labels[0, :-1]]
    close(found[1:], torch.softmax(rows, dim=1))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_golden_values(case, dtype, device):
    def tensor(name: str) -> Tensor:
        return torch.tensor(case[name], dtype=dtype, device=device)

    scores = {"emissions": tensor("emissions")[None], "transitions": tensor("transitions")}
    scores |= {"start": tensor("start"), "end": tensor("end")}
    labels = torch.tensor(case["y"], device=device)[None]
    tolerance = TOLERANCE[dtype]
    close(chain.log_partition(**scores), [case["log_Z"]], tolerance)
    close(chain.score(states=labels, **scores), [case["score_y"]], tolerance)
    close(chain.log_likelihood(states=labels, **scores), [case["log_lik_y"]], tolerance)
    path, top = chain.viterbi(**scores)
    close(top, [case["viterbi_score"]], tolerance)
    if case["second_best_gap"] > 1e-5:
        assert path[0].tolist() == case["viterbi"]
    unary, pairwise = chain.marginals(**scores)
    close(unary[0], case["unary_marginals"], tolerance)
    if case["pairwise_marginals"]:
        close(pairwise[0], case["pairwise_marginals"], tolerance)
    assert unary.dtype == pairwise.dtype == top.dtype == dtype


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_pytorch_crf(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchcrf import CRF
    scores = draw([7, 3, 1, 12], 4, seed, ends=True, scale=1.0)
    labels = draw_labels(scores["mask"], 4, seed)
    peer = CRF(4, batch_first=True).double()
    with torch.no_grad():
        peer.transitions.copy_(scores["transitions"])
        peer.start_transitions.copy_(scores["start"])
        peer.end_transitions.copy_(scores["end"])
    within = labels.clamp(max=3)  # pytorch-crf looks up padded labels too
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its torch.where takes a byte mask
        expected = peer(scores["emissions"], within, mask=scores["mask"], reduction="none").detach()
        paths = peer.decode(scores["emissions"], mask=scores["mask"])
    close(chain.log_likelihood(states=labels, **scores), expected)
    found = chain.viterbi(**scores)[0]
    assert [row[row >= 0].tolist() for row in found] == paths


def test_own_matrices_are_one_call_per_sequence():
    scores = draw([5, 2, 4], 3, 3, own=True, ends=True)
    labels = draw_labels(scores["mask"], 3, 3)
    together = chain.log_likelihood(states=labels, **scores)
    unary, _ = chain.marginals(**scores)
    for row in range(3):
        alone = {**scores, "emissions": scores["emissions"][row : row + 1], "mask": scores["mask"][row : row + 1]}
        alone["transitions"] = scores["transitions"][row]
        close(together[row : row + 1], chain.log_likelihood(states=labels[row : row + 1], **alone))
        close(unary[row : row + 1], chain.marginals(**alone)[0])


@pytest.mark.parametrize("own", [False, True])
def test_a_mask_of_ones_is_no_mask(own):
    scores = draw([6, 6], 3, 4, own=own, ends=True)
    labels = draw_labels(scores["mask"], 3, 4)
    without = {**scores, "mask": None}
    close(chain.log_partition(**scores), chain.log_partition(**without), 0.0)
    close(chain.log_likelihood(states=labels, **scores), chain.log_likelihood(states=labels, **without), 0.0)
    for mine, theirs in zip(chain.marginals(**scores), chain.marginals(**without), strict=True):
        close(mine, theirs, 0.0)
    assert torch.equal(chain.viterbi(**scores)[0], chain.viterbi(**without)[0])


def test_contents_of_the_padding_do_not_matter():
    scores = draw([5, 2, 1], 3, 6, ends=True)
    labels = draw_labels(scores["mask"], 3, 6)
    found = []
    for rubbish, label in ((0.0, 0), (-1e8, -1), (1e8, 2)):
        emissions = torch.where(scores["mask"][..., None], scores["emissions"], rubbish).requires_grad_(True)
        here = {**scores, "emissions": emissions}
        states = torch.where(scores["mask"], labels, label)
        loglik = chain.log_likelihood(states=states, **here)
        (slope,) = torch.autograd.grad(loglik.sum(), emissions)
        unary, pairwise = chain.marginals(**here)
        cut = {name: value for name, value in here.items() if name != "end"}
        ahead = chain.forecast(states=states, **cut)
        found.append([loglik, slope, unary, pairwise, ahead, chain.filtered(**cut), *chain.viterbi(**here)])
    for other in found[1:]:
        for mine, theirs in zip(found[0], other, strict=True):
            assert torch.equal(mine, theirs)
    assert torch.isfinite(found[0][1]).all()
    assert not found[0][1][~scores["mask"]].any()


@pytest.mark.parametrize(("length", "states"), [(1, 2), (7, 4), (50, 3)])
def test_with_all_scores_zero_it_counts_paths(length, states):
    zeros = torch.zeros((2, length, states), dtype=torch.float64)
    matrix = torch.zeros((states, states), dtype=torch.float64)
    close(chain.log_partition(zeros, matrix), [length * math.log(states)] * 2, 1e-12)
    unary, pairwise = chain.marginals(zeros, matrix)
    close(unary, torch.full_like(unary, 1 / states), 1e-12)
    close(pairwise, torch.full_like(pairwise, 1 / states**2), 1e-12)


@pytest.mark.parametrize("own", [False, True])
def test_marginals_are_the_gradient_of_log_z(own):
    scores = draw([6, 3, 1], 3, 8, own=own, ends=True)
    scores["emissions"].requires_grad_(True)
    scores["transitions"].requires_grad_(True)
    total = chain.log_partition(**scores).sum()
    by_emission, by_transition = torch.autograd.grad(total, [scores["emissions"], scores["transitions"]])
    unary, pairwise = chain.marginals(**scores)
    close(unary.detach(), by_emission)
    close(pairwise.detach().sum(dim=1) if own else pairwise.detach().sum(dim=(0, 1)), by_transition)


@pytest.mark.parametrize("own", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize("missing", [0.0, pytest.param(0.5, marks=pytest.mark.slow)])
def test_gradients_are_right(own, missing):
    scores = draw([4, 2], 3, 9, own=own, ends=True, scale=1.0)
    labels = draw_labels(scores["mask"], 3, 9, missing)
    scores["emissions"] = torch.where(scores["mask"][..., None], scores["emissions"], 0.0)
    leaves = [scores[name].clone().requires_grad_(True) for name in ("emissions", "transitions", "start", "end")]

    def partition(emissions, transitions, start, end):
        return chain.log_partition(emissions, transitions, scores["mask"], start, end)

    def likelihood(emissions, transitions, start, end):
        return chain.log_likelihood(emissions, labels, transitions, scores["mask"], start, end)

    assert torch.autograd.gradcheck(partition, leaves)
    assert torch.autograd.gradgradcheck(partition, leaves)
    assert torch.autograd.gradcheck(likelihood, leaves)


def test_a_sequence_of_one_step():
    emissions = torch.tensor([[[1.0, -2.0, 0.5]]], dtype=torch.float64)
    matrix = torch.full((3, 3), 7.0, dtype=torch.float64)
    wanted = torch.softmax(emissions, dim=-1)
    unary, pairwise = chain.marginals(emissions, matrix)
    close(unary, wanted)
    assert pairwise.shape == (1, 0, 3, 3)
    close(chain.forecast(emissions, torch.tensor([[2]]), matrix), wanted)
    close(chain.log_likelihood(emissions, torch.tensor([[1]]), matrix).exp(), wanted[0, 0, 1:2])
    path, top = chain.viterbi(emissions, matrix)
    assert path.tolist() == [[0]]
    close(top, [1.0])


def test_all_labels_missing_says_nothing():
    scores = draw([5, 3], 3, 11, ends=True)
    close(chain.log_likelihood(states=torch.full((2, 5), -1), **scores), [0.0, 0.0], 1e-12)


def test_ties_take_the_lower_state():
    path, _ = chain.viterbi(torch.zeros((1, 4, 3)), torch.zeros((3, 3)))
    assert path.tolist() == [[0, 0, 0, 0]]


def test_large_scores_stay_finite():
    scores = draw([40], 4, 12, scale=300.0)
    labels = draw_labels(scores["mask"], 4, 12)
    assert torch.isfinite(chain.log_likelihood(states=labels, **scores)).all()
    unary, pairwise = chain.marginals(**scores)
    close(unary.sum(dim=2), torch.ones((1, 40)), 1e-9)
    close(pairwise.sum(dim=3), unary[:, :-1], 1e-9)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_dtype_and_device_are_kept(dtype, device):
    scores = draw([4, 2], 3, 13, own=True, ends=True, scale=1.0)
    labels = draw_labels(scores["mask"], 3, 13, 0.3).to(device)
    here = {name: value.to(device, None if name == "mask" else dtype) for name, value in scores.items()}
    cut = {name: value for name, value in here.items() if name != "end"}
    results = {
        "log_partition": (chain.log_partition(**here), chain.log_partition(**scores)),
        "log_likelihood": (
            chain.log_likelihood(states=labels, **here),
            chain.log_likelihood(states=labels.cpu(), **scores),
        ),
        "marginals": (chain.marginals(**here)[1], chain.marginals(**scores)[1]),
        "filtered": (chain.filtered(**cut), None),
        "forecast": (chain.forecast(states=labels, **cut), None),
        "viterbi": (chain.viterbi(**here)[1], chain.viterbi(**scores)[1]),
    }
    for name, (found, expected) in results.items():
        assert found.dtype == dtype, name
        assert found.device.type == device, name
        if expected is not None:
            close(found, expected, TOLERANCE[dtype])


def _bad(**changes: Any) -> dict[str, Any]:
    return {**draw([3, 2], 3, 14, ends=True), **changes}


WRONG = {
    "states of the matrix": _bad(transitions=torch.zeros((4, 4), dtype=torch.float64)),
    "matrix not square": _bad(transitions=torch.zeros((3, 2), dtype=torch.float64)),
    "number of matrices": _bad(transitions=torch.zeros((5, 3, 3), dtype=torch.float64)),
    "start": _bad(start=torch.zeros(2, dtype=torch.float64)),
    "end": _bad(end=torch.zeros(4, dtype=torch.float64)),
    "mask of another length": _bad(mask=torch.ones((2, 4), dtype=torch.bool)),
    "mask with a gap": _bad(mask=torch.tensor([[True, False, True], [True, True, True]])),
    "padding on the left": _bad(mask=torch.tensor([[False, True, True], [True, True, True]])),
    "empty sequence": _bad(mask=torch.tensor([[False, False, False], [True, True, True]])),
}


@pytest.mark.parametrize("scores", WRONG.values(), ids=list(WRONG))
@pytest.mark.parametrize("name", ["log_partition", "log_likelihood", "marginals", "viterbi"])
def test_what_does_not_fit_is_an_error(name, scores):
    given_states = {"states": torch.zeros((2, 3), dtype=torch.int64)} if name == "log_likelihood" else {}
    # in test runs the shape annotations object first to some of these; the check itself is what is called here
    function = getattr(getattr(chain, name), "__wrapped__", getattr(chain, name))
    with pytest.raises(DataError) as caught:
        function(**scores, **given_states)
    assert caught.value.code == "E130"


@pytest.mark.parametrize("name", ["log_likelihood", "forecast"])
@pytest.mark.parametrize("label", [3, -2])
def test_a_label_that_is_no_state_is_an_error(name, label):
    scores = draw([3, 2], 3, 15)
    scores.pop("end")
    labels = torch.zeros((2, 3), dtype=torch.int64)
    labels[1, 1] = label
    with pytest.raises(DataError) as caught:
        getattr(chain, name)(states=labels, **scores)
    assert caught.value.code == "E130"
    labels[1, 1], labels[1, 2] = 0, label  # the same label in the padding is no matter
    getattr(chain, name)(states=labels, **scores)
