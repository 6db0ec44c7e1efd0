"""A progress bar for training in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from toolkit.optimise.minimise import Progress as Report


@contextmanager
def epoch_bar(title: str) -> Iterator[Report]:
    """A bar on standard error that shows epochs and the monitored loss; gone when training ends."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("epoch {task.completed}, loss {task.fields[loss]:.4f}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, loss=float("nan"))

        def report(epoch: int, epochs: int, loss: float) -> None:
            bar.update(task, total=epochs, completed=epoch, loss=loss)

        yield report
