"""What tests of pages share: open a page over a run, read its figures and its words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.launcher import MAIN


def opened(folder: Path, monkeypatch: pytest.MonkeyPatch, page: str, run: str = "") -> AppTest:
    """A page over the runs of a folder; of several, the one of this name."""
    monkeypatch.setenv("NME_RUNS", str(folder))
    at = AppTest.from_file(str(MAIN), default_timeout=60).run()
    if run:
        at.sidebar.selectbox(key="run").set_value(run).run()
    at = at.switch_page(f"../pages/{page}.py").run()
    assert not at.exception
    return at


def figure(at: AppTest, index: int = 0) -> dict:
    """A plotly figure as it was sent to the browser."""
    return json.loads(at.get("plotly_chart")[index].proto.spec)


def numbers(values) -> np.ndarray:
    """A column of a figure's trace, which may be packed."""
    if isinstance(values, dict):
        import base64

        found = np.frombuffer(base64.b64decode(values["bdata"]), dtype=np.dtype(values["dtype"]))
        return found.reshape([int(n) for n in values["shape"].split(",")]) if "shape" in values else found
    return np.array(values, dtype=float)


def words(at: AppTest) -> str:
    """Everything the page says, without escapes."""
    kinds = (at.markdown, at.caption, at.info, at.error, at.warning, at.success, at.code, at.subheader, at.header)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def saving(at: AppTest) -> list[str]:
    """Labels of all buttons that save a file."""
    return [button.proto.label for button in at.get("download_button")]
