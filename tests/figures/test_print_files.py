"""Figures as files: sizes, resolutions, fonts in the file, letters of other scripts, and what is refused."""

from __future__ import annotations

import io
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from analyses.figures import presets, print_fonts
from analyses.figures.presets import PRESETS, sheet
from analyses.figures.print_files import COARSEST, FINEST
from analyses.figures.print_style import FORMATS, calm, figure_bytes, print_canvas, print_settings
from toolkit.errors import ConfigError, ToolkitWarning

WORDS = "Müßiggang θ − Тревога άγχος ≥"


def needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed (poppler-utils)")
    return found


@print_settings()
def draw(width_mm: float, *, label: str = WORDS):
    figure = print_canvas(width_mm, 0.5 * width_mm)
    axes = figure.subplots()
    axes.plot([0, 1, 2], [0, -1, 3])
    axes.bar([0.5], [1.0], hatch="//", color="#0072B2", edgecolor="white")
    axes.set(xlabel=label, ylabel="Value")
    calm(axes, grid="y")
    return figure


def points(mm: float) -> float:
    return mm / 25.4 * 72


@pytest.mark.parametrize(
    "name", [case if case == "89mm" else pytest.param(case, marks=pytest.mark.slow) for case in PRESETS]
)
def test_every_format_has_the_final_size(name: str) -> None:
    drawn = sheet(draw, PRESETS[name])
    width, height = drawn.size_mm
    assert width == pytest.approx(PRESETS[name].width_mm, abs=1e-3)
    files = {kind: drawn.content(kind, 300) for kind in FORMATS}
    for kind in ("png", "tiff"):
        image = Image.open(io.BytesIO(files[kind]))
        assert image.mode == "RGB"
        assert image.info["dpi"][0] == pytest.approx(300, abs=0.1)
        assert image.width == pytest.approx(300 * width / 25.4, abs=1.5)
        assert image.height == pytest.approx(300 * height / 25.4, abs=1.5)
        assert np.asarray(image).std() > 5
    assert Image.open(io.BytesIO(files["tiff"])).info["compression"] == "tiff_lzw"
    page = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", files["pdf"])
    box = re.search(rb"%%HiResBoundingBox: 0(?:\.0+)? 0(?:\.0+)? ([\d.]+) ([\d.]+)", files["eps"])
    for found in (page, box):
        assert found is not None
        assert [float(found[1]), float(found[2])] == pytest.approx([points(width), points(height)], abs=0.2)
    root = re.search(rb'<svg[^>]* width="([\d.]+)pt" height="([\d.]+)pt" viewBox="0 0 ([\d.]+) ([\d.]+)"', files["svg"])
    assert root is not None
    assert float(root[1]) == pytest.approx(points(width), abs=0.2)
    assert float(root[1]) / float(root[3]) == pytest.approx(drawn.enlarged, rel=1e-3)


@pytest.mark.parametrize("dpi", [300, 600, 1000])
def test_resolutions_are_kept_in_the_file(dpi: int) -> None:
    content = sheet(draw, PRESETS["89mm"]).content("tiff", dpi)
    image = Image.open(io.BytesIO(content))
    assert image.info["dpi"][0] == pytest.approx(dpi, abs=0.1)
    assert image.width == pytest.approx(89 / 25.4 * dpi, abs=1.5)


@pytest.mark.parametrize("dpi", [0, 72, COARSEST - 1, FINEST + 1, 100_000])
def test_other_resolutions_are_refused(dpi: int) -> None:
    with pytest.raises(ConfigError, match="300 to 1000") as caught:
        figure_bytes(draw(50.0), "png", dpi)
    assert caught.value.code == "E302"


@pytest.mark.slow
def test_text_stays_text_in_svg_and_pdf() -> None:
    svg = figure_bytes(draw(89.0), "svg").decode()
    assert WORDS in svg
    assert "sans-serif" in svg
    pdf = figure_bytes(draw(89.0), "pdf")
    done = subprocess.run([needs("pdftotext"), "-", "-"], input=pdf, capture_output=True, check=True)
    assert WORDS in done.stdout.decode()


