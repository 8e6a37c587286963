"""The embedded study's corpus: parts, bytes, and EvalPlus's own checker on its problems."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from embedded_study.corpus import build_corpus
from fixtures.data import read
from mixmerge.checkpoint.settings import EmbeddedModel
from mixmerge.core.errors import UserError

KEYS = {
    "task_id", "prompt", "entry_point", "canonical_solution", "test", "contract", "base_input",
    "atol", "plus_input",
}  # fmt: skip


def bodies(corpus: Path, *names: str) -> set[str]:
    """What the functions of these parts compute, whatever they and their variables are called."""
    found = set()
    for row in (row for name in names for row in read(corpus / f"{name}.jsonl")):
        texts = [row.get("context", "") + row.get("text", ""), row.get("solution"), row.get("code")]
        texts += [message["content"] for message in row.get("messages", [])]
        texts.append(row.get("prompt", "") + row.get("canonical_solution", ""))
        for text in filter(None, texts):
            lines = [line for line in text.splitlines() if line.startswith("    ")]
            code = "\n".join(line for line in lines if '"""' not in line)
            if "return " in code:
                found.add(code)
    return found


def test_bytes_follow_from_the_seed(corpus, small, tmp_path):
    made = []
    for seed in (7, 8):
        out = tmp_path / str(seed)
        out.mkdir()
        build_corpus(out, small, seed)
        made.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert made[0] == {path.name: path.read_bytes() for path in corpus.iterdir()}
    assert made[0]["problems-test.jsonl"] != made[1]["problems-test.jsonl"]


def test_sizes_and_columns(corpus):
    rows = {path.stem: read(path) for path in corpus.iterdir()}
    assert {name: len(part) for name, part in rows.items()} == {
        "pretrain": 150, "codegen-train": 80, "codesum-train": 80, "problems-validation": 15,
        "problems-test": 20, "codesum-validation": 15, "codesum-test": 20,
    }  # fmt: skip
    columns = {
        "codegen-train": {"id", "problem", "solution"},
        "codesum-test": {"id", "code", "docstring"},
        "problems-test": KEYS,
    }
    for name, keys in columns.items():
        assert all(set(row) == keys for row in rows[name]), name


def test_no_function_of_a_suite_was_trained_on(corpus):
    seen = bodies(corpus, "pretrain", "codegen-train", "codesum-train")
    names = ("problems-test", "problems-validation", "codesum-test", "codesum-validation")
    suites = bodies(corpus, *names)
    assert len(seen) > 200 and len(suites) > 60
    assert not seen & suites


def test_what_cannot_be_built_is_refused(corpus, small, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="empty directory"):
        build_corpus(corpus, small, 7)
    monkeypatch.setattr("embedded_study.corpus._ATTEMPTS", 3)
    with pytest.raises(UserError, match="ask for fewer items"):
        build_corpus(tmp_path, small.model_copy(update={"test_items": 100_000}), 7)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("heads", 3, "multiple of 2 x heads"),
        ("kv_heads", 3, "does not divide heads"),
        ("batch_tokens", 100, "less than context"),
        ("hiden_size", 64, "did you mean 'hidden_size'"),
    ],
)
def test_a_model_of_impossible_shape_is_refused(field, value, message):
    with pytest.raises(ValidationError, match=message):
        EmbeddedModel(architecture="qwen2", **{field: value})


@pytest.fixture(scope="module")
def judged(corpus, tmp_path_factory):
    """The problems, and EvalPlus's verdicts (base, plus) of a problem's solution."""
    evaluate = pytest.importorskip("evalplus.evaluate")
    problems = {row["task_id"]: row for row in read(corpus / "problems-test.jsonl")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        truth = evaluate.get_groundtruth(problems, "embedded", [])

    def verdicts(problem, solution):
        expected = truth[problem["task_id"]]
        result = evaluate.check_correctness(
            "humaneval", 0, problem, solution, expected, fast_check=True
        )
        return result["base"][0], result["plus"][0]

    return [*problems.values()], verdicts


@pytest.mark.slow
def test_evalplus_passes_canonical_solutions_and_fails_what_lacks_a_step(judged):
    from evalplus.sanitize import sanitize

    problems, verdicts = judged
    for problem in problems:
        answer = f"```python\n{problem['prompt']}{problem['canonical_solution']}```"
        solution = sanitize(answer, problem["entry_point"])
        assert verdicts(problem, solution) == ("pass", "pass"), problem["task_id"]
        lines = problem["canonical_solution"].splitlines()
        assert len(lines) > 1
        # Without its first line; names that line bound stay as the argument or fail to resolve.
        broken = problem["prompt"] + "\n".join(lines[1:]) + "\n"
        assert verdicts(problem, broken)[1] != "pass", problem["task_id"]


@pytest.mark.slow
def test_functions_that_do_nothing_fail(judged):
    problems, verdicts = judged
    for problem in problems[:10]:
        argument = problem["prompt"].split("(")[1].split(")")[0]
        for answer in (argument, "None", "0"):
            assert verdicts(problem, f"{problem['prompt']}    return {answer}\n")[1] != "pass"
