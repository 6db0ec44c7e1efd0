"""Tables from files, one kind of file a module.

What pandas, pyarrow and pyreadstat say about a broken file repeats its cells, so their words never pass.
"""

from __future__ import annotations

from toolkit.data.readers.cells import EMPTY_CELLS as EMPTY_CELLS
from toolkit.data.readers.options import ReadOptions as ReadOptions
from toolkit.data.readers.options import ReadResult as ReadResult
from toolkit.data.readers.options import TableFormat as TableFormat
from toolkit.data.readers.table import KINDS as KINDS
from toolkit.data.readers.table import read_file as read_file
from toolkit.data.readers.table import read_table as read_table
