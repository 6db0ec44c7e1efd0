"""A page with every figure of the catalogue: the drawing, its words, how to read it, the command that makes it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyses.figures.print_style import figure_bytes, inline_svg, with_ids
from analyses.report import catalogue
from analyses.report.catalogue import FigureOptions
from analyses.report.catalogue.effect_figures import EFFECT_FIGURES
from analyses.report.catalogue.group_figures import GROUP_FIGURES
from analyses.report.catalogue.model_figures import MODEL_FIGURES
from analyses.report.catalogue.personal_figures import PERSONAL_FIGURES
from analyses.report.catalogue.study_figures import STUDY_FIGURES
from analyses.report.gallery_words import READING
from toolkit.errors import ToolkitError
from toolkit.runs.atomic import enough_room, write_atomically

if TYPE_CHECKING:
    from analyses.report.catalogue import Built
    from toolkit.runs.folder import SavedRun

HERE = Path(__file__).parent
WIDTH_MM = 165.0
LARGEST_SVG = 350_000
LARGEST_PAGE = 5_000_000
CHAPTERS = (
    ("One model and its persons", MODEL_FIGURES),
    ("Persons, families, items: grouping factors", EFFECT_FIGURES),
    ("Groups of persons", GROUP_FIGURES),
    ("Models, studies and designs", STUDY_FIGURES),
    ("Single persons", PERSONAL_FIGURES),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exhibit:
    """One figure of the gallery.

    Attributes:
        name: of the catalogue.
        run: what it is built from; None when there is no such run yet.
        options: of the figure.
        command: what is typed to make it, one command a line.
    """

    name: str
    run: SavedRun | None
    options: FigureOptions = field(default_factory=FigureOptions)
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hung:
    """A figure on the page; ``missing`` says what it lacks, and is empty where it was drawn."""

    name: str
    title: str
    picture: str
    alt: str
    note: str
    reading: str
    command: str
    missing: str

    @property
    def anchor(self) -> str:
        """Where it stands on the page."""
        return f"figure-{self.name}"


def hang(exhibit: Exhibit) -> Hung:
    """Draw one figure; one that cannot be built is kept with the sentence that says what it needs."""
    item = catalogue.entry(exhibit.name)
    told: dict[str, Any] = {
        "name": item.name,
        "title": item.title,
        "reading": READING.get(item.name, ""),
        "command": exhibit.command,
    }
    needs = f"Not drawn here. It needs {item.needs}."
    if exhibit.run is None:
        return Hung(picture="", alt="", note="", missing=needs, **told)
    try:
        made = catalogue.figure(item.name, exhibit.run, exhibit.options)
        return Hung(picture=picture(made, item.name), alt=made.alt, note=made.note, missing="", **told)
    except ToolkitError as error:
        return Hung(picture="", alt="", note="", missing=f"{needs} {_sentence(str(error))}", **told)


def picture(made: Built, name: str) -> str:
    """The drawing as ``<svg>``; as an image inside the page where it has so many points that this is smaller."""
    drawn = made.print_figure(WIDTH_MM)
    svg = with_ids(inline_svg(drawn), name)
    if len(svg) <= LARGEST_SVG:
        return svg
    content = base64.b64encode(figure_bytes(drawn, "png", 300)).decode("ascii")
    return f'<img alt="" src="data:image/png;base64,{content}">' if len(content) < len(svg) else svg


def render(exhibits: Sequence[Exhibit], *, step: Callable[[str], None] | None = None) -> str:
    """The page as text: no script, nothing loaded from elsewhere.

    Args:
        exhibits: one per figure; figures of the catalogue that are not among them are listed with what they need.
        step: called with the title of each figure once it is drawn.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    given = {exhibit.name: exhibit for exhibit in exhibits}
    chapters = []
    for title, entries in CHAPTERS:
        hung = []
        for item in entries:
            hung.append(hang(given.get(item.name, Exhibit(name=item.name, run=None))))
            if step is not None:
                step(item.title)
        chapters.append((title, hung))
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    css = Markup((HERE / "page.css").read_text(encoding="utf-8"))
    drawn = sum(not figure.missing for _, figures in chapters for figure in figures)
    page = environment.get_template("gallery.html")
    return page.render(chapters=chapters, css=css, drawn=drawn, total=len(catalogue.FIGURES), safe=Markup)


def write_gallery(page: str, path: Path) -> Path:
    """Write the page whole or not at all.

    Raises:
        RunFolderError: E304 if the disk is full, E305 if the folder may not be written.
    """
    with enough_room("the gallery", "choose another file with --out"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, page.encode("utf-8"))
    return path


def _sentence(words: str) -> str:
    """An error's text without its code, as a sentence."""
    said = words.split(": ", 1)[-1].strip()
    return said[:1].upper() + said[1:] + ("" if said.endswith(".") else ".")
