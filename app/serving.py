"""The server process: Streamlit, started so that the first page is there soon.

``python -m app.serving run SCRIPT FLAGS`` is ``streamlit run SCRIPT FLAGS``.
"""

from __future__ import annotations

import gc
import socket
import sys
from collections.abc import Callable
from typing import Any

# seconds a thread that loads modules may keep the server waiting
TURN = 0.001


def main() -> None:
    """Serve; objects are not searched for garbage before everything is loaded (`app.loading`)."""
    gc.disable()
    sys.setswitchinterval(TURN)
    from streamlit.web.cli import main as serve

    send_at_once()
    answer_soon()
    sys.argv[0] = "streamlit"
    serve(prog_name="streamlit")


def send_at_once() -> None:
    """Let small messages go out at once.

    Otherwise every second one waits until the browser has confirmed the one before, which takes 40 ms (Nagle's
    algorithm against delayed confirmations); a page is drawn by dozens of them. Connections inherit the setting.
    """
    from streamlit.web.server.starlette import starlette_server

    bind: Callable[..., socket.socket] = starlette_server._bind_socket

    def bind_without_delay(*arguments: Any, **named: Any) -> socket.socket:
        bound = bind(*arguments, **named)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return bound

    starlette_server._bind_socket = bind_without_delay


def answer_soon() -> None:
    """Spare the first page a look through every loaded module, by which Streamlit finds out that this is no console."""
    from streamlit import env_util

    env_util.is_repl = lambda: False


if __name__ == "__main__":
    main()
