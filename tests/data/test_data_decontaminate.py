"""Rows that share an n-gram with a suite are dropped, with the reason; nothing else is."""

import random
import re

import pytest

from fixtures.data import fetched, read, write
from mixmerge.artifacts.manifest import read_manifest, write_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.data.decontaminate import NgramIndex, decontaminate, tokens
from mixmerge.data.prepare import prepare
from mixmerge.data.settings import Decontamination, PrepareSettings

# Nine words of instruction: a template of its own would be an overlap at n = 5.
TEMPLATES = {
    "prompt": "Write a Python function that does the following, please:\n{problem}",
    "answer": "Here is the code you asked me for:\n{solution}",
}


def prepared(root, rows):
    settings = {"templates": TEMPLATES, "columns": {"src": {"id_column": "id"}}}
    given, out = PrepareSettings.model_validate(settings), root / "tasks" / "codegen"
    prepare("codegen", given, {"src": fetched(root, "src", rows)}, out)
    return out


def heldout(root, suite, items):
    directory = root / "heldout" / suite
    write(directory / "texts.jsonl", items)
    write_manifest(directory, "heldout", {"items": len(items)})
    return directory


def row(name, problem="nothing in particular", solution="pass"):
    return {"id": name, "problem": problem, "solution": solution}


def item(name, **texts):
    return {"id": name, "texts": texts}


def run(root, rows, suites, **settings):
    directory = prepared(root, rows)
    held = {suite: heldout(root, suite, items) for suite, items in suites.items()}
    out = root / "clean" / "codegen"
    given = Decontamination(ngram=5, **settings)
    report = decontaminate("codegen", given, directory, held, out)
    return read(out / "rows.jsonl"), read(out / "dropped.jsonl"), report


SUITES = {
    "humaneval": [
        item(
            "HumanEval/0", problem="Return the longest common prefix of both words.", solution="x"
        ),
        item("HumanEval/1", problem="Short one", solution="for a in b: c(a, [1, 2, 3, 4, 5, 6])"),
    ],
    "mbpp": [item("Mbpp/9", problem="the LONGEST common prefix, of-both strings")],
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
    names = [one["id"].split("/")[-1] for one in kept]
    assert names == ["near", "numbers", "across", "fine"]
    assert set(kept[0]) == {"id", "task", "source", "messages"}
    first = dropped[0]
    assert first["id"] == "codegen/src/same"
    assert first["suite"] == "humaneval"
    assert first["item"] == "HumanEval/0"
    assert first["ngram"] == "return the longest common prefix"
    assert first["field"] == "problem"
    assert [one["suite"] for one in first["overlaps"]] == ["humaneval", "mbpp"]
    assert report["suites"]["humaneval"] == {"items": 2, "too_short": 0, "rows": 2}
    assert report["suites"]["mbpp"]["rows"] == 1
    assert report["dropped"] == len(dropped) == 2
    assert read_manifest(tmp_path / "clean" / "codegen", "rows")["facts"] == {"rows": 4}
    assert read_json(tmp_path / "clean" / "codegen" / "report.json") == report


def test_the_words_of_the_templates_are_no_overlap(tmp_path):
    instruction = TEMPLATES["prompt"].format(problem="") + TEMPLATES["answer"].format(solution="")
    suites = {"s": [item("a", problem=instruction), item("b", problem="please:\nkeep this row")]}
    kept, dropped, _ = run(tmp_path, [row("one", "keep this row"), row("two")], suites)
    assert len(kept) == 2 and not dropped


def test_fields_narrow_what_is_compared(tmp_path):
    rows = [row("one", solution="return the longest common prefix of both"), row("two")]
    kept, _, _ = run(tmp_path / "a", rows, SUITES, fields=["problem"])
    assert len(kept) == 2
    kept, _, _ = run(tmp_path / "b", rows, SUITES, fields=["solution"])
    assert len(kept) == 1
    kept, _, _ = run(tmp_path / "c", rows, SUITES, fields=["another"])  # a task without it: all
    assert len(kept) == 1


def test_disabled_passes_everything_through(tmp_path):
    rows = [row("one", "return the longest common prefix of both")]
    kept, dropped, report = run(tmp_path, rows, SUITES, enabled=False)
    assert len(kept) == 1 and not dropped
    assert report["suites"] == {} and report["rows"] == 1
    assert "spans" not in kept[0]


def test_nothing_left_is_an_error_with_a_way_out(tmp_path):
    rows = [row("one", "return the longest common prefix of both")]
    with pytest.raises(UserError, match=r"left none of 1 rows; a longer data\.decontamination"):
        run(tmp_path, rows, SUITES)
    assert not (tmp_path / "clean" / "codegen").exists()


def test_enabled_without_suites_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"no --heldout directory"):
        run(tmp_path, [row("one")], {})


def naive(n, items, text):
    """Suites that share an n-gram with a letter in it: the definition, word for word."""

    def grams(text):
        words = re.findall(r"\w+", text.lower())
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    own = {gram for gram in grams(text) if any(c.isalpha() for word in gram for c in word)}
    return {suite for suite, _, texts in items if any(own & grams(one) for one in texts)}


@pytest.mark.parametrize("n", [3, 4, 10])
def test_the_index_agrees_with_the_definition(n):
    rng = random.Random(n)
    vocabulary = ["a", "b", "If", "x_1", "7", "42", "é", "()", ",", "_"]

    def text(length):
        return " ".join(rng.choices(vocabulary, k=length))

    items = [(f"s{i % 3}", f"i{i}", [text(rng.randint(0, 12)), text(15)]) for i in range(60)]
    index = NgramIndex(n, items)
    seen = set()
    for _ in range(400):
        query = text(rng.randint(0, 2 * n + 2))
        if rng.random() < 0.3:
            query += " " + rng.choice(items)[2][1]
        found = index.overlaps(query)
        assert {suite for suite, _, _ in found} == naive(n, items, query)
        for suite, name, ngram in found:
            texts = next(texts for s, i, texts in items if (s, i) == (suite, name))
            assert any(ngram in " ".join(tokens(one)) for one in texts)
            assert ngram in " ".join(tokens(query))
        seen.add(len(found))
    assert {0, 1} <= seen


def test_items_too_short_to_be_found_are_counted():
    index = NgramIndex(
        5, [("s", "a", ["one two", "three"]), ("s", "b", ["one two three four five"])]
    )
    assert index.short == {"s": 1} and index.items == {"s": 2} and len(index) == 1
