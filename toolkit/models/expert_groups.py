"""Which rows belong to which expert: one for each person, several, or one for a group of persons alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExpertGroups:
    """Experts and the persons they stand for.

    Attributes:
        names: one per expert.
        of_person: code of each person's group (persons,); -1 for a person without one. Group g has the experts
            ``g * per_group`` to ``(g + 1) * per_group - 1``.
        per_group: experts of each group.
        members: persons behind each expert; empty where nobody is.
    """

    names: tuple[str, ...]
    of_person: np.ndarray
    per_group: int
    members: tuple[tuple[str, ...], ...]

    @property
    def count(self) -> int:
        """Number of experts."""
        return len(self.names)


def anonymous(count: int, persons: int) -> ExpertGroups:
    """Experts that are nobody's."""
    return ExpertGroups(
        names=tuple(f"expert {number + 1}" for number in range(count)),
        of_person=np.full(persons, -1, dtype=np.int64),
        per_group=1,
        members=((),) * count,
    )


def one_group_each(labels: tuple[str, ...], trained: np.ndarray, per_group: int) -> ExpertGroups:
    """Experts for every person with training rows (``trained``: one truth value per person)."""
    of_person = np.where(trained, np.cumsum(trained) - 1, -1)
    names, members = [], []
    for label in (label for label, here in zip(labels, trained, strict=True) if here):
        for copy in range(per_group):
            names.append(label if per_group == 1 else f"{label} ({copy + 1})")
            members.append((label,))
    return ExpertGroups(names=tuple(names), of_person=of_person, per_group=per_group, members=tuple(members))


def persons_alike(
    z: Tensor, residual: Tensor, persons: np.ndarray, labels: tuple[str, ...], groups: int, per_group: int
) -> ExpertGroups:
    """Groups of persons whose own heads deviate from the shared one in the same direction (Ward's method).

    Args:
        z: extracted features of the training rows (rows, z).
        residual: what the shared head leaves (rows, outputs).
        persons: person code of each row.
        labels: persons' labels.
        groups: how many groups; one nobody is in stays an expert of nobody's.
        per_group: experts of each group.
    """
    present = np.unique(persons)
    codes = fcluster(linkage(_own_heads(z, residual, persons, present), "ward"), groups, "maxclust") - 1
    of_person = np.full(len(labels), -1, dtype=np.int64)
    of_person[present] = codes
    names, members = [], []
    for group in range(groups):
        inside = tuple(labels[person] for person in present[codes == group])
        for copy in range(per_group):
            names.append(f"group {group + 1}" + (f" ({copy + 1})" if per_group > 1 else ""))
            members.append(inside)
    return ExpertGroups(names=tuple(names), of_person=of_person, per_group=per_group, members=tuple(members))


def _own_heads(z: Tensor, residual: Tensor, persons: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Ridge regression of each person's residuals on their features, as one line per person.

    The penalty is the mean square of a feature: a person with few rows stays near the shared head.
    """
    design = torch.cat([z, torch.ones_like(z[:, :1])], dim=1).double()
    penalty = float(design.square().mean()) * torch.eye(design.shape[1], dtype=torch.float64, device=z.device)
    lines = []
    for person in present:
        rows = torch.as_tensor(np.flatnonzero(persons == person), device=z.device)
        own, left = design[rows], residual[rows].double()
        lines.append(torch.linalg.solve(own.T @ own / len(own) + penalty, own.T @ left / len(own)).ravel())
    return torch.stack(lines).cpu().numpy()
