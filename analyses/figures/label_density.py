"""Where the ratings of two parts of the persons lie in the plane of two targets (PEN, figure 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.figures.labels import listed, number, print_text, screen_text
from analyses.figures.long_labels import distinct, shortened
from analyses.figures.palette import INK
from analyses.figures.print_style import calm, print_canvas, print_settings
from analyses.figures.screen_style import axis, screen_figure
from analyses.figures.series_styles import line_dash, series_styles
from toolkit.errors import DataError

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

NEEDED = ("person", "part", "x", "y")
GRID_POINTS = 60
REGIONS = (0.5, 0.9)
WIDTHS = {0.5: 1.6, 0.9: 0.8}
FEWEST = 3
NEARLY_ALL = 0.995


def tidy(
    ratings: pd.DataFrame, *, x_name: str = "first target", y_name: str = "second target", grid: int = GRID_POINTS
) -> pd.DataFrame:
    """Density of every part on a common grid, estimated with a Gaussian kernel; every person has the same weight.

    Args:
        ratings: person, part (source or target persons), x, y: one row per rating. Rows with a gap are left out.
        x_name: name of the first target.
        y_name: name of the second.
        grid: points per axis.

    Returns:
        kind ``joint`` (x, y, density, mass: share of the part's ratings in the smallest region that holds the point),
        ``x`` and ``y`` (margins: x or y, density); part, x_name, y_name; ratings and persons, x_mean and y_mean of the
        part. Parts with fewer than three different ratings are left out.

    Raises:
        DataError: E103 when a column is missing.
    """
    absent = [name for name in NEEDED if name not in ratings.columns]
    if absent:
        raise DataError(f"the table has no column {', '.join(absent)}", code="E103", column=absent[0])
    known = ratings[list(NEEDED)].dropna().astype({"x": float, "y": float, "part": str})
    axes = [_axis(known[name].to_numpy(), grid) for name in ("x", "y")] if len(known) else [np.zeros(0)] * 2
    blocks = [
        _part(part, axes[0], axes[1]).assign(
            part=str(name), ratings=len(part), persons=part["person"].nunique(), x_mean=_mean(part, "x"),
            y_mean=_mean(part, "y"),
        )
        for name, part in known.groupby("part", sort=False)
        if len(part[["x", "y"]].drop_duplicates()) >= FEWEST
    ]  # fmt: skip
    columns = ["kind", "x", "y", "density", "mass", "part", "ratings", "persons", "x_mean", "y_mean"]
    frame = pd.concat(blocks, ignore_index=True) if blocks else pd.DataFrame(columns=columns)
    return frame.assign(x_name=x_name, y_name=y_name)


def _mean(part: pd.DataFrame, column: str) -> float:
    return float(part.groupby("person", sort=False)[column].mean().mean())


def _axis(values: np.ndarray, grid: int) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    room = 0.12 * (high - low) or 0.5
    return np.linspace(low - room, high + room, grid)


def _part(part: pd.DataFrame, xs: np.ndarray, ys: np.ndarray) -> pd.DataFrame:
    """A product kernel with the rule of Scott for each axis: the sums over ratings become one matrix product."""
    counts = part.groupby("person", sort=False)["x"].transform("size").to_numpy(dtype=float)
    weight = 1 / counts
    weight /= weight.sum()
    effective = 1 / float(np.sum(weight**2))
    across, upward = (
        _kernel(part[name].to_numpy(), weight, effective, points) for name, points in (("x", xs), ("y", ys))
    )
    joint = (across * weight) @ upward.T
    mass = _mass(joint)
    x, y = (m.ravel() for m in np.meshgrid(xs, ys, indexing="ij"))
    return pd.concat(
        [
            pd.DataFrame({"kind": "joint", "x": x, "y": y, "density": joint.ravel(), "mass": mass.ravel()}),
            pd.DataFrame({"kind": "x", "x": xs, "y": np.nan, "density": across @ weight, "mass": np.nan}),
            pd.DataFrame({"kind": "y", "x": np.nan, "y": ys, "density": upward @ weight, "mass": np.nan}),
        ],
        ignore_index=True,
    )


def _kernel(values: np.ndarray, weight: np.ndarray, effective: float, points: np.ndarray) -> np.ndarray:
    """Kernel of every rating at every point of one axis, (points, ratings)."""
    spread = float(np.sqrt(np.sum(weight * (values - np.sum(weight * values)) ** 2)))
    step = float(points[1] - points[0])
    width = max(spread * effective ** (-1 / 6), step)
    return np.exp(-0.5 * ((points[:, None] - values[None]) / width) ** 2) / (width * np.sqrt(2 * np.pi))


def _mass(density: np.ndarray) -> np.ndarray:
    """Share of the total in all points at least as dense: 0 at the peak, 1 far out."""
    order = np.argsort(-density, axis=None, kind="stable")
    total = np.cumsum(density.ravel()[order])
    mass = np.empty(density.size)
    mass[order] = total / total[-1] if total[-1] > 0 else 1.0
    return mass.reshape(density.shape)


def grids(frame: pd.DataFrame, part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points of both axes and the mass (y, x) of one part."""
    mine = frame[(frame["kind"] == "joint") & (frame["part"] == part)]
    wide = mine.pivot(index="y", columns="x", values="mass")
    return wide.columns.to_numpy(dtype=float), wide.index.to_numpy(dtype=float), wide.to_numpy(dtype=float)


def limits(frame: pd.DataFrame) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ends of both axes: all but half a per cent of the ratings of every part."""
    inside = frame[(frame["kind"] == "joint") & (frame["mass"] < NEARLY_ALL)]
    if inside.empty:
        return (0.0, 1.0), (0.0, 1.0)
    ends = [(float(inside[name].min()), float(inside[name].max())) for name in ("x", "y")]
    return ends[0], ends[1]


def _legend(frame: pd.DataFrame) -> dict[str, str]:
    parts = frame.drop_duplicates("part")
    short = distinct([str(name) for name in parts["part"]], 40)
    counts = zip(parts["part"], short, parts["persons"], strict=True)
    return {str(part): f"{name} ({persons} persons)" for part, name, persons in counts}


def screen(frame: pd.DataFrame, *, height: int = 520) -> go.Figure:
    """Outlines of the regions that hold 50 and 90 % of the ratings, the distribution of each target at the edges."""
    import plotly.graph_objects as go

    figure = screen_figure(height, hovermode="closest")
    styles, legend = series_styles(frame["part"]), _legend(frame)
    for part, style in styles.items():
        xs, ys, mass = grids(frame, part)
        for region in REGIONS:
            line = {"color": style.edge, "width": 3 if region == REGIONS[0] else 1.5, "dash": style.dash}
            figure.add_trace(
                go.Contour(
                    x=xs, y=ys, z=mass, contours={"start": region, "end": region, "size": 1, "coloring": "none"},
                    line=line, name=screen_text(legend[part]), legendgroup=part, showlegend=region == REGIONS[0],
                    showscale=False, hoverinfo="skip",
                )
            )  # fmt: skip
        edges = (("x", "x", "y2"), ("y", "x2", "y"))
        for kind, x_axis, y_axis in edges:
            mine = frame[(frame["kind"] == kind) & (frame["part"] == part)]
            pair = (mine["x"], mine["density"]) if kind == "x" else (mine["density"], mine["y"])
            line = {"color": style.edge, "width": 2, "dash": style.dash}
            place = {"xaxis": x_axis, "yaxis": y_axis, "hoverinfo": "skip", "showlegend": False, "legendgroup": part}
            figure.add_trace(go.Scatter(x=pair[0], y=pair[1], mode="lines", line=line, **place))
    names = (str(frame[column].iloc[0]) if len(frame) else "" for column in ("x_name", "y_name"))
    x_name, y_name = (screen_text(shortened(name, 60)) for name in names)
    x_ends, y_ends = limits(frame)
    blank = {"showticklabels": False, "showgrid": False, "zeroline": False, "fixedrange": True, "ticks": ""}
    figure.update_layout(
        xaxis=axis(x_name, domain=[0, 0.84], zeroline=False, range=list(x_ends)),
        yaxis=axis(y_name, domain=[0, 0.82], zeroline=False, range=list(y_ends)),
        xaxis2=blank | {"domain": [0.86, 1.0]}, yaxis2=blank | {"domain": [0.84, 1.0]}, legend={"y": 1.02},
    )  # fmt: skip
    return figure


@print_settings()
def print_figure(frame: pd.DataFrame, *, width_mm: float = 89.0) -> Figure:
    """The same for print."""
    from matplotlib.lines import Line2D

    side = min(width_mm, 120.0)
    figure = print_canvas(width_mm, 0.95 * side + 10)
    grid: Any = figure.subplots(2, 2, width_ratios=[5, 1], height_ratios=[1, 5], sharex="col", sharey="row")
    middle, top, right = grid[1, 0], grid[0, 0], grid[1, 1]
    legend = _legend(frame)
    handles = []
    for part, style in series_styles(frame["part"]).items():
        xs, ys, mass = grids(frame, part)
        look = {"colors": style.edge, "linestyles": [line_dash(style)]}
        middle.contour(xs, ys, mass, levels=list(REGIONS), linewidths=list(WIDTHS.values()), **look)
        line = {"color": style.edge, "linestyle": line_dash(style), "linewidth": 1.0}
        for kind, axes in (("x", top), ("y", right)):
            mine = frame[(frame["kind"] == kind) & (frame["part"] == part)]
            pair = (mine["x"], mine["density"]) if kind == "x" else (mine["density"], mine["y"])
            handle = axes.plot(*pair, label=print_text(legend[part]), **line)
            handles += handle if kind == "x" else []
        middle.plot(
            frame.loc[frame["part"] == part, "x_mean"].iloc[0], frame.loc[frame["part"] == part, "y_mean"].iloc[0],
            marker=style.marker, color=style.fill, markeredgecolor=INK, markeredgewidth=0.5, markersize=5,
        )  # fmt: skip
    for axes in (top, right, grid[0, 1]):
        axes.set_axis_off()
    names = (str(frame[column].iloc[0]) if len(frame) else "" for column in ("x_name", "y_name"))
    x_name, y_name = (print_text(shortened(name, int(side / 1.8))) for name in names)
    ends = limits(frame)
    middle.set(xlabel=x_name, ylabel=y_name, xlim=ends[0], ylim=ends[1])
    calm(middle, grid="both")
    if handles:
        handles += [Line2D([], [], color=INK, linewidth=w, label=f"holds {100 * r:g} %") for r, w in WIDTHS.items()]
        across = 2 if sum(len(legend[part]) for part in legend) * 1.5 + 24 < width_mm else 1
        figure.legend(handles=handles, loc="outside upper left", ncols=across, frameon=False)
    return figure


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with the middle of each part."""
    if frame.empty:
        return "Too few ratings to draw a distribution."
    x_name, y_name = (shortened(frame[column].iloc[0], 40) for column in ("x_name", "y_name"))
    parts = [
        f"{shortened(row['part'], 60)} ({int(row['persons'])} persons, {int(row['ratings']):,} ratings) lie around "
        f"{x_name} {number(float(row['x_mean']))} and {y_name} {number(float(row['y_mean']))}"
        for _, row in frame.drop_duplicates("part").iterrows()
    ]
    return (
        f"Joint distribution of {x_name} and {y_name}: outlines of the regions that hold 50 and 90 percent of the "
        f"ratings. {listed(parts[:6])}."
    )
