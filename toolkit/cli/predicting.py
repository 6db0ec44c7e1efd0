"""``nme predict``: what a finished run says about new rows of its study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.cli.answers import Answer
    from toolkit.data.study import Study
    from toolkit.runs.folder import SavedRun


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("predict")(predict)


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    study: Annotated[Path, typer.Argument(help="study.toml the run was fitted to.")],
    data: Annotated[Path | None, typer.Option(help="File with new rows; the study's own rows by default.")] = None,
    out: Annotated[Path, typer.Option(help="csv file to write.")] = Path("predictions.csv"),
    population: Annotated[
        bool, typer.Option("--population", help="Leave the persons' own parameters out: the same model for everybody.")
    ] = False,
    level: Annotated[
        str | None,
        typer.Option(help="person, population, or a grouping factor of the run: family, without the persons' effects."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse persons the run does not know.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the csv file.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Predict new rows with a finished run; persons it does not know get the average person's prediction, marked."""
    if population and level not in (None, "population"):
        from toolkit.errors import ConfigError

        raise ConfigError(
            "--population is a level already", code="E302", column="--level", remedy="name one of the two"
        )
    chosen = level or ("population" if population else "person")
    predict_rows(run, study, data, out, level=chosen, strict=strict, overwrite=overwrite).show(json)


def predict_rows(
    path: Path,
    study_file: Path,
    data_file: Path | None,
    out: Path,
    *,
    level: str,
    strict: bool,
    overwrite: bool,
) -> Answer:
    """Predict, and write a table of pseudonyms; see the command for the arguments.

    Raises:
        DataError: E119, E120 or E405 for rows the run cannot predict, E407 for another study, whatever reading raises.
        RunFolderError: E306 if the file exists, E304 or E305 if it cannot be written, E40x for a damaged run.
    """
    from toolkit.cli.answers import Answer
    from toolkit.data.study import Study
    from toolkit.runs.folder import load_run

    _check_free(out, overwrite=overwrite)
    run, study = load_run(path), Study.read(study_file)
    table = run.predict_frame(rows_for_run(run, study, data_file), level, strict=strict)
    _write(table, out)
    unknown = int(table.loc[~table["person_known"], "person"].nunique())
    said = [f"{len(table)} rows predicted: {out}"]
    if unknown and level == "person":
        were = "1 person was" if unknown == 1 else f"{unknown} persons were"
        stands_in = "the average person's prediction"
        if run.groupings:
            known = ", ".join(f"{name}_known" for name in run.groupings)
            stands_in = f"their {' and '.join(run.groupings)} speak for them where known ({known})"
        said.append(f"{were} not in training: {stands_in} (person_known is False).")
    elif level not in ("person", "population"):
        said.append(f"Without the persons' own effects: those of {' and '.join(_used(run, level))} alone.")
    data: dict[str, Any] = {"rows": len(table), "persons_unknown": unknown, "file": str(out), "level": level}
    return Answer(text="\n".join(said), data=data)


def _used(run: SavedRun, level: str) -> tuple[str, ...]:
    """Grouping factors whose effects a level of prediction uses."""
    return run.groupings[run.groupings.index(level) :]


def rows_for_run(run: SavedRun, study: Study, data_file: Path | None) -> Any:
    """The rows of a run's study, or new rows, with the pseudonyms of the study the run was fitted to.

    Pseudonyms of another study are other persons, and nothing in the rows would show it: hence the comparison.
    """
    from toolkit.cli.studies import study_data
    from toolkit.data.outcomes import rows_for
    from toolkit.errors import DataError
    from toolkit.runs.run import rows_of

    target = ",".join(run.targets)
    own = rows_of(study_data(study, run.model, target, run.groupings))
    known = rows_for(str(run.manifest["task"]), own)
    if known.content_hash() != run.manifest["data"]["hash"]:
        raise DataError(
            "the study's data are not those the run was fitted to",
            code="E407",
            remedy="name the study of this run, as it was then, and new rows with --data",
        )
    if data_file is None:
        return own
    new = study.of_new_rows(data_file)
    _warn_of_extra_columns(study, new)
    try:
        return rows_of(study_data(new, run.model, target, run.groupings))
    except DataError as error:
        if error.code == "E103" and error.column in study.features:
            raise DataError(
                f"features missing: {error.column}", code="E405", column=error.column, remedy=error.remedy
            ) from None
        raise


def _warn_of_extra_columns(study: Study, new: Study) -> None:
    """W218 for columns that the study's own data do not have: whoever added them may think that they count."""
    import warnings

    from toolkit.data.readers import read_table
    from toolkit.errors import ToolkitWarning

    own = set(read_table(study.data_file, options=study.read_options).columns)
    extra = [str(name) for name in read_table(new.data_file, options=new.read_options).columns if name not in own]
    if extra:
        message = f"columns the study does not have were ignored: {', '.join(extra)}"
        warnings.warn(ToolkitWarning(message, code="W218"), stacklevel=2)


def _check_free(out: Path, *, overwrite: bool) -> None:
    """Refuse a file that is in the way or cannot be written, before anything is computed."""
    from toolkit.errors import RunFolderError

    if out.exists() and not overwrite:
        raise RunFolderError("the file exists already", code="E306", column="out", remedy="add --overwrite")
    if not out.parent.is_dir():
        raise RunFolderError("the folder of the file does not exist", code="E305", column="out", remedy="make it first")


def _write(table: pd.DataFrame, out: Path) -> None:
    """The table as a csv file that spreadsheets cannot take for formulas."""
    from analyses.report.guard import csv_bytes
    from toolkit.runs.atomic import enough_room, write_atomically

    with enough_room("the table", "choose another place (--out)"):
        write_atomically(out, csv_bytes(table))