@pytest.mark.parametrize("name", ["89mm", "slide"])
def test_fonts_are_in_the_pdf(tmp_path, name: str) -> None:
    path = tmp_path / "figure.pdf"
    path.write_bytes(sheet(draw, PRESETS[name]).content("pdf"))
    assert b"/FontFile2" in path.read_bytes()
    assert b"/Type3" not in path.read_bytes()
    lines = subprocess.run([needs("pdffonts"), path], capture_output=True, check=True, text=True).stdout.splitlines()[
        2:
    ]
    assert lines
    assert all(re.search(r"TrueType .* yes yes yes", line) for line in lines)


def test_fonts_are_in_the_eps_and_nothing_is_transparent() -> None:
    eps = figure_bytes(draw(89.0), "eps")
    assert eps.startswith(b"%!PS-Adobe-3.0 EPSF-3.0")
    assert b"/FontType 42 def" in eps
    assert b"%%CreationDate" not in eps
    assert eps.rstrip().endswith(b"showpage")


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_figure_gives_the_same_file(kind: str) -> None:
    assert figure_bytes(draw(60.0), kind) == figure_bytes(draw(60.0), kind)


@pytest.mark.parametrize("name", ["127mm", pytest.param("slide", marks=pytest.mark.slow)])
def test_pdf_and_png_show_the_same(tmp_path, name: str) -> None:
    drawn = sheet(draw, PRESETS[name])
    (tmp_path / "figure.pdf").write_bytes(drawn.content("pdf"))
    command = [needs("pdftoppm"), "-r", "300", "-png", "-singlefile", tmp_path / "figure.pdf", tmp_path / "round"]
    subprocess.run(command, check=True, capture_output=True)
    small = (320, 160)
    there, here = (
        np.asarray(Image.open(source).convert("L").resize(small), dtype=float)
        for source in (tmp_path / "round.png", io.BytesIO(drawn.content("png", 300)))
    )
    assert np.abs(there - here).mean() < 3
    assert np.corrcoef(there.ravel(), here.ravel())[0, 1] > 0.9


def test_a_slide_is_sixteen_to_nine_and_a_tall_figure_is_fitted_or_refused() -> None:
    with print_settings():
        tall = sheet(lambda width: print_canvas(width, 1.2 * width), PRESETS["slide"])
    assert tall.size_mm[0] / tall.size_mm[1] == pytest.approx(16 / 9, rel=1e-3)
    assert 1 <= tall.enlarged < PRESETS["slide"].enlarged
    with pytest.raises(ConfigError, match="too tall"):
        sheet(lambda width: print_canvas(width, 400.0), PRESETS["slide"])


def test_unknown_sizes_and_formats_are_refused() -> None:
    with pytest.raises(ConfigError, match="89mm, 127mm") as caught:
        presets.preset("A4")
    assert caught.value.code == "E302"
    with pytest.raises(ValueError, match="svg, png, pdf, eps, tiff"):
        figure_bytes(draw(50.0), "bmp")


def test_a_missing_font_is_said_and_replaced() -> None:
    with pytest.warns(ToolkitWarning, match="W226"), print_fonts.font("Nobody Has This Sans"):
        pdf = figure_bytes(draw(60.0), "pdf")
    assert b"DejaVuSans" in pdf


def test_another_font_is_used_and_the_house_font_helps_out(monkeypatch) -> None:
    with print_fonts.font("DejaVu Serif"):
        svg, pdf = (figure_bytes(draw(60.0), kind) for kind in ("svg", "pdf"))
    assert b"DejaVu Serif" in svg
    assert b"DejaVuSerif" in pdf
    assert print_fonts.font_stack() == ["DejaVu Sans"]


def test_letters_without_a_picture_are_said_once_and_the_figure_is_written() -> None:
    with pytest.warns(ToolkitWarning, match="W227") as caught:
        png = figure_bytes(draw(60.0, label="情绪 mood"), "png")
    assert len([item for item in caught if "W227" in str(item.message)]) == 1
    assert png.startswith(b"\x89PNG")
    assert "情" not in str(caught[0].message)


def test_importing_the_print_modules_loads_no_plotting_library() -> None:
    import sys

    code = (
        "import sys, analyses.figures.presets, analyses.figures.print_files, analyses.figures.print_room;"
        "assert 'matplotlib' not in sys.modules and 'plotly' not in sys.modules and 'PIL' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
