"""``nme demo``: the bundled study from the data file to the report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import toolkit
from toolkit.cli.answers import Answer
from toolkit.cli.demo_analyses import VARIANTS, Effort, analyse
from toolkit.data.demo import demo_study
from toolkit.errors import Interrupted, RunFolderError
from toolkit.models import GenericCrf, GenericMlp, NmeCrf, NmeMlp
from toolkit.models.config import Config
from toolkit.runs.atomic import write_atomically
from toolkit.runs.fitting import fit
from toolkit.runs.folder import SavedRun, load_run

MARKER = "demo.json"
QUICK_EPOCHS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One fit of the demonstration."""

    name: str
    variant: str
    config: Config
    target: str


def plans(*, quick: bool) -> list[Plan]:
    """The fits: both chains on both variants of the states, both perceptrons on mood.

    Chains forecast: the predictors are lagged, and those of a later prompt hold the answer to this one.
    """
    few: dict[str, Any] = {"epochs": QUICK_EPOCHS} if quick else {}
    chains = {"generic-crf": GenericCrf(prediction="forecast", **few), "nme-crf": NmeCrf(prediction="forecast", **few)}
    fits = [
        Plan(name=f"{name}-{variant}", variant=variant, config=config, target="state")
        for variant in VARIANTS
        for name, config in chains.items()
    ]
    perceptrons = {"generic-mlp": GenericMlp(**few), "nme-mlp": NmeMlp(**few)}
    return fits + [Plan(name=name, variant=VARIANTS[0], config=c, target="happy") for name, c in perceptrons.items()]


def run_demo(out: Path, *, seed: int, quick: bool, again: bool, quiet: bool) -> Answer:
    """Fit, analyse, report; a finished demonstration is opened as it is.

    Args:
        out: folder of the demonstration: ``runs/``, ``report.html``, ``demo.json``.
        seed: seed of every random number.
        quick: few epochs, permutations and resamples.
        again: start anew.
        quiet: no progress bar, no table.
    """
    report = out / "report.html"
    settings = {"toolkit": toolkit.__version__, "seed": seed, "quick": quick}
    if not again and _finished(out, settings):
        return Answer(
            text=f"The demonstration is finished already (start anew with --again).\nReport: {report}",
            data={"report": str(report), "runs": str(out / "runs"), "fitted": False},
        )
    _claim(out)
    started = time.monotonic()
    console = Console(stderr=True, quiet=quiet)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        todo = plans(quick=quick)
        task = bar.add_task("Start", total=len(todo) + 1 + len(VARIANTS))

        def step(text: str) -> None:
            bar.update(task, description=text, advance=1)

        runs = {plan.name: _fitted(plan, out / "runs" / plan.name, seed, step) for plan in todo}
        results = analyse(runs, seed=seed, effort=Effort.quick() if quick else Effort(), step=step)
        bar.update(task, description="Writing the report")
        _report(runs, results, report)
        bar.update(task, description="Done", advance=1)
    write_atomically(out / MARKER, json.dumps({**settings, "finished": True}).encode())
    seconds = time.monotonic() - started
    if not quiet:
        _summary(results, Console())
    return Answer(
        text=f"Finished in {seconds:.0f} s.\nReport: {report}\nRuns: {out / 'runs'}",
        data={"report": str(report), "runs": str(out / "runs"), "fitted": True, "seconds": seconds},
    )


def _claim(out: Path) -> None:
    """Mark the folder as the demonstration's, whose runs may be replaced.

    Raises:
        RunFolderError: E306 if runs of somebody else are in it, E305 if it cannot be written.
    """
    names = {plan.name for plan in plans(quick=False)}
    taken = any((out / "runs" / name).exists() for name in names) or (out / "report.html").exists()
    if taken and not (out / MARKER).is_file():
        raise RunFolderError(
            "the folder holds runs or a report that are not the demonstration's",
            code="E306",
            column="out",
            remedy="choose another folder (--out)",
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / MARKER, json.dumps({"finished": False}).encode())
    except OSError:
        raise RunFolderError(
            "the folder of the demonstration cannot be written",
            code="E305",
            column="out",
            remedy="choose another (--out)",
        ) from None


def _finished(out: Path, settings: dict) -> bool:
    """Whether this very demonstration lies there complete and unchanged."""
    try:
        saved = json.loads((out / MARKER).read_text(encoding="utf-8"))
        intact = all(load_run(out / "runs" / plan.name).verify() for plan in plans(quick=settings["quick"]))
    except (OSError, ValueError, RunFolderError):
        return False
    return saved == {**settings, "finished": True} and intact and (out / "report.html").is_file()


def _fitted(plan: Plan, folder: Path, seed: int, step: Callable[[str], None]) -> SavedRun:
    """Fit one model and open its run folder."""
    study = demo_study(plan.variant)
    data = study.sequences() if plan.target == "state" else study.grouped(target=plan.target)
    try:
        fit(plan.config, data, seed=seed, device="cpu", out=folder, overwrite=True, study=study, progress=None)
    except Interrupted as stop:
        raise Interrupted(
            "the demonstration was interrupted",
            signal_number=stop.exit_code - 128,
            remedy="the same command starts it again",
        ) from None
    step(f"Fitted {plan.name}")
    return load_run(folder)


def _report(runs: dict[str, SavedRun], results: dict, path: Path) -> None:
    """Assemble and write the report."""
    from analyses.report.demo_report import demo_report
    from analyses.report.document import write_report

    write_report(demo_report(runs, results), path)


def _summary(results: dict, console: Console) -> None:
    """The main numbers as a table in the terminal."""
    table = Table(title="Bundled study: 100 persons, 8,702 answered prompts", title_justify="left")
    for heading in ("", "absolute states", "person-centred states"):
        table.add_column(heading, justify="left" if not heading else "right")
    rows: dict[str, list[str]] = {}
    for variant in VARIANTS:
        for entry in results[f"alpha_{variant}"].itertuples():
            words = f"{entry.pooled:.2f} pooled, {entry.mean_per_person:.2f} per person"
            rows.setdefault(f"Krippendorff's alpha, {entry.model}", []).append(words)
        for name, words in (("model", "HSIC, the model's transitions"), ("observed", "HSIC, observed transitions")):
            found = results[f"hsic_{name}_{variant}"]
            rows.setdefault(words, []).append(f"{found.statistic:.2f}, p = {found.pvalue:.3f}")
    for name, cells in rows.items():
        table.add_row(name, *cells)
    console.print(table)
    console.print(results["baseline"].text(bias="Person-specific bias", baseline="baseline mood"))
