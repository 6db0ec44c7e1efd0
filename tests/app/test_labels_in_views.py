"""Labels that look like markup are shown as written in every view; pseudonyms stay out where they should."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from example_run import write_example
from opened_pages import choose, opened_at, views_of

EVIL = "<script>alert(1)</script> ![x](http://evil.example/x.png) $x$"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    home = tmp_path_factory.mktemp("evil")
    folder = write_example(home / "nme-crf", persons=40, groups=(EVIL, "b"))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["study"] |= {"title": EVIL, "group_name": EVIL, "unit": EVIL}
    manifest["warnings"] = [f"W235: {EVIL}"]
    manifest["status"]["sentence"] = EVIL
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return home


@pytest.mark.parametrize(
    "page",
    [
        pytest.param("data", marks=pytest.mark.slow),
        pytest.param("model", marks=pytest.mark.slow),
        pytest.param("persons", marks=pytest.mark.slow),
        "one_person",
    ],
)
def test_no_view_reads_a_label_as_markup(runs, monkeypatch, page):
    at = opened_at(page, runs, monkeypatch, "nme-crf")
    persons = set(pd.read_parquet(runs / "nme-crf" / "persons.parquet")["person"])
    for view in views_of(at):
        at = choose(at, view)
        kinds = (at.markdown, at.caption, at.subheader, at.info, at.warning)
        raw = "\n".join(str(element.value) for kind in kinds for element in kind)
        assert "![x](" not in raw, view
        assert "<script>" not in raw.replace(r"\<script\>", ""), view
        charts = [json.dumps(json.loads(chart.proto.spec), ensure_ascii=False) for chart in at.get("plotly_chart")]
        assert not any("<script>" in chart for chart in charts), view
        if page != "one_person":
            shown = raw + "".join(charts) + "".join(table.value.to_csv() for table in at.dataframe)
            assert not any(name in shown for name in persons), view
