"""Rows that share an n-gram with a suite are dropped, with the reason; nothing else is."""

import random
import re

import pytest

from fixtures.data import prepared, read, write
from mixmerge.artifacts.manifest import read_manifest, write_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.data.decontaminate import decontaminate, ngram_index, ngrams
from mixmerge.data.settings import Decontamination

# Nine words of instruction: a template of its own would be an overlap at n = 5.
TEMPLATES = {
    "prompt": "Write a Python function that does the following, please:\n{problem}",
    "answer": "Here is the code you asked me for:\n{solution}",
}


def row(name, problem="nothing in particular", solution="pass"):
    return {"id": name, "problem": problem, "solution": solution}


def item(name, **texts):
    return {"id": name, "texts": texts}


def run(root, rows, suites, **settings):
    task = prepared(root, "codegen", {"src": rows}, TEMPLATES, {"id_column": "id"})
    heldout = {suite: root / "heldout" / suite for suite in suites}
    for suite, directory in heldout.items():
        write(directory / "texts.jsonl", suites[suite])
        write_manifest(directory, "heldout", {"items": len(suites[suite])})
    out = root / "clean" / "codegen"
    report = decontaminate("codegen", Decontamination(ngram=5, **settings), task, heldout, out)
    return read(out / "rows.jsonl"), read(out / "dropped.jsonl"), report


SUITES = {
    "mbpp": [item("Mbpp/9", problem="the LONGEST common prefix, of-both strings"), item("M", t="")],
    "humaneval": [
        item("HumanEval/0", problem="Return the longest common prefix of both words.", solution=""),
        item("HumanEval/1", problem="Short one", solution="for a in b: c(a, [1, 2, 3, 4, 5, 6])"),
    ],
}


def test_rows_that_share_an_ngram_are_dropped_and_told(tmp_path):
    rows = [
        row("same", "Please return the longest  Common\nprefix -- of both"),
        row("near", "Return the longest prefix of both words in common"),
        row("code", solution="def f():\n    for a in b:\n        c( a )"),
        row("numbers", solution="g(1, 2, 3, 4, 5, 6)"),
        row("across", "return the longest", "common prefix of both"),
        row("fine"),
    ]
    kept, dropped, report = run(tmp_path, rows, SUITES)
    assert [row["id"][12:] for row in kept] == ["near", "numbers", "across", "fine"]
    assert set(kept[0]) == {"id", "task", "source", "messages"}
    first = {"suite": "humaneval", "item": "HumanEval/0", "field": "problem"}
    first["ngram"] = "return the longest common prefix"
    second = {"suite": "mbpp", "item": "Mbpp/9", "field": "problem"}
    second["ngram"] = "the longest common prefix of"
    assert dropped[0] == {"id": "codegen/src/same", **first, "overlaps": [first, second]}
    assert report["suites"]["humaneval"] == {"items": 2, "too_short": 0, "rows": 2}
    assert report["suites"]["mbpp"] == {"items": 2, "too_short": 1, "rows": 1}
    assert report["dropped"] == len(dropped) == 2
    assert read_manifest(tmp_path / "clean" / "codegen", "rows")["facts"] == {"rows": 4}
    assert read_json(tmp_path / "clean" / "codegen" / "report.json") == report


def test_the_words_of_the_templates_are_no_overlap(tmp_path):
    instruction = TEMPLATES["prompt"].format(problem="") + TEMPLATES["answer"].format(solution="")
    suites = {"s": [item("a", problem=instruction), item("b", problem="please:\nkeep this row")]}
    kept, dropped, _ = run(tmp_path, [row("one", "keep this row"), row("two")], suites)
    assert len(kept) == 2 and not dropped


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({"fields": ["problem"]}, 2),
        ({"fields": ["solution"]}, 1),
        ({"fields": ["another"]}, 1),  # a task without it: all
        ({"enabled": False}, 2),
    ],
)
def test_settings_narrow_what_is_compared(tmp_path, settings, left):
    rows = [row("one", solution="return the longest common prefix of both"), row("two")]
    kept, dropped, report = run(tmp_path, rows, SUITES, **settings)
    assert (len(kept), len(dropped), report["rows"]) == (left, 2 - left, left)
    assert "spans" not in kept[0] and bool(report["suites"]) == settings.get("enabled", True)


def test_nothing_left_or_nothing_to_compare_with_is_an_error(tmp_path):
    rows = [row("one", "return the longest common prefix of both")]
    with pytest.raises(UserError, match=r"left none of 1 rows; a longer data\.decontamination"):
        run(tmp_path, rows, SUITES)
    assert not (tmp_path / "clean" / "codegen").exists()
    with pytest.raises(UserError, match=r"no --heldout directory"):
        run(tmp_path, rows, {})


def grams(text, n):
    words = re.findall(r"\w+", text.lower())
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


@pytest.mark.parametrize("n", [3, 4, 10])
def test_the_index_agrees_with_the_definition(n):
    """N-grams with a letter in them, and the first item that holds each."""
    rng = random.Random(n)
    vocabulary = ["a", "b", "If", "x_1", "7", "42", "é", "()", ",", "_"]

    def text(length):
        return " ".join(rng.choices(vocabulary, k=length))

    items = [item(f"i{i}", a=text(rng.randint(0, 12)), b=text(15)) for i in range(40)]
    index, _ = ngram_index(items, n)
    known = {}
    for entry in items:
        for gram in (gram for text in entry["texts"].values() for gram in grams(text, n)):
            if any(character.isalpha() for word in gram for character in word):
                known.setdefault(gram, entry["id"])
    assert len(index) == len(known)
    hits = 0
    for _ in range(200):
        query = f"{text(rng.randint(0, 2 * n + 2))} {rng.choice(items)['texts']['b']}"
        expected = [known.get(gram) for gram in grams(query, n)]
        assert [index.get(value) for value in ngrams(query, n)[1]] == expected
        hits += len(set(expected)) > 1
    assert hits > 0
