"""Excel files that unpack to too much or declare entities are refused before they are opened, in little memory."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from toolkit.data.readers import read_table
from toolkit.data.readers.packed import LARGEST_UNPACKED
from toolkit.errors import DataError

SHEET = "xl/worksheets/sheet1.xml"


def packed(folder: Path, parts: dict[str, bytes]) -> Path:
    path = folder / "a.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def refused(path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert caught.value.code == "E501"


def test_a_file_that_says_it_is_huge(tmp_path: Path) -> None:
    refused(packed(tmp_path, {SHEET: bytes(LARGEST_UNPACKED + 1)}))


def test_a_file_that_lies_about_its_size(tmp_path: Path) -> None:
    path = packed(tmp_path, {SHEET: bytes(30 * 2**20)})
    content = bytearray(path.read_bytes())
    size = (30 * 2**20).to_bytes(4, "little")
    for start in range(len(content) - 4):
        if content[start : start + 4] == size:
            content[start : start + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"E107|E501"):
        read_table(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities(tmp_path: Path, encoding: str) -> None:
    text = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>'
    refused(packed(tmp_path, {"xl/workbook.xml": text.encode(encoding)}))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak memory is read from /proc")
def test_a_bomb_is_refused_in_little_memory(tmp_path: Path) -> None:
    path = packed(tmp_path, {f"xl/worksheets/sheet{k}.xml": bytes(60 * 2**20) for k in range(4)})
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from toolkit.data.readers import read_table\n"
        "from toolkit.errors import DataError\n"
        "try: read_table(sys.argv[1])\n"
        "except DataError as error: code = error.code\n"
        "lines = Path('/proc/self/status').read_text().splitlines()\n"
        "print(code, next(line.split()[1] for line in lines if line.startswith('VmHWM')))\n"
    )
    out = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True).stdout
    code, peak = out.split()
    assert code == "E501"
    assert int(peak) < 300 * 1024
