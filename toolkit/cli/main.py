"""The ``nme`` command. Imports are made inside the commands, so that help answers at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import (
    adapting,
    analyze_commands,
    data_commands,
    drivers,
    figure_commands,
    gallery_commands,
    interpreting,
    predicting,
    report_commands,
    table_commands,
)
from toolkit.cli.answers import Answer, Commands, plain_errors
from toolkit.cli.options import UNITS, AsJson, RunFolder, RunFolders, Seed

app = typer.Typer(
    name="nme",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Interactive analysis and interpretation of personalised models.",
)
analyze = typer.Typer(no_args_is_help=True, help="Analyses of a finished run; results are kept in its folder.")
app.add_typer(analyze, name="analyze")
data_commands.register(app)
predicting.register(app)
figure_commands.register(app)
gallery_commands.register(app)
table_commands.register(app)
report_commands.register(app)
analyze_commands.register(analyze)
drivers.register(analyze)
adapting.register(app, analyze)
interpreting.register(analyze)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the demonstration.")] = Path("nme-demo"),
    seed: Seed = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Few epochs and permutations: a check, not a result.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Fit anew even if a finished demonstration is there.")] = False,
    show: Annotated[bool, typer.Option("--app/--no-app", help="Open the dashboard afterwards.")] = True,
    port: Annotated[int, typer.Option(help="Port of the dashboard.")] = 8501,
    json: AsJson = False,
) -> None:
    """Fit the bundled study, run the analyses, write the report, open the dashboard."""
    from toolkit.cli.demo import run_demo

    answer = run_demo(out, seed=seed, quick=quick, again=again, quiet=json)
    answer.show(json)
    if show and not json:
        _open_dashboard([out / "runs"], port)


@app.command()
def check(
    study: Annotated[Path, typer.Argument(help="study.toml")],
    json: AsJson = False,
) -> None:
    """Read a study and say what is in it, and everything that is wrong or odd about it, and where."""
    from toolkit.cli.checking import check as check_study

    answer, fault = check_study(study)
    answer.show(json)
    if fault is not None:
        raise fault


@app.command()
def fit(  # noqa: PLR0913 - one argument per option of the command
    study: Annotated[Path, typer.Argument(help="study.toml")],
    model: Annotated[
        str,
        typer.Option(
            help="nme-mlp, nme-crf, generic-mlp, generic-crf, specific-mlp, specific-crf, mlp-lme, lmm, glmm, lmmnn, "
            "mc-gmenn, pen, pen-shared, one-hot-mlp, embedding-mlp, lstm, map-cnn, svdkl, target-encoding-mlp, armed, "
            "menets, deep-glmm, unme-mlp, unme-crf (no prior)."
        ),
    ] = "nme-mlp",
    target: Annotated[
        str | None, typer.Option(help="Column to predict (several numbers: a,b); the study's first, or its states.")
    ] = None,
    effects: Annotated[str | None, typer.Option(help="Where person effects sit: last, last+T, all, ...")] = None,
    groupings: Annotated[
        str | None, typer.Option(help="What else has effects of its own: family,item; the study's; none.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; runs/MODEL by default.")] = None,
    seed: Seed = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    split: Annotated[
        str, typer.Option(help="within-person-time, random, persons, clusters, future, none, or a file of nme split.")
    ] = "within-person-time",
    epochs: Annotated[int | None, typer.Option(help="Most epochs.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished run.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted fit.")] = False,
    setting: Annotated[list[str] | None, typer.Option("--set", help="Another setting, NAME=VALUE; repeatable.")] = None,
    json: AsJson = False,
) -> None:
    """Fit a model to a study and write its run folder."""
    from toolkit.cli.studies import fit_study

    wanted = {"effects": effects, "epochs": epochs}
    options = {name: value for name, value in wanted.items() if value is not None}
    answer = fit_study(
        study,
        model,
        target,
        out,
        seed=seed,
        device=device,
        split=split,
        overwrite=overwrite,
        resume=resume,
        options=options,
        settings=setting or [],
        groupings=groupings,
    )
    answer.show(json)
    if answer.data["status"] == "NOT_FINITE":  # said already, as warning E301
        raise typer.Exit(2)


@app.command()
def compare(
    runs: RunFolders,
    metric: Annotated[list[str] | None, typer.Option(help="Metric; repeatable, all by default.")] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    unit: Annotated[str, typer.Option(help=UNITS)] = "auto",
    baseline: Annotated[str | None, typer.Option(help="Compare with this run only; all pairs by default.")] = None,
    holm: Annotated[bool, typer.Option("--holm", help="Marks after Holm's correction.")] = False,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples.")] = 10_000,
    seed: Seed = 1,
    json: AsJson = False,
) -> None:
    """Which of several models predicts best? Mean per person, with marks for clear differences."""
    from toolkit.cli.robustness import compare as compare_all

    answer = compare_all(
        runs,
        metrics=metric,
        split=split,
        unit=unit,
        baseline=baseline,
        holm=holm,
        resamples=resamples,
        seed=seed,
    )
    answer.show(json)


@app.command()
def verify(run: RunFolder, json: AsJson = False) -> None:
    """Check every file of a run folder against its checksum."""
    from toolkit.runs.folder import load_run

    count = load_run(run).verify()
    Answer(text=f"{count} files are as they were written.", data={"files": count, "intact": True}).show(json)


@app.command("app")
def dashboard(
    runs: Annotated[list[Path] | None, typer.Argument(help="Run folders, or folders that hold several.")] = None,
    port: Annotated[int, typer.Option(help="Port on this computer.")] = 8501,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
    address: Annotated[str, typer.Option(help="Where to listen; anything but this computer is refused.")] = "127.0.0.1",
    allow_network: Annotated[
        bool, typer.Option("--allow-network", help="Let other computers in; whoever can reach this one sees the data.")
    ] = False,
) -> None:
    """Open the dashboard. It listens on this computer only."""
    _open_dashboard(runs or [Path("runs")], port, browser=browser, address=address, allow_network=allow_network)


def _open_dashboard(
    paths: list[Path],
    port: int,
    *,
    browser: bool = True,
    address: str = "127.0.0.1",
    allow_network: bool = False,
) -> None:
    """Start the dashboard and wait until it ends."""
    from app.launcher import launch

    raise typer.Exit(launch(paths, port=port, open_browser=browser, address=address, allow_network=allow_network))


def run() -> None:
    """Entry point: runs a command and turns errors of ours into a sentence and an exit code."""
    sys.exit(plain_errors(lambda: app(standalone_mode=False)))
