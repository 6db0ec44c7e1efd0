"""Word documents as LibreOffice sees them: turned into PDF, read as text, drawn as pictures."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

NEEDED = ("soffice", "pdftotext", "pdftoppm")


def missing_programs() -> str:
    """Which programs are not here, as a sentence; empty when all are."""
    gone = [name for name in NEEDED if shutil.which(name) is None]
    return f"LibreOffice and poppler are needed: no {', '.join(gone)}" if gone else ""


needs_office = pytest.mark.skipif(bool(missing_programs()), reason=missing_programs() or "all there")


def as_pdf(document: Path, folder: Path) -> Path:
    """Convert a document with LibreOffice, in a profile of its own so that nothing else is disturbed."""
    profile = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
    words = ["soffice", profile, "--headless", "--convert-to", "pdf", "--outdir", str(folder), str(document)]
    subprocess.run(words, check=True, capture_output=True, timeout=120)
    return folder / f"{document.stem}.pdf"


def pdf_text(pdf: Path) -> str:
    """The text of all pages, line by line as it stands on them."""
    done = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], check=True, capture_output=True, timeout=60)
    return done.stdout.decode("utf-8")


def pdf_pages(pdf: Path, folder: Path) -> list[Path]:
    """One picture a page."""
    subprocess.run(["pdftoppm", "-r", "50", "-png", str(pdf), str(folder / "page")], check=True, timeout=120)
    return sorted(folder.glob("page-*.png"))
