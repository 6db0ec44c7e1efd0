"""Which run of the gallery each figure is drawn from, and the commands that make it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from analyses.report import catalogue
from analyses.report.catalogue import Entry, FigureOptions
from analyses.report.gallery import Exhibit
from toolkit.cli.gallery_factors import NAME, ROW
from toolkit.cli.gallery_runs import COVARIATE, MATERIAL, TRUTH
from toolkit.errors import ToolkitError

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

STUDY = "study.toml"
ORDER = ("nme-crf-absolute", "nme-mlp", "pen-video", "pen-shared-valence-arousal", "nme-crf-dyads")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wall:
    """Where a figure comes from.

    Attributes:
        run: name of the run.
        others: further runs.
        before: command that makes the result the figure draws, with RUN, OTHER and FOLDER for paths.
        options: what is asked of the figure, by name.
        settings: its own settings, by name; FOLDER stands for the gallery's folder.
    """

    run: str
    others: tuple[str, ...] = ()
    before: str = ""
    options: Mapping[str, str | int] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


APART = f"nme analyze contributions RUN FOLDER/{MATERIAL}/items/study.toml --row {ROW}"
CRFS = "Generic-CRF,NME-CRF"
WALLS: dict[str, Wall] = {
    "factor-distributions": Wall(run=NAME),
    "marked-distributions": Wall(run=NAME, before=APART),
    "contributions": Wall(run=NAME, before=APART),
    "baseline": Wall(run="nme-mlp"),
    "person-series": Wall(run="nme-mlp"),
    "calibration": Wall(run="nme-crf-absolute"),
    "model-comparison": Wall(
        run="generic-crf-absolute", others=("nme-crf-absolute",), settings={"names": CRFS, "predictions": "forecast"}
    ),
    "person-comparison": Wall(
        run="generic-mlp", others=("nme-mlp",), settings={"names": "Generic-MLP,NME-MLP", "metric": "nrmse"}
    ),
    "less-data": Wall(
        run="generic-mlp",
        before="nme analyze less-data RUN FOLDER/nme-mlp --study study.toml --metric nrmse",
        settings={"names": "Generic-MLP,NME-MLP"},
    ),
    "multiverse": Wall(run="nme-crf-absolute", before="nme analyze multiverse RUN FOLDER/nme-crf-person_centred"),
    "power": Wall(run="nme-crf-absolute", before="nme analyze power RUN --cell positive,dysphoric --difference 5"),
    "stability": Wall(run="nme-crf-absolute", before="nme analyze stability RUN --study study.toml --refits 3"),
    "slopes": Wall(
        run="nme-crf-absolute",
        before=f"nme analyze differences RUN --covariate {COVARIATE} --persons FOLDER/{MATERIAL}/persons.csv",
    ),
    "plausible": Wall(run="nme-crf-absolute", before="nme analyze differences RUN --plausible 20"),
    "adaptation": Wall(run="pen-video", before="nme gallery --runs FOLDER"),
    "gate-map": Wall(run="pen-video"),
    "label-density": Wall(run="pen-shared-valence-arousal"),
    "true-effects": Wall(run="nme-crf-dyads", settings={"truth": f"FOLDER/{MATERIAL}/dyads/{TRUTH}"}),
    "drivers": Wall(run="nme-crf-absolute", options={"value": "expected"}, settings={"cell": "positive,dysphoric"}),
}


def exhibits(runs: Mapping[str, SavedRun], folder: Path) -> list[Exhibit]:
    """One exhibit for every figure of the catalogue."""
    return [_exhibit(item, runs, folder) for item in catalogue.FIGURES]


def _exhibit(item: Entry, runs: Mapping[str, SavedRun], folder: Path) -> Exhibit:
    wall = WALLS.get(item.name)
    names = (wall.run,) if wall is not None else ORDER
    found = [_from(item, wall or Wall(run=name), runs[name], runs, folder) for name in names if name in runs]
    if not found:
        return Exhibit(name=item.name, run=None, command=f"nme figure {item.name} RUN")
    return found[0] if len(found) == 1 else next((one for one in found if _builds(one)), found[0])


def _from(item: Entry, wall: Wall, run: SavedRun, runs: Mapping[str, SavedRun], folder: Path) -> Exhibit:
    settings = {name: text.replace("FOLDER", folder.as_posix()) for name, text in wall.settings.items()}
    asked = {**wall.options, **({"person": _someone(run)} if "person" in item.options else {})}
    others = tuple(runs[name] for name in wall.others if name in runs)
    options = FigureOptions(**asked, others=others, settings=settings)  # pyright: ignore[reportArgumentType]
    return Exhibit(name=item.name, run=run, options=options, command=_command(item, wall, run, folder, asked, settings))


def _command(
    item: Entry,
    wall: Wall,
    run: SavedRun,
    folder: Path,
    asked: Mapping[str, str | int],
    settings: Mapping[str, str],
) -> str:
    """The commands as they are typed."""
    here = (folder / run.path.name).as_posix()
    paths = [here, *((folder / name).as_posix() for name in wall.others)]
    words = ["nme figure", item.name, *paths]
    words += [f"--{name.replace('_', '-')} {value}" for name, value in asked.items()]
    words += [f"--set {name}={_quoted(text)}" for name, text in settings.items()]
    words += ["--identifiable"] if item.identifiable else []
    before = wall.before.replace("RUN", here).replace("FOLDER", folder.as_posix())
    return "\n".join(line for line in (before, " ".join(words)) if line)


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text


def _someone(run: SavedRun) -> str:
    """The person with the most rows, who shows most."""
    persons = run.persons().sort_values(["rows", "person"], ascending=[False, True], kind="stable")
    return str(persons["person"].iloc[0])


def _builds(exhibit: Exhibit) -> bool:
    """Whether the run has what the figure needs."""
    if exhibit.run is None:
        return False
    try:
        catalogue.figure(exhibit.name, exhibit.run, exhibit.options)
    except ToolkitError:
        return False
    return True
