"""Suites of summaries: their items, and samples of them."""

import json
import subprocess
import sys

import pytest
from test_data_suites import SCRIPTS, read, settings, write

from mixmerge.core.errors import UserError
from mixmerge.data.settings import LocalSource
from mixmerge.data.sources import fetch
from mixmerge.data.suites import hold_out_rows, summary_suite


def summaries(tmp_path, rows):
    path = write(tmp_path / "held.jsonl", rows)
    source = tmp_path / "sources" / "held"
    fetch("held", LocalSource(kind="local", path=path), source)
    return source


def test_items_and_texts_of_a_summary_suite(tmp_path):
    source = summaries(
        tmp_path, [{"n": n, "code": f"c{n}()", "doc": f" Does {n}.\n"} for n in (1, 2)]
    )
    templates = {"prompt": "Sum up:\n{code}", "answer": "{docstring:strip}"}
    columns = {"columns": {"docstring": "doc"}, "id_column": "n"}
    given = settings("summary", templates, columns, limit=1)
    out, held = tmp_path / "suites" / "s", tmp_path / "heldout" / "s"
    assert summary_suite("s", given, source, out) == 1
    assert read(out / "items.jsonl") == [
        {
            "id": "1",
            "messages": [{"role": "user", "content": "Sum up:\nc1()"}],
            "reference": "Does 1.",
        }
    ]
    hold_out_rows("s", given, source, held)
    texts = {"code": "c2()", "docstring": "Does 2."}
    assert read(held / "texts.jsonl")[1] == {"id": "2", "texts": texts}  # `limit` is no matter here
    other = settings("summary", templates, columns, prompt="Explain {code}")
    summary_suite("s", other, source, out)
    assert read(out / "items.jsonl")[0]["messages"][0]["content"] == "Explain c1()"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"n": 1, "code": "c", "doc": ""}], r":1: empty answer; 1 row has .*on_empty: drop"),
        ([{"n": 1, "code": "c", "doc": "d"}] * 2, r":2: duplicate id '1'"),
        ([{"n": 1, "code": "c"}], r":1: source 'held' has no column 'doc'.*of suites\.s\)"),
    ],
)
def test_bad_held_out_rows_give_one_message(tmp_path, rows, message):
    source = summaries(tmp_path, rows)
    templates = {"prompt": "{code}", "answer": "{doc}"}
    given = settings("summary", templates, {"id_column": "n"})
    with pytest.raises(UserError, match=message):
        summary_suite("s", given, source, tmp_path / "suites" / "s")
    assert not (tmp_path / "suites" / "s").exists()


def test_a_sample_is_drawn_evenly_nested_and_by_id_alone(tmp_path):
    rows = [{"n": n, "code": f"c{n}()", "doc": f"Does {n}."} for n in range(300)]
    source = summaries(tmp_path, rows)
    templates = {"prompt": "{code}", "answer": "{doc}"}
    out = tmp_path / "suites" / "s"

    def drawn(seed=1, directory=source, **suite):
        given = settings("summary", templates, {"id_column": "n"}, **suite)
        count = summary_suite("s", given, directory, out, seed)
        found = [int(row["id"]) for row in read(out / "items.jsonl")]
        assert len(found) == count
        return found

    small, large = drawn(sample=30), drawn(sample=90)
    assert (len(small), len(large)) == (30, 90)
    assert small == sorted(small)
    assert set(small) < set(large)
    # Each third gives about a third: 30 of 90 expected, 4.5 standard deviation.
    assert all(12 < sum(start <= n < start + 100 for n in large) < 48 for start in (0, 100, 200))
    assert drawn(sample=30, seed=2) != small
    assert drawn(sample=30, limit=4) == small[:4]
    assert drawn(sample=1000) == list(range(300))
    (tmp_path / "other").mkdir()
    backwards = summaries(tmp_path / "other", rows[::-1])
    assert sorted(drawn(sample=30, directory=backwards)) == small


def test_a_sample_needs_its_seed(tmp_path):
    source = summaries(tmp_path, [{"n": 1, "code": "c", "doc": "d"}])
    value = {
        "suite": {"kind": "summary", "source": "held", "sample": 1},
        "templates": {"prompt": "{code}", "answer": "{doc}"},
    }
    command = [sys.executable, SCRIPTS / "suite.py", "--settings", json.dumps(value)]
    command += ["--source", source, "--out", tmp_path / "suites" / "s"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert "error: a sample needs --seed" in result.stderr
