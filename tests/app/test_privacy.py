"""What keeps data on this computer: one listener, known hosts, small uploads, no tracebacks, sessions apart."""

from __future__ import annotations

import http.client
import json
import logging
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from example_run import write_example

from app import launcher, views

HERE = "127.0.0.1"
SECRET = "Zebulon"


def children(process: int) -> set[int]:
    """A process and all that it started."""
    found = {process}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) in found:
            found.add(int(entry.parent.name))
    return found


def listeners(process: int) -> list[tuple[str, int]]:
    """Addresses (as the kernel writes them) and ports that a process and its children listen on."""
    sockets = set()
    for number in children(process):
        for link in Path(f"/proc/{number}/fd").iterdir():
            try:
                target = os.readlink(link)
            except OSError:
                continue
            if target.startswith("socket:["):
                sockets.add(target[8:-1])
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                address, port = fields[1].split(":")
                found.append((address, int(port, 16)))
    return found


@pytest.fixture(scope="module")
def server(runs_folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = launcher.free_port(8750)
    process = subprocess.Popen(launcher.command(port), env=launcher.environment([runs_folder]))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((HERE, port)) == 0:
                break
        time.sleep(0.1)
    yield process, port
    process.terminate()
    process.wait(timeout=10)


def answer(port: int, path: str = "/", host: str = "") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(HERE, port, timeout=10)
    connection.request("GET", path, headers={"Host": host} if host else {})
    found = connection.getresponse()
    found.read()
    connection.close()
    return found


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs /proc")
def test_it_listens_on_this_computer_and_nowhere_else(server) -> None:
    process, port = server
    assert answer(port).status == 200
    # 0100007F is 127.0.0.1 in the order of bytes of the kernel's table
    assert listeners(process.pid) == [("0100007F", port)]


def handshake(port: int, *, host: str, origin: str) -> int:
    """The status a request to open the connection for data gets."""
    connection = http.client.HTTPConnection(HERE, port, timeout=10)
    headers = {"Host": host, "Origin": origin, "Upgrade": "websocket", "Connection": "Upgrade",
               "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}  # fmt: skip
    connection.request("GET", "/_stcore/stream", headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_pages_of_other_sites_get_no_data(server) -> None:
    _, port = server
    here = f"{HERE}:{port}"
    assert handshake(port, host=here, origin=f"http://{here}") == 101
    # another name that points at this computer (DNS rebinding), and another site's page
    assert handshake(port, host=f"elsewhere.example:{port}", origin=f"http://elsewhere.example:{port}") == 403
    assert handshake(port, host=here, origin="http://elsewhere.example") == 403


def test_files_of_the_program_and_of_the_runs_cannot_be_fetched(server) -> None:
    _, port = server
    for path in ("/app/static/persons.parquet", "/static/../../etc/passwd", "/media/persons.parquet"):
        response = answer(port, path=path)
        assert response.status in (400, 403, 404) or "text/html" in (response.getheader("Content-Type") or "")


def test_settings_of_the_server_are_the_safe_ones() -> None:
    safe = launcher.SAFE_SETTINGS
    assert safe["browser.gatherUsageStats"] == "false"
    assert safe["client.showErrorDetails"] == "none"
    assert int(safe["server.maxUploadSize"]) <= 200
    assert safe["server.enableStaticServing"] == "false"


def test_an_unexpected_error_shows_and_logs_neither_its_words_nor_its_place_in_data(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(views.st, "error", shown.append)

    def page() -> None:
        raise ValueError(f"could not convert {SECRET}")

    with caplog.at_level(logging.DEBUG, logger="app"):
        views.guarded(page)
    assert shown
    assert SECRET not in shown[0]
    assert SECRET not in caplog.text
    assert "ValueError" in caplog.text


CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="no chromium on this computer")
def test_two_windows_never_see_each_others_data(tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    for name in ("first", "second"):
        folder = write_example(tmp_path / name / f"nme-crf-{name}", persons=20)
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["study"]["title"] = f"Study {name}"
        (folder / "manifest.json").write_text(json.dumps(manifest))
    port = launcher.free_port(8760)
    process = subprocess.Popen(launcher.command(port), env=launcher.environment([]))
    try:
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            windows = [browser.new_context().new_page() for _ in range(2)]
            for window, name in zip(windows, ("first", "second"), strict=True):
                reach(window, port)
                window.get_by_label("Folder on this computer").fill(str(tmp_path / name))
                window.get_by_role("button", name="Open folder").click()
                window.get_by_role("heading", name=f"Study {name}").wait_for()
            for window, own, other in zip(windows, ("first", "second"), ("second", "first"), strict=True):
                window.get_by_text("Runs side by side", exact=True).click()
                window.get_by_text("Runs to lay side by side").wait_for()
                window.wait_for_timeout(500)
                assert f"nme-crf-{own}" in window.content()
                assert f"nme-crf-{other}" not in window.content()
                assert f"Study {other}" not in window.content()
                assert str(tmp_path) not in window.url
            third = browser.new_context().new_page()
            reach(third, port)
            third.get_by_text("No run is open yet").wait_for()
            assert "nme-crf-" not in third.content()
            browser.close()
    finally:
        process.terminate()
        process.wait(timeout=10)


def reach(window, port: int) -> None:
    for _ in range(100):
        try:
            window.goto(f"http://{HERE}:{port}")
            break
        except Exception:
            time.sleep(0.2)
    window.get_by_label("Folder on this computer").wait_for()
