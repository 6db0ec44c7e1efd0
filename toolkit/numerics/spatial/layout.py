"""Order, inducing places and earlier neighbours of places: what approximations of large fields stand on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from toolkit.numerics.spatial.trees import KDTree, nearest

# places up to which all are ordered by farthest distance, which takes as many steps as there are places
SPREAD = 12_000
# how many candidates are looked at for each neighbour wanted, about half of which come earlier
CANDIDATES = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """Places in the order of their conditioning.

    Attributes:
        order: positions of the caller's places in this order.
        places: in this order; the first ``inducing`` are spread out.
        inducing: how many places carry the smooth part.
        neighbours: nearest earlier places of each, itself where there are fewer, shape (places, neighbours).
        present: which of them are there.
    """

    order: Int[np.ndarray, " places"]
    places: Float[np.ndarray, "places axes"]
    inducing: int
    neighbours: Int[np.ndarray, "places neighbours"]
    present: np.ndarray


def lay_out(
    places: Float[np.ndarray, "places axes"], *, inducing: int, neighbours: int, rng: np.random.Generator
) -> Layout:
    """Order places by farthest distance (Guinness, 2018), of very many the later ones at random; find neighbours."""
    first = farthest_places(places, len(places) if len(places) <= SPREAD else max(inducing, SPREAD // 4))
    others = np.setdiff1d(np.arange(len(places)), first)
    return layout_in(places, np.concatenate([first, rng.permutation(others)]), inducing=inducing, neighbours=neighbours)


def layout_in(
    places: Float[np.ndarray, "places axes"], order: Int[np.ndarray, " places"], *, inducing: int, neighbours: int
) -> Layout:
    """The layout of places in a given order, the first ones inducing."""
    ordered = places[order]
    found = earlier_neighbours(ordered, min(neighbours, len(places) - 1))
    own = np.arange(len(places))[:, None]
    return Layout(
        order=order, places=ordered, inducing=min(inducing, len(places)),
        neighbours=np.where(found < 0, own, found), present=found >= 0,
    )  # fmt: skip


def farthest_places(places: Float[np.ndarray, "places axes"], count: int) -> Int[np.ndarray, " chosen"]:
    """Places each as far as possible from those chosen before it; the first is nearest to the centre.

    Fewer than ``count`` where places coincide.
    """
    if not count:
        return np.zeros(0, dtype=np.int64)
    chosen = [int(((places - places.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    nearest = ((places - places[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < count:
        chosen.append(int(nearest.argmax()))
        np.minimum(nearest, ((places - places[chosen[-1]]) ** 2).sum(axis=1), out=nearest)
    return np.array(chosen, dtype=np.int64)


def earlier_neighbours(places: Float[np.ndarray, "places axes"], count: int) -> Int[np.ndarray, "places count"]:
    """Nearest places that come earlier in the order, nearest first; -1 where there are none.

    Trees over the first 2, 4, 8, ... places are asked for more neighbours than are wanted, of which at least about half
    come earlier; the first places are compared with all.
    """
    found = np.full((len(places), count), -1)
    begin, end = 0, min(max(2 * CANDIDATES * count, 2), len(places))
    while begin < len(places):
        wanted = min(end, CANDIDATES * count + 1) if begin else end
        near = nearest(KDTree(places[:end]), places[begin:end], wanted)
        earlier = near < np.arange(begin, end)[:, None]
        # a stable sort by lateness keeps the order by distance
        chosen = np.argsort(~earlier, axis=1, kind="stable")[:, :count]
        picked = np.take_along_axis(near, chosen, axis=1)
        found[begin:end, : picked.shape[1]] = np.where(np.take_along_axis(earlier, chosen, axis=1), picked, -1)
        begin, end = end, min(2 * end, len(places))
    return found
