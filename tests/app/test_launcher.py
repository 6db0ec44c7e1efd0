"""The launcher: only this computer, no telemetry, no details of errors, and every flag exists in this Streamlit."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from streamlit import config

from app import launcher
from toolkit.errors import ConfigError


def flags(command: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part in command:
        if part.startswith("--"):
            name, value = part[2:].split("=", 1)
            found.setdefault(name, []).append(value)
    return found


def test_safe_settings_are_passed_as_flags() -> None:
    given = flags(launcher.command(8510))
    expected = {
        "server.address": ["127.0.0.1"],
        "server.port": ["8510"],
        "browser.gatherUsageStats": ["false"],
        "client.showErrorDetails": ["none"],
        "client.toolbarMode": ["minimal"],
        "client.disableDataExport": ["true"],
        "server.fileWatcherType": ["none"],
        "server.headless": ["true"],
        "server.allowedHosts": ["127.0.0.1", "localhost", "::1"],
        "server.maxUploadSize": ["200"],
        "server.enableXsrfProtection": ["true"],
    }
    assert {name: given[name] for name in expected} == expected


def test_every_flag_exists_in_this_streamlit() -> None:
    for name in flags(launcher.command(8510)):
        assert name in config._config_options_template, name


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_an_address_others_can_reach_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="E302"):
        launcher.command(8510, address=address)
    assert flags(launcher.command(8510, address=address, allow_network=True))["server.address"] == [address]


def test_runs_and_packages_reach_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = launcher.environment(["runs", tmp_path / "other"])
    assert given["NME_RUNS"].split(os.pathsep) == [str(tmp_path / "runs"), str(tmp_path / "other")]
    assert (Path(given["PYTHONPATH"].split(os.pathsep)[0]) / "app" / "main.py").is_file()


def test_a_taken_port_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert launcher.free_port(port) > port
        with pytest.raises(ConfigError, match="no free port"):
            launcher.free_port(port, tries=1)


class Ended:
    """A server that has already stopped."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self.command, self.env, self.stopped = command, env, False

    def wait(self) -> int:
        if not self.stopped:
            raise KeyboardInterrupt
        return 0

    def poll(self) -> int:
        return 0

    def terminate(self) -> None:
        self.stopped = True


def test_ctrl_c_stops_the_server_and_says_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Ended] = []

    def start(command: list[str], env: dict[str, str]) -> Ended:
        started.append(Ended(command, env))
        return started[-1]

    monkeypatch.setattr(launcher.subprocess, "Popen", start)
    assert launcher.launch([], 8510, open_browser=False) == 130
    assert started[0].stopped
