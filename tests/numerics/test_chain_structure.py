"""The chain with structural zeros and missing labels, its derivatives, best paths and precision."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.numerics.test_chain import close, draw, draw_labels
from tests.oracles import chain as oracle
from toolkit.errors import DataError
from toolkit.numerics import chain
from toolkit.numerics.chain_layout import lay_out
from toolkit.numerics.chain_logspace import LogMessages
from toolkit.numerics.chain_messages import run_messages
from toolkit.numerics.chain_scaled import ScaledMessages

# torch's own forward-mode rules are scripted when they are first used
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")

NAMES = ("emissions", "transitions", "start", "end")
CASES = {
    "lengths": st.lists(st.integers(1, 5), min_size=1, max_size=3),
    "states": st.integers(2, 3),
    "seed": st.integers(0, 10_000),
    "own": st.booleans(),
}


def draw_with_zeros(lengths: list[int], states: int, seed: int, *, own: bool, scale: float = 2.0) -> dict[str, Any]:
    """Scores with ends per sequence where matrices are; no state follows itself, and the first is never the start."""
    scores = draw(lengths, states, seed, own=own, ends=True, scale=scale)
    generator = torch.Generator().manual_seed(seed + 1)
    if own:
        for name in ("start", "end"):
            scores[name] = torch.randn((len(lengths), states), generator=generator, dtype=torch.float64)
    scores["transitions"] = torch.where(torch.eye(states, dtype=torch.bool), chain.IMPOSSIBLE, scores["transitions"])
    scores["start"][..., 0] = chain.IMPOSSIBLE
    return scores


def by_sequence(scores: dict[str, Any]):
    """Unpadded plain lists of each sequence: row, length, emissions, transitions, start, end."""
    for row, length in enumerate(scores["mask"].sum(dim=1).tolist()):
        matrix, start, end = (
            scores[name][row] if scores[name].dim() > shared else scores[name]
            for name, shared in (("transitions", 2), ("start", 1), ("end", 1))
        )
        yield row, length, scores["emissions"][row, :length].tolist(), matrix.tolist(), start.tolist(), end.tolist()


def possible_labels(scores: dict[str, Any], seed: int, missing: float) -> Tensor:
    """Labels that hold nothing forbidden, some of them missing."""
    generator = torch.Generator().manual_seed(seed)
    count = scores["emissions"].shape[2]
    labels = torch.zeros(scores["mask"].shape, dtype=torch.int64)
    labels[:, 0] = torch.randint(1, count, labels.shape[:1], generator=generator)
    for step in range(1, labels.shape[1]):
        moves = torch.randint(1, count, labels.shape[:1], generator=generator)
        labels[:, step] = (labels[:, step - 1] + moves) % count
    return torch.where(torch.rand(labels.shape, generator=generator) < missing, -1, labels)


@given(**CASES, missing=st.sampled_from([0.0, 0.4, 1.0]))
@settings(max_examples=25, deadline=None)
def test_structural_zeros_are_those_of_enumeration(lengths, states, seed, own, missing):
    scores = draw_with_zeros(lengths, states, seed, own=own)
    labels = possible_labels(scores, seed, missing)
    normaliser, loglik = chain.log_partition(**scores), chain.log_likelihood(states=labels, **scores)
    unary, pairwise = chain.marginals(**scores)
    expected = chain.expected_transitions(**scores)
    close(expected, pairwise.sum(dim=1))
    assert not torch.diagonal(expected, dim1=1, dim2=2).any()
    assert not unary[:, 0, 0].any()
    for row, length, *given_scores in by_sequence(scores):
        emissions, matrix, start, end = given_scores
        close(normaliser[row], oracle.log_partition(emissions, matrix, start, end))
        wanted = oracle.log_likelihood(emissions, labels[row, :length].tolist(), matrix, start, end)
        close(loglik[row], wanted, 1e-9)
        close(unary[row, :length], oracle.unary_marginals(emissions, matrix, start, end))
        if length > 1:
            close(pairwise[row, : length - 1], oracle.pairwise_marginals(emissions, matrix, start, end))


@pytest.mark.parametrize("states", [7, 8, 11])
@pytest.mark.parametrize("own", [False, True])
def test_expected_transitions_and_slopes_of_many_states(states, own):
    """From eight states on, pairs are summed by products of matrices; pairwise marginals are the slower way to them."""
    scores = draw([9, 4, 1], states, 5, own=own, ends=True)
    wanted = chain.marginals(**scores)[1].sum(dim=1)
    close(chain.expected_transitions(**scores), wanted)
    transitions = scores["transitions"].clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(chain.log_partition(**{**scores, "transitions": transitions}).sum(), transitions)
    close(slope, wanted if own else wanted.sum(dim=0))


@given(**CASES, zeros=st.booleans(), count=st.sampled_from([1, 3, 300]))
@settings(max_examples=30, deadline=None)
def test_best_paths_are_the_first_of_all_paths(lengths, states, seed, own, zeros, count):
    scores = (
        draw_with_zeros(lengths, states, seed, own=own) if zeros else draw(lengths, states, seed, own=own, ends=True)
    )
    paths, values = chain.n_best(**scores, count=count)
    first, top = chain.viterbi(**scores)
    assert torch.equal(paths[:, 0], first)
    close(values[:, 0], top)
    for row, length, *given_scores in by_sequence(scores):
        emissions, matrix, start, end = given_scores
        ranked = [
            (oracle.path_score(emissions, matrix, path, start, end), list(path)) for path in oracle.all_paths(emissions)
        ]
        ranked = sorted((entry for entry in ranked if entry[0] > chain.LIMIT), reverse=True)[:count]
        close(values[row, : len(ranked)], [value for value, _ in ranked])
        assert paths[row, : len(ranked), :length].tolist() == [path for _, path in ranked]
        assert (paths[row, :, length:] == -1).all()
        assert (paths[row, len(ranked) :] == -1).all()
        assert torch.isneginf(values[row, len(ranked) :]).all()


def test_probabilities_of_all_paths_sum_to_one():
    scores = draw_with_zeros([4], 3, 2, own=False)
    _, values = chain.n_best(**scores, count=81)
    close(torch.exp(values - chain.log_partition(**scores)[:, None]).sum(dim=1), [1.0])


def test_equal_paths_come_in_the_order_of_their_last_states():
    paths, _ = chain.n_best(torch.zeros((1, 3, 2)), torch.zeros((2, 2)), count=8)
    assert paths[0].tolist() == [list(path[::-1]) for path in itertools.product(range(2), repeat=3)]


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_derivatives_with_structural_zeros(own, missing):
    scores = draw_with_zeros([3, 2], 3, 21, own=own, scale=1.0)
    scores["emissions"] = torch.where(scores["mask"][..., None], scores["emissions"], 0.0)
    labels = possible_labels(scores, 21, missing)
    forbidden = {name: scores[name] <= chain.LIMIT for name in ("transitions", "start")}
    # finite differences need ordinary numbers: zeros are put in inside the function
    leaves = [torch.where(scores[name] <= chain.LIMIT, 0.0, scores[name]).requires_grad_(True) for name in NAMES]

    def likelihood(emissions, transitions, start, end):
        transitions = torch.where(forbidden["transitions"], chain.IMPOSSIBLE, transitions)
        start = torch.where(forbidden["start"], chain.IMPOSSIBLE, start)
        return chain.log_likelihood(emissions, labels, transitions, scores["mask"], start, end)

    assert torch.autograd.gradcheck(likelihood, leaves, check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(likelihood, leaves, fast_mode=True)


@pytest.mark.parametrize("own", [False, True])
def test_transforms_of_torch_func_agree_with_loops(own):
    scores = draw([4, 2], 3, 22, own=own, ends=True, scale=1.0)
    labels = draw_labels(scores["mask"], 3, 22)

    def total(transitions):
        return chain.log_likelihood(**{**scores, "transitions": transitions}, states=labels).sum()

    many = torch.stack([scores["transitions"], scores["transitions"] + 0.5, -scores["transitions"]])
    values = torch.func.vmap(torch.func.grad(total))(many)
    curvature = torch.func.hessian(total)(scores["transitions"])
    for place, matrix in enumerate(many):
        leaf = matrix.clone().requires_grad_(True)
        close(values[place], torch.autograd.grad(total(leaf), leaf)[0])
    close(curvature, torch.autograd.functional.hessian(total, scores["transitions"]))


@pytest.mark.parametrize(("span", "dtype"), [(1.0, 32), (8.0, 32), (1.0, 64), (60.0, 64), (1e3, 64)])
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_both_recursions_give_the_same(span, dtype, zeros, own):
    lengths = [30, 12, 30, 1]
    drawer = draw_with_zeros if zeros else draw
    scores = drawer(lengths, 4, 23, own=own, scale=span)
    kind = torch.float32 if dtype == 32 else torch.float64
    narrow = {name: scores[name].to(kind) for name in NAMES if scores[name] is not None}
    wide = {name: value.double() for name, value in narrow.items()}
    exact = LogMessages(lay_out(wide["emissions"], wide["transitions"], scores["mask"], *_ends(wide)))
    found = run_messages(narrow["emissions"], narrow["transitions"], scores["mask"], *_ends(narrow))
    tolerance = 1e-10 if dtype == 64 else 1e-5
    torch.testing.assert_close(found.log_partition.double(), exact.log_partition, rtol=tolerance, atol=tolerance)
    for name in ("unary", "pairs", "pair_sums"):
        torch.testing.assert_close(
            getattr(found, name)().double(), getattr(exact, name)(), rtol=tolerance, atol=30 * tolerance
        )


def _ends(scores: dict[str, Tensor]) -> tuple[Tensor | None, Tensor | None]:
    return scores.get("start"), scores.get("end")


def test_ordinary_scores_take_the_fast_recursion():
    scores = draw([50, 40], 4, 24)
    found = run_messages(scores["emissions"], scores["transitions"], scores["mask"])
    assert isinstance(found, ScaledMessages)
    far = run_messages(scores["emissions"], 1e3 * scores["transitions"], scores["mask"])
    assert isinstance(far, LogMessages)


def test_forbidden_moves_that_force_an_unlikely_path():
    # one state must hold throughout, and neither is likely throughout: in float32 each is lost on the way of the other
    emissions = torch.zeros((1, 40, 2))
    emissions[0, :20, 0], emissions[0, 20:, 1] = 60.0, 60.5
    matrix = torch.where(torch.eye(2, dtype=torch.bool), 0.0, chain.IMPOSSIBLE)
    unary, _ = chain.marginals(emissions, matrix)
    share = 1 / (1 + math.exp(-10.0))
    torch.testing.assert_close(unary[0], torch.tensor([1 - share, share]).expand(40, 2), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("time", "states"), [(500, 4), (100, 16)])
@pytest.mark.parametrize("own", [False, True])
def test_single_precision_gradient(time, states, own):
    lengths = [time, time // 2, time - 7] * 4
    scores = draw(lengths, states, 25, own=own, scale=1.0)
    labels = draw_labels(scores["mask"], states, 25)
    slopes = []
    for dtype in (torch.float32, torch.float64):
        emissions = scores["emissions"].float().to(dtype).requires_grad_(True)
        matrix = scores["transitions"].float().to(dtype)
        chain.log_likelihood(emissions, labels, matrix, scores["mask"]).sum().backward()
        slopes.append(emissions.grad)
    assert slopes[0] is not None
    assert (slopes[0].double() - slopes[1]).abs().max() < 1e-5


@pytest.mark.parametrize("size", [(64, 50, 4), (8, 100, 16)])
def test_long_ragged_batches_agree_with_pytorch_crf(size):
    batch, time, states = size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchcrf import CRF

        scores = draw([time - place % (time // 2) for place in range(batch)], states, 26, ends=True, scale=1.0)
        labels = torch.where(scores["mask"], draw_labels(scores["mask"], states, 26), 0)
        peer = CRF(states, batch_first=True).double()
        parameters = [peer.transitions, peer.start_transitions, peer.end_transitions]
        with torch.no_grad():
            for mine, theirs in zip(("transitions", "start", "end"), parameters, strict=True):
                theirs.copy_(scores[mine])
        scores["emissions"] = torch.where(scores["mask"][..., None], scores["emissions"], 0.0)
        leaves = {name: scores[name].clone().requires_grad_(True) for name in NAMES}
        theirs = peer(leaves["emissions"], labels, mask=scores["mask"], reduction="none")
        wanted = torch.autograd.grad(theirs.sum(), [leaves["emissions"], *parameters])
    mine = chain.log_likelihood(states=labels, mask=scores["mask"], **leaves)
    close(mine.detach(), theirs.detach())
    for found, expected in zip(torch.autograd.grad(mine.sum(), list(leaves.values())), wanted, strict=True):
        close(found, expected)


@pytest.mark.parametrize("name", ["log_partition", "marginals", "viterbi", "n_best"])
def test_a_sequence_without_a_possible_path_is_an_error(name):
    emissions = torch.zeros((3, 3, 2))
    matrix = torch.zeros((3, 2, 2))
    matrix[1] = chain.IMPOSSIBLE
    more = {"count": 2} if name == "n_best" else {}
    with pytest.raises(DataError, match="no path is possible in sequence 2") as caught:
        getattr(chain, name)(emissions, matrix, **more)
    assert caught.value.code == "E136"


@pytest.mark.parametrize("labels", [[0, 1, 1], [0, 1, -1]])
def test_labels_that_hold_a_forbidden_transition(labels):
    emissions = torch.zeros((1, 3, 2), dtype=torch.float64)
    matrix = torch.where(torch.eye(2, dtype=torch.bool), chain.IMPOSSIBLE, 0.0).double()
    if -1 in labels:  # the missing label can only be the other state
        close(chain.log_likelihood(emissions, torch.tensor([labels]), matrix), [-math.log(2)])
        return
    with pytest.raises(DataError, match="forbidden transition") as caught:
        chain.log_likelihood(emissions, torch.tensor([labels]), matrix)
    assert caught.value.code == "E136"


@pytest.mark.parametrize("count", [0, -3])
def test_less_than_one_best_path_is_an_error(count):
    with pytest.raises(DataError) as caught:
        chain.n_best(torch.zeros((1, 2, 2)), torch.zeros((2, 2)), count=count)
    assert caught.value.code == "E130"
