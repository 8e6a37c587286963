"""EvalPlus's own checker, unchanged, on the embedded study's problems."""

import json

import pytest

from embedded_study.corpus import build_corpus
from mixmerge.data.settings import CorpusSettings

evaluate = pytest.importorskip("evalplus.evaluate")


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    out = tmp_path_factory.mktemp("corpus")
    small = CorpusSettings(pretrain_items=1, train_items=1, validation_items=1, test_items=25)
    build_corpus(out, small, 7)
    lines = (out / "problems-test.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["task_id"]: row for row in map(json.loads, lines)}


@pytest.fixture(scope="module")
def truth(problems, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        return evaluate.get_groundtruth(problems, "embedded", [])


def verdicts(problem, truth, solution):
    expected = truth[problem["task_id"]]
    result = evaluate.check_correctness(
        "humaneval", 0, problem, solution, expected, fast_check=True
    )
    return result["base"][0], result["plus"][0]


@pytest.mark.slow
def test_canonical_solutions_pass(problems, truth):
    from evalplus.sanitize import sanitize

    for problem in problems.values():
        answer = f"```python\n{problem['prompt']}{problem['canonical_solution']}```"
        solution = sanitize(answer, problem["entry_point"])
        assert verdicts(problem, truth, solution) == ("pass", "pass"), problem["task_id"]


@pytest.mark.slow
def test_functions_that_lack_a_step_fail_on_plus(problems, truth):
    for problem in problems.values():
        lines = problem["canonical_solution"].splitlines()
        assert len(lines) > 1
        # Without its first line; names that line bound stay as the argument or fail to resolve.
        broken = problem["prompt"] + "\n".join(lines[1:]) + "\n"
        assert verdicts(problem, truth, broken)[1] != "pass", problem["task_id"]


@pytest.mark.slow
def test_functions_that_do_nothing_fail(problems, truth):
    for problem in list(problems.values())[:10]:
        argument = problem["prompt"].split("(")[1].split(")")[0]
        for answer in (argument, "None", "0"):
            solution = f"{problem['prompt']}    return {answer}\n"
            assert verdicts(problem, truth, solution)[1] != "pass"
