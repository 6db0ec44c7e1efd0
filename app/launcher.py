"""Starts the dashboard as a process of its own, with settings that keep data on this computer.

The settings are passed as flags: a configuration file would depend on the folder the command is typed in.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolkit.errors import ConfigError

HERE = Path(__file__).parent
MAIN = HERE / "entry" / "dashboard.py"
SERVED = HERE / "entry" / "served.py"
ROOT = HERE.parent
RUNS_VARIABLE = "NME_RUNS"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
UPLOAD_MB = 200
STARTING_SECONDS = 30.0

SAFE_SETTINGS: Mapping[str, str] = {
    "browser.gatherUsageStats": "false",
    "client.showErrorDetails": "none",
    "client.showErrorLinks": "false",
    # the built-in csv button would bypass the guard on small groups
    "client.disableDataExport": "true",
    "client.toolbarMode": "minimal",
    "client.allowedOrigins": "http://127.0.0.1",
    "server.fileWatcherType": "none",
    "server.runOnSave": "false",
    # the launcher opens the browser itself, once the server answers
    "server.headless": "true",
    "server.showEmailPrompt": "false",
    "server.enableCORS": "true",
    "server.enableXsrfProtection": "true",
    "server.enableStaticServing": "false",
    "server.enableAgentApi": "false",
    "server.maxUploadSize": str(UPLOAD_MB),
    "global.developmentMode": "false",
    "logger.level": "warning",
}
# the browser's own preference decides between light and dark
COLOURS: Mapping[str, Mapping[str, str]] = {
    "light": {
        "primaryColor": "#0B5C94",
        "backgroundColor": "#FFFFFF",
        "secondaryBackgroundColor": "#F5F7FA",
        "textColor": "#1F2933",
        "borderColor": "#D5DBE1",
        "linkColor": "#0B5C94",
    },
    "dark": {
        "primaryColor": "#2878B5",
        "backgroundColor": "#12181F",
        "secondaryBackgroundColor": "#1B232C",
        "textColor": "#E6EBF0",
        "borderColor": "#3A4652",
        "linkColor": "#7CC0F0",
    },
}
THEME: Mapping[str, str] = {
    "theme.font": "sans-serif",
    "theme.baseRadius": "0.4rem",
    "theme.paddingTop": "0.5rem",
    "theme.paddingBottom": "3rem",
} | {f"theme.{mode}.{name}": colour for mode, colours in COLOURS.items() for name, colour in colours.items()}


def launch(
    paths: Sequence[str | Path] = (),
    port: int = 8501,
    open_browser: bool = True,
    *,
    address: str = "127.0.0.1",
    allow_network: bool = False,
) -> int:
    """Start the dashboard and wait until it ends.

    Args:
        paths: run folders, or folders that hold several.
        port: where to listen; the next free one if it is taken.
        open_browser: open the page once the server answers.
        address: where to listen. Only this computer's own address is accepted unless ``allow_network`` is set.
        allow_network: let other computers in; then anybody who can reach this computer can see the data.

    Returns:
        The exit code of the server; 130 after Ctrl-C.

    Raises:
        ConfigError: E302 for an address other computers could reach, or no free port.
    """
    check_address(address, allow_network=allow_network)
    port = free_port(port, address)
    arguments = command(port, address=address, allow_network=allow_network)
    process = subprocess.Popen(arguments, env=environment(paths))
    if open_browser:
        threading.Thread(target=_open_when_ready, args=(process, address, port), daemon=True).start()
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        return 130


def check_address(address: str, *, allow_network: bool) -> None:
    """Refuse an address other computers could reach (E302), unless that is wanted."""
    if address not in LOOPBACK and not allow_network:
        raise ConfigError(
            "the dashboard listens on this computer only, so that no other computer can see the data",
            code="E302",
            column="address",
            remedy="Leave the address out, or allow the network (--allow-network) if you are sure",
        )


def command(port: int, *, address: str = "127.0.0.1", allow_network: bool = False) -> list[str]:
    """The command line of the server with every safe setting.

    Raises:
        ConfigError: E302 for an address other computers could reach, without ``allow_network``.
    """
    check_address(address, allow_network=allow_network)
    settings = {
        "server.address": address,
        "server.port": str(port),
        **SAFE_SETTINGS,
        **THEME,
    }
    # refuses pages of other sites that point their name at this computer
    hosts = LOOPBACK if address in LOOPBACK else ("*",)
    flags = [f"--{name}={value}" for name, value in settings.items()]
    flags += [f"--server.allowedHosts={host}" for host in hosts]
    return [sys.executable, "-m", "app.serving", "run", str(SERVED), *flags]


def environment(paths: Sequence[str | Path]) -> dict[str, str]:
    """The server's environment: where the runs are, and where the packages are when they are not installed."""
    absolute = [str(Path(path).expanduser().resolve()) for path in paths]
    python_path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    return os.environ | {RUNS_VARIABLE: os.pathsep.join(absolute), "PYTHONPATH": os.pathsep.join(python_path)}


def free_port(port: int, address: str = "127.0.0.1", tries: int = 50) -> int:
    """``port``, or the next one above that nobody listens on.

    Raises:
        ConfigError: E302 when none of ``tries`` ports is free.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for candidate in range(port, min(port + tries, 65_536)):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # without it, a port that was closed a moment ago counts as taken
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, candidate))
            except OSError:
                continue
            return candidate
    raise ConfigError("no free port was found", code="E302", column="port", remedy="Choose another port")


def _open_when_ready(process: subprocess.Popen[bytes], address: str, port: int) -> None:
    deadline = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.settimeout(0.5)
            if probe.connect_ex((address, port)) == 0:
                webbrowser.open(f"http://{f'[{address}]' if ':' in address else address}:{port}")
                return
        time.sleep(0.05)
