"""The column mappings of config/config.yaml on real rows, through the real scripts."""

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.data import read, run_script, write
from mixmerge.core.io import read_json

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
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
def config() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))


def prepared(
    root: Path, config: dict[str, Any], task: str, source: str, rows: list[dict], **changed: Any
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Fetch rows from a file and map them with a source's columns: messages by row, and report."""
    file = write(root / "rows.jsonl.gz", rows)
    fetched, out = root / "sources" / source, root / "tasks" / task
    given = {"kind": "local", "path": str(file)}
    assert run_script("fetch", "--source", source, "--out", fetched, settings=given) == ""
    entry = config["sources"][source]
    columns = {k: entry[k] for k in ("columns", "id_column", "on_empty") if k in entry} | changed
    templates = {k: config["tasks"][task][k] for k in ("prompt", "answer")}
    settings = {"templates": templates, "columns": {source: columns}}
    arguments = ("--task", task, "--sources", f"{source}={fetched}", "--out", out)
    message = run_script("prepare", *arguments, settings=settings)
    if message:
        raise AssertionError(message)
    return read(out / "rows.jsonl"), read_json(out / "report.json")


@pytest.fixture(scope="module")
def sample(real_data: Path) -> list[dict[str, Any]]:
    return read(real_data / "kodcode/kodcode_sample.jsonl.gz")


def test_kodcode(tmp_path: Path, config: dict[str, Any], sample: list[dict[str, Any]]) -> None:
    assert config["sources"]["kodcode"]["columns"] == {
        "problem": "question",
        "solution": "4o_solution",
    }
    # The sample is KodCode-V1's; in the SFT set the answer of the same items is `4o_solution`.
    renamed = [{**row, "4o_solution": row["solution"]} for row in sample]
    rows, report = prepared(tmp_path, config, "codegen", "kodcode", renamed)
    assert report["read"] == len(sample) and report["empty"] == 0
    assert report["rows"] + report["duplicates"] == len(sample) > 200
    asked = {row["question"].strip(): row["solution"].rstrip() for row in sample}
    for row in rows:
        user, assistant = (message["content"] for message in row["messages"])
        assert asked[user.strip()].strip("\n") == assistant.strip("\n")


def test_the_samples_own_answer_column(
    tmp_path: Path, config: dict[str, Any], sample: list[dict[str, Any]]
) -> None:
    columns = {"problem": "question", "solution": "solution"}
    rows, _ = prepared(tmp_path, config, "codegen", "kodcode", sample, columns=columns)
    assert "def interleave_strings" in rows[0]["messages"][1]["content"]
    with pytest.raises(AssertionError, match=r"source 'kodcode' has no column '4o_solution'"):
        prepared(tmp_path, config, "codegen", "kodcode", sample)


def test_mbpp(tmp_path: Path, config: dict[str, Any], real_data: Path) -> None:
    assert config["sources"]["mbpp-train"]["columns"] == {"problem": "text", "solution": "code"}
    # The tasks of MBPP's training split (601 to 974) that MbppPlus holds as well.
    rows = []
    for problem in read(real_data / "benchmarks/MbppPlus-v0.1.0.jsonl.gz"):
        number = int(problem["task_id"].removeprefix("Mbpp/"))
        if 601 <= number <= 974:
            tests = problem["assertion"].strip().splitlines()
            row = {"task_id": number, "text": problem["prompt"].strip('"\n').split("\n")[0]}
            more = {"test_list": tests, "test_setup_code": "", "challenge_test_list": []}
            rows.append({**row, "code": problem["canonical_solution"].strip(), **more})
    mapped, report = prepared(tmp_path, config, "codegen", "mbpp-train", rows)
    assert report["rows"] == len(rows) == 111
    for row, source in zip(mapped, rows, strict=True):
        assert [message["content"] for message in row["messages"]] == [
            source["text"],
            source["code"],
        ]


def functions(package: str, limit: int) -> Iterator[tuple[str, str, str, str]]:
    """Path, name, source and docstring of a package's documented functions."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    found = 0
    for path in sorted(Path(spec.origin).parent.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (said := ast.get_docstring(node)):
                code = ast.get_source_segment(text, node)
                assert code is not None
                yield path.name, node.name, code, said
                found += 1
                if found == limit:
                    return


def codexglue(language: str, index: int, path: str, name: str, code: str, said: str) -> dict:
    """A row of google/code_x_glue_ct_code_to_text."""
    return {
        "id": index,
        "repo": "someone/something",
        "path": path,
        "func_name": name,
        "original_string": code,
        "language": language,
        "code": code,
        "code_tokens": code.split(),
        "docstring": said,
        "docstring_tokens": said.split(),
        "sha": "0" * 40,
        "url": f"https://example.org/{path}#L1-L2",
    }


def test_codexglue(tmp_path: Path, config: dict[str, Any]) -> None:
    prompt = config["tasks"]["codesum"]["prompt"]
    assert "{code:without_docstrings[language]}" in prompt
    entry = config["sources"]["codexglue-train"]
    assert entry["subsets"] == ["python", "java"] and "columns" not in entry
    pairs = [pair for package in ("pydantic", "json", "yaml") for pair in functions(package, 150)]
    rows = [codexglue("python", n, *pair) for n, pair in enumerate(pairs)]
    rows += [
        codexglue("java", n, "A.java", "A.f", code, f"{said}\n\n@return it")
        for n, (said, code) in enumerate(JAVA.items())
    ]
    rows.append({**rows[0], "docstring": " \n"})
    mapped, report = prepared(tmp_path, config, "codesum", "codexglue-train", rows)
    assert report["read"] == len(rows) > 150 and report["empty"] == 1
    by_code = {row["code"]: row for row in rows[:-1]}
    head = prompt.split("{code")[0]
    answers = {row["messages"][1]["content"] for row in mapped}
    assert answers == {row["docstring"].strip() for row in by_code.values()}
    for row in mapped:
        code = row["messages"][0]["content"].removeprefix(head)
        assert code != row["messages"][0]["content"]
        if "{\n" in code and "public" in code:
            assert "Compares as integers do" not in code
            continue
        (node,) = ast.parse(code).body
        assert isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is None
    java = [row["messages"][0]["content"] for row in mapped[-2:]]
    assert "// Room for all of it." in java[0] and '"/** no comment */"' in java[0]
    assert "@Override public int compare" in java[1]


def test_a_language_that_nobody_can_parse_is_named(tmp_path: Path, config: dict[str, Any]) -> None:
    row = codexglue("ruby", 0, "a.rb", "f", "def f\n  1\nend", "Gives one.")
    with pytest.raises(AssertionError, match=r"rows\.jsonl:1: column 'language' .* says 'ruby'"):
        prepared(tmp_path, config, "codesum", "codexglue-train", [row])
