"""``python -m toolkit.cli``: the nme command where scripts are not on the path."""

from toolkit.cli.main import run

run()
