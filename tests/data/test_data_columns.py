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

JAVA = """\
public Range(final int low, final int high) {
    // Its order.
    this.order = new Comparator<Integer>() {
        /** Compares as integers do. */
        @Override public int compare(Integer a, Integer b) { return a - b + "/** no comment */"; }
    };
}"""


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

    rows = [{"text": f"Add {n}.", "task_id": n, "code": f"x += {n}"} for n in (601, 974)]
    texts, _ = mapped(tmp_path, config, "codegen", "mbpp-train", rows)
    assert texts == [[row["text"], row["code"]] for row in rows]


def test_codexglue(tmp_path: Path, config: dict[str, Any]) -> None:
    """Rows as google/code_x_glue_ct_code_to_text has them."""

    def row(index: int, code: str, docstring: str, language: str = "python") -> dict[str, Any]:
        more = {"original_string": code, "func_name": "f", "docstring_tokens": docstring.split()}
        return {"id": index, "language": language, "code": code, "docstring": docstring, **more}

    prompt = config["tasks"]["codesum"]["prompt"]
    assert "{code:without_docstrings[language]}" in prompt
    functions = enumerate((textwrap.wrap, textwrap.dedent))
    rows = [row(n, inspect.getsource(f), inspect.getdoc(f)) for n, f in functions]
    rows += [row(2, JAVA, "Makes a range.\n\n@return it", "java"), row(3, "def f(): g()", " \n")]
    texts, report = mapped(tmp_path, config, "codesum", "codexglue-train", rows)
    assert report["read"] == 4 and report["empty"] == 1
    assert [answer for _, answer in texts] == [row["docstring"].strip() for row in rows[:3]]
    *python, java = (user.removeprefix(prompt.split("{code")[0]) for user, _ in texts)
    for code in python:
        (node,) = ast.parse(code).body
        assert isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is None
    assert java == JAVA.replace("        /** Compares as integers do. */\n", "")

    with pytest.raises(UserError, match=r"rows\.jsonl:1: column 'language' says 'ruby'"):
        ruby = row(0, "def f\n  1\nend", "Gives one.", "ruby")
        mapped(tmp_path, config, "codesum", "codexglue-train", [ruby])
