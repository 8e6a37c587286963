"""The column mappings of config/config.yaml on real rows."""

import ast
import inspect
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.data import prepared, read
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json

JAVA = {
    "Repeats a text.": """\
public static String repeat(String text, int times) {
    // Room for all of it.
    StringBuilder all = new StringBuilder(text.length() * times);
    for (int i = 0; i < times; i++) { all.append(text); }
    return all.toString() + "/** no comment */";
}""",
    "Makes a range that holds both its ends.": """\
public Range(final int low, final int high) {
    this.low = low;
    this.order = new Comparator<Integer>() {
        /** Compares as integers do. */
        @Override public int compare(Integer a, Integer b) { return a - b; }
    };
}""",
}


@pytest.fixture(scope="module")
def config(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "config/config.yaml").read_text(encoding="utf-8"))


def mapped(
    root: Path, config: dict[str, Any], task: str, source: str, rows: list[dict]
) -> tuple[list[list[str]], dict[str, Any]]:
    """Map rows with a source's columns: the texts of each row's messages, and the report."""
    entry = config["sources"][source]
    columns = {k: entry[k] for k in ("columns", "id_column", "on_empty") if k in entry}
    templates = {k: config["tasks"][task][k] for k in ("prompt", "answer")}
    out = prepared(root, task, {source: rows}, templates, columns)
    texts = [[turn["content"] for turn in row["messages"]] for row in read(out / "rows.jsonl")]
    return texts, read_json(out / "report.json")


@pytest.mark.slow
def test_kodcode_and_mbpp(tmp_path: Path, config: dict[str, Any], real_data: Path) -> None:
    sample = read(real_data / "kodcode/kodcode_sample.jsonl.gz")
    # The sample is KodCode-V1's; in the SFT set the answer of the same items is `4o_solution`.
    renamed = [{**row, "4o_solution": row["solution"]} for row in sample]
    texts, report = mapped(tmp_path, config, "codegen", "kodcode", renamed)
    assert report["read"] == len(sample) and report["empty"] == 0
    assert report["rows"] + report["duplicates"] == len(sample) > 200
    asked = {row["question"].strip(): row["solution"].rstrip() for row in sample}
    for user, assistant in texts:
        assert asked[user.strip()].strip("\n") == assistant.strip("\n")
    with pytest.raises(UserError, match=r"no column '4o_solution'"):
        mapped(tmp_path, config, "codegen", "kodcode", sample)

    # The tasks of MBPP's training split (601 to 974) that MbppPlus holds as well.
    rows = [
        {"text": problem["prompt"].strip('"\n').split("\n")[0], "task_id": problem["task_id"]}
        | {"code": problem["canonical_solution"].strip(), "test_list": []}
        for problem in read(real_data / "benchmarks/MbppPlus-v0.1.0.jsonl.gz")
        if 601 <= int(problem["task_id"].removeprefix("Mbpp/")) <= 974
    ]
    texts, report = mapped(tmp_path, config, "codegen", "mbpp-train", rows)
    assert report["rows"] == len(rows) == 111
    assert texts == [[row["text"], row["code"]] for row in rows]


def codexglue(language: str, index: int, code: str, docstring: str) -> dict[str, Any]:
    """A row of google/code_x_glue_ct_code_to_text."""
    texts = {"code": code, "original_string": code, "docstring": docstring, "func_name": "f"}
    tokens = {"code_tokens": code.split(), "docstring_tokens": docstring.split()}
    return {"id": index, "repo": "a/b", "path": "A.java", "language": language, **texts, **tokens}


def test_codexglue(tmp_path: Path, config: dict[str, Any]) -> None:
    prompt = config["tasks"]["codesum"]["prompt"]
    assert "{code:without_docstrings[language]}" in prompt
    sources = [inspect.getsource(function) for function in (textwrap.wrap, textwrap.dedent)]
    pairs = [(ast.get_docstring(ast.parse(code).body[0]), code) for code in sources]
    rows = [codexglue("python", n, code, text) for n, (text, code) in enumerate(pairs)]
    rows += [
        codexglue("java", n, code, f"{text}\n\n@return it")
        for n, (text, code) in enumerate(JAVA.items())
    ]
    rows.append({**rows[0], "docstring": " \n"})
    texts, report = mapped(tmp_path, config, "codesum", "codexglue-train", rows)
    assert report["read"] == len(rows) == 5 and report["empty"] == 1
    by_code = {row["code"]: row for row in rows[:-1]}
    assert {answer for _, answer in texts} == {row["docstring"].strip() for row in by_code.values()}
    head = prompt.split("{code")[0]
    codes = [user.removeprefix(head) for user, _ in texts]
    for code in codes[:-2]:
        (node,) = ast.parse(code).body
        assert isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is None
    assert "// Room for all of it." in codes[-2] and '"/** no comment */"' in codes[-2]
    assert "@Override public int compare" in codes[-1] and "Compares as" not in codes[-1]

    with pytest.raises(UserError, match=r"rows\.jsonl:1: column 'language' says 'ruby'"):
        ruby = codexglue("ruby", 0, "def f\n  1\nend", "Gives one.")
        mapped(tmp_path, config, "codesum", "codexglue-train", [ruby])
