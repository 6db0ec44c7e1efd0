"""Tables of a paper by name, built from a run folder: ``TABLES`` lists them, `standard_table` builds one."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from analyses.report.guard import checked_smallest
from analyses.report.standard_tables.differences import DIFFERENCE_TABLES
from analyses.report.standard_tables.entry import TableEntry, TableOptions
from analyses.report.standard_tables.group_tests import TEST_TABLES
from analyses.report.standard_tables.models import MODEL_TABLES
from analyses.report.standard_tables.sample import SAMPLE_TABLES
from toolkit.errors import ConfigError

if TYPE_CHECKING:
    from analyses.report.tables import ReportTable
    from toolkit.runs.folder import SavedRun

__all__ = ["TABLES", "TableEntry", "TableOptions", "standard_table"]

TABLES: tuple[TableEntry, ...] = (*SAMPLE_TABLES, *MODEL_TABLES, *DIFFERENCE_TABLES, *TEST_TABLES)


def standard_table(name: str, run: SavedRun, options: TableOptions | None = None) -> ReportTable:
    """A table by name; groups of 1 to 10 persons are not shown.

    Args:
        name: one of ``TABLES``.
        run: a finished run.
        options: what else to know.

    Raises:
        ConfigError: E302 for an unknown name (with the nearest one) or a smallest group outside 5 to 21.
        DataError: E408 for a run in which the analysis behind the table was not kept, or that has no such numbers.
    """
    options = options or TableOptions()
    checked_smallest(options.smallest)
    known = {entry.name: entry for entry in TABLES}
    if name not in known:
        near = get_close_matches(name, known, n=1)
        raise ConfigError(
            "there is no such table",
            code="E302",
            column="NAME",
            remedy=f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}",
        )
    return known[name].build(run, options)
