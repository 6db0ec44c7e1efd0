"""Where the parts of a network stand: states on a circle, bent arrows between them, loops outside."""

from __future__ import annotations

import math

import numpy as np

POINTS = 40
# how far arrows keep away from the marks of states, in radii of the circle
AWAY = 0.13
BEND = 0.16
LOOP = 0.2


def nodes(states: list[str]) -> dict[str, np.ndarray]:
    """Places on the unit circle, the first state at the upper left, clockwise."""
    start = 0.75 * math.pi if len(states) > 2 else math.pi
    angles = [start - 2 * math.pi * index / len(states) for index in range(len(states))]
    return {state: np.array([math.cos(a), math.sin(a)]) for state, a in zip(states, angles, strict=True)}


def arrow(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points of a bent arrow, its tip, and where its number stands (nearer to the start, away from the return)."""
    along = end - start
    across = np.array([along[1], -along[0]])
    control = (start + end) / 2 - BEND * across
    t = np.linspace(0, 1, POINTS)[:, None]
    path = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
    far = (np.linalg.norm(path - start, axis=1) > AWAY) & (np.linalg.norm(path - end, axis=1) > AWAY)
    path = path[far] if far.sum() > 8 else path
    return path, path[-1], path[int(0.36 * len(path))]


def loop(at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points of a loop outside the circle, its tip, and where its number stands."""
    outwards = at / np.linalg.norm(at)
    centre = at + (LOOP + 0.04) * outwards
    inwards = math.atan2(-outwards[1], -outwards[0])
    angles = np.linspace(inwards + 0.75, inwards + 2 * math.pi - 0.75, POINTS)
    path = centre + LOOP * np.column_stack([np.cos(angles), np.sin(angles)])
    return path, path[-1], centre + LOOP * outwards


def name_place(x: float, y: float) -> tuple[np.ndarray, bool]:
    """Where a state's name stands, outside its loop, and whether that is above it."""
    at, above = np.array([x, y]), bool(y > -0.01)
    centre = at + (LOOP + 0.04) * at / np.linalg.norm(at)
    return centre + np.array([0.0, (LOOP + 0.05) * (1 if above else -1)]), above
