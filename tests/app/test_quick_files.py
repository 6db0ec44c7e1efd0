"""Streamlit's scripts answered before the rest of the server, and what the browser is told to load early."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from app import loading, quick_files, serving
from app.main import NAMES


async def handed_on(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "handed on"})


@pytest.fixture(scope="module")
def server() -> quick_files.QuickFiles:
    return quick_files.QuickFiles(handed_on)


def asked(server: quick_files.QuickFiles, path: str, method: str = "GET") -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        said.append(message)

    asyncio.run(server({"type": "http", "method": method, "path": path}, None, send))  # pyright: ignore[reportArgumentType]
    return said


def test_a_script_comes_in_one_piece_and_is_kept(server: quick_files.QuickFiles) -> None:
    folder = quick_files.static_folder()
    for path in ("static/js", "static/css", "static/media"):
        file = sorted((folder / path).iterdir())[0]
        start, body = asked(server, f"/{path}/{file.name}")
        headers = dict(start["headers"])
        assert start["status"] == 200
        assert body["body"] == file.read_bytes()
        assert headers[b"content-length"] == str(file.stat().st_size).encode()
        assert b"immutable" in headers[b"cache-control"]


def test_every_page_is_answered_by_the_same_page(server: quick_files.QuickFiles) -> None:
    for name in ("", *(name for name, _, _ in NAMES[1:])):
        start, body = asked(server, f"/{name}")
        assert dict(start["headers"])[b"content-type"].startswith(b"text/html")
        assert body["body"] == server.page


@pytest.mark.parametrize(
    "path", ["/static/../index.html", "/static/js/../../favicon.png", "/static/js/nothing.js", "/_stcore/health", "//x"]
)
def test_anything_else_is_handed_on(server: quick_files.QuickFiles, path: str) -> None:
    assert asked(server, path) == [{"type": "handed on"}]
    assert asked(server, "/", "POST") == [{"type": "handed on"}]


def test_the_page_names_parts_this_streamlit_has_and_asks_nobody_else(server: quick_files.QuickFiles) -> None:
    page = server.page.decode()
    named = re.findall(r'"\./static/js/([\w.-]+)"', page.partition("<body>")[2])
    assert {name.partition(".")[0] for name in named} == set(quick_files.LATER)
    assert all((quick_files.static_folder() / "static" / "js" / name).is_file() for name in named)
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", page)


def test_a_part_that_is_not_there_is_passed_over() -> None:
    assert quick_files.chunks(["Html.1a.js", "Html.css", "Other.js"], ("Html", "Gone")) == ["Html.1a.js"]


def test_the_servers_socket_waits_for_no_confirmation(monkeypatch: pytest.MonkeyPatch) -> None:
    from streamlit.web.server.starlette import starlette_server

    monkeypatch.setattr(starlette_server, "_bind_socket", starlette_server._bind_socket)
    serving.send_at_once()
    with starlette_server._bind_socket("127.0.0.1", 0, 5) as bound:
        assert bound.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_loading_ends_with_everything_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "VISITOR", 0.0)
    monkeypatch.setattr(loading, "QUIET", 0.0)
    monkeypatch.setattr(loading, "LATER", ("json", "a module that is not there"))
    monkeypatch.setattr(gc, "freeze", lambda: None)
    gc.disable()
    try:
        loading.load()
        assert gc.isenabled()
    finally:
        gc.enable()


def test_loading_waits_while_a_page_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "QUIET", 0.05)
    done = threading.Event()
    page = threading.Thread(target=done.wait, name=loading.SCRIPT_THREAD)
    page.start()
    waiting = threading.Thread(target=loading.wait_for_quiet)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    done.set()
    waiting.join(10)
    page.join()
    assert not waiting.is_alive()


def test_the_thread_that_makes_pages_is_known_by_its_name() -> None:
    import inspect

    from streamlit.runtime.scriptrunner import script_runner

    assert f'"{loading.SCRIPT_THREAD}"' in inspect.getsource(script_runner)


def test_every_module_named_for_loading_is_there() -> None:
    from importlib.util import find_spec

    assert all(find_spec(name) for name in (*loading.FIRST, *loading.LATER))
    assert Path(quick_files.PAGES).is_dir()
