"""Streamlit's own scripts, handed out at once: the first page waits for little else.

Streamlit sends its sixty-odd scripts through every layer of the server, in small pieces, while Python is busy loading
what the pages stand on. Here they are answered before all that, each in one piece, and the page that loads them carries
a script of ours (`app.page_script`). Everything comes from this computer, as before.
"""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from app.page_script import page_script

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

# parts of Streamlit by the start of their file names; a name that a later version drops is passed over
LATER = ("PlotlyChart", "Multiselect", "Radio", "NumberInput", "DownloadButton", "Slider", "Progress")
PAGES = Path(__file__).parent / "pages"
TYPES = {".js": "application/javascript", ".css": "text/css", ".woff2": "font/woff2"}
KEPT_A_YEAR = b"public, immutable, max-age=31536000"


class QuickFiles:
    """Answers the first page's address and Streamlit's scripts; hands everything else on.

    Args:
        app: what answers everything else.
        folder: where Streamlit keeps its page and scripts; by default that of the Streamlit that runs.
    """

    def __init__(self, app: ASGIApp, folder: Path | None = None) -> None:
        self.app = app
        folder = folder or static_folder()
        # named here, so that no address can lead out of the folder
        kinds = {kind: os.listdir(folder / "static" / kind) for kind in os.listdir(folder / "static")}
        self.files = {
            f"/static/{kind}/{name}": folder / "static" / kind / name for kind in kinds for name in kinds[kind]
        }
        self.page = quicker_page(folder).encode("utf-8")
        self.pages = {"/", *(f"/{path.stem}" for path in PAGES.glob("[a-z]*.py"))}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or hand on."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
        elif scope["path"] in self.files:
            path = self.files[scope["path"]]
            kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            await _answer(send, path.read_bytes(), kind, KEPT_A_YEAR)
        elif scope["path"] in self.pages:
            await _answer(send, self.page, "text/html; charset=utf-8", b"no-cache")
        else:
            await self.app(scope, receive, send)


def static_folder() -> Path:
    """Where the installed Streamlit keeps its page and scripts."""
    found = find_spec("streamlit")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("streamlit is not installed")
    return Path(found.origin).parent / "static"


def quicker_page(folder: Path) -> str:
    """Streamlit's page, with our script."""
    page = (folder / "index.html").read_text(encoding="utf-8")
    there = os.listdir(folder / "static" / "js")
    script = page_script(f"./static/js/{name}" for name in chunks(there, LATER))
    return page.replace("</body>", f"{script}</body>")


def chunks(names: Iterable[str], parts: Iterable[str]) -> list[str]:
    """Of file names those of these parts: a part's name, a mark of its content, and the ending."""
    by_part = {name.partition(".")[0]: name for name in names if name.endswith(".js")}
    return [by_part[part] for part in parts if part in by_part]


async def _answer(send: Send, body: bytes, kind: str, cached: bytes) -> None:
    headers = [
        (b"content-type", kind.encode("ascii")),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"cache-control", cached),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
