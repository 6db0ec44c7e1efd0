"""Rows in pieces of some persons each: sums, curvatures and Newton steps are those of all rows at once."""

from __future__ import annotations

import pytest
import torch

from tests.effects.test_minibatches import prepared
from toolkit.effects.posterior import newton_step
from toolkit.models import pieces


@pytest.mark.parametrize(
    ("task", "effects", "hidden"), [("regression", "last", (4,)), ("multiclass", "all", (3,)), ("sequence", "all", ())]
)
def test_pieces_add_up(task, effects, hidden, monkeypatch):
    monkeypatch.setattr(pieces, "LEAST", 12)
    monkeypatch.setattr(pieces, "MOST", 12)
    state, sweep, padded = prepared(task, effects, hidden, "rows", 7)
    parts = pieces.Pieces(module=padded.module, data=sweep.rows, loss=sweep.rows.loss, size=state.layout.size)
    assert len(list(parts.pieces())) > 2
    assert sorted(parts.persons.tolist()) == sorted(padded.persons.tolist())
    assert parts.rows == padded.rows == sum(piece.rows for piece in parts.pieces())
    ours, theirs = (newton_step(rows, state.shared, state.effects, 0.7) for rows in (parts, padded))
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(ours[1].curvature, theirs[1].curvature, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(ours[1].covariance, theirs[1].covariance, rtol=1e-9, atol=1e-12)
