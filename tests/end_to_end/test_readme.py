"""The README's Python example runs as printed, and its commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from toolkit.cli.main import app

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.slow
def test_python_example_runs(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    exec(compile(example, "README.md", "exec"), {"__name__": "__readme__"})
    assert "n x HSIC" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", sorted(set(re.findall(r"^nme ((?:analyze )?[\w-]+)", README.read_text("utf-8"), re.M)))
)
def test_commands_exist(words):
    assert CliRunner().invoke(app, [*words.split(), "--help"]).exit_code == 0


def test_screenshots_exist():
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README.read_text(encoding="utf-8")):
        assert (README.parent / path).is_file()
