"""Summary scoring of a whole suite, white space, and bad input; no WordNet needed."""

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.code_suites import write_completions
from mixmerge.artifacts.manifest import MANIFEST, write_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, read_jsonl, write_jsonl
from mixmerge.evaluate import summaries
from mixmerge.evaluate.scoring import score
from mixmerge.evaluate.settings import ScoreSettings
from mixmerge.evaluate.suite import Completion, Item

SCORE = Path(__file__).parents[2] / "workflow/scripts/score.py"
METRICS = ["bleu4", "chrfpp", "rouge_l"]
REFERENCE = "Return the sum of all positive numbers in the list."


def write_suite(directory: Path, references: list[str | None]) -> Path:
    rows: list[dict[str, Any]] = [
        {"id": f"s/{i}", "messages": [{"role": "user", "content": "?"}], "reference": text}
        for i, text in enumerate(references)
    ]
    write_jsonl(directory / "items.jsonl", rows)
    write_manifest(directory, "suite")
    return directory


def settings(metrics: list[str]) -> ScoreSettings:
    return ScoreSettings.model_validate({"suites": {"s": {"kind": "summary", "metrics": metrics}}})


def run(where: Path, texts: list[str], references: list[str | None] | None = None) -> Path:
    suite = write_suite(where / "suite", references or [REFERENCE] * len(texts))
    answers = {f"s/{i}": text for i, text in enumerate(texts)}
    completions = write_completions(where / "completions", {"s": answers})
    score(completions, {"s": suite}, {}, None, where / "out", settings(METRICS))
    return where / "out"


def test_rows_and_means(tmp_path: Path) -> None:
    same = f'"""{REFERENCE}"""'
    out = run(tmp_path, [same, "Sorts words.", "", " \n ", "```\n```", REFERENCE[:25]])
    rows = list(read_jsonl(out / "s.jsonl"))
    assert [row["id"] for row in rows] == [f"s/{i}" for i in range(6)]
    assert {name: rows[0][name] for name in METRICS} == pytest.approx(dict.fromkeys(METRICS, 1.0))
    assert rows[1]["bleu4"] < 1e-100
    for row in rows[2:5]:
        assert {name: row[name] for name in METRICS} == dict.fromkeys(METRICS, 0.0)
    assert 0 < rows[5]["chrfpp"] < 1
    scores = read_json(out / "scores.json")["s"]
    for name in METRICS:
        assert scores["metrics"][name] == pytest.approx(sum(row[name] for row in rows) / 6)
    assert scores["n"] == 6
    assert scores["stopped"] == pytest.approx(5 / 6)


def test_an_empty_reference_scores_0(tmp_path: Path) -> None:
    (row,) = read_jsonl(run(tmp_path, ["Sums."], ["/** */"]) / "s.jsonl")
    assert {name: row[name] for name in METRICS} == dict.fromkeys(METRICS, 0.0)


def test_a_missing_reference_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"items.jsonl: item 's/1' has no reference"):
        run(tmp_path, ["a", "b"], ["x", None])
    assert not (tmp_path / "out").exists()


def test_meteor_without_its_data_is_refused(tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "suite", [REFERENCE])
    completions = write_completions(tmp_path / "completions", {"s": {"s/0": "x"}})
    own = settings(["meteor"])
    with pytest.raises(UserError, match="--nltk-data: missing"):
        score(completions, {"s": suite}, {}, None, tmp_path / "out", own)
    hollow = tmp_path / "hollow"
    hollow.mkdir()
    write_manifest(hollow, "nltk_data")
    # In a process of its own: nltk keeps what it once loaded.
    script = Path(__file__).parents[2] / "workflow/scripts/score.py"
    done = subprocess.run(
        [
            *(sys.executable, str(script), "--completions", str(completions)),
            *("--suites", f"s={suite}", "--nltk-data", str(hollow)),
            *("--out", str(tmp_path / "out"), "--settings", own.model_dump_json()),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "hollow: lacks WordNet or punkt_tab" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--suites", "s=a", "s=b"], "'s' is given twice"),
        (["--suites", "q=a"], "suite 's' of --settings is missing; add s=PATH"),
        (["--suites", "s=a", "q=b"], "no entry for 'q'"),
        (["--suites", "s=a", "--groundtruth", "s=b"], "no entry for 's', which --groundtruth"),
        (["--suites", "s=a", "--settings", '{"suits": {}}'], "did you mean 'suites'"),
    ],
)
def test_arguments_that_do_not_fit_get_one_message(
    given: list[str], message: str, tmp_path: Path
) -> None:
    script = Path(__file__).parents[2] / "workflow/scripts/score.py"
    done = subprocess.run(
        [
            *(sys.executable, str(script), "--completions", "c", "--out", str(tmp_path / "out")),
            *("--settings", settings(METRICS).model_dump_json(), *given),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / MANIFEST).exists()


def test_processes_change_nothing(tmp_path: Path) -> None:
    """The same bytes from one process and from two, through the script."""
    dice = random.Random(0)
    words = f"{REFERENCE} Sorts words; (it) returns None, 'x' or x.y at O(n).".split()
    texts = [" ".join(dice.choices(words, k=dice.randint(0, 30))) for _ in range(1200)]
    references = [" ".join(dice.choices(words, k=dice.randint(1, 30))) for _ in texts]
    suite = write_suite(tmp_path / "suite", list(references))
    answers = {f"s/{i}": text for i, text in enumerate(texts)}
    completions = write_completions(tmp_path / "completions", {"s": answers})
    command = [
        *(sys.executable, str(SCORE), "--completions", str(completions), "--suites", f"s={suite}"),
        *("--settings", settings(METRICS).model_dump_json()),
    ]
    for processes in ("1", "2", "3"):
        out = ["--out", str(tmp_path / processes), "--processes", processes]
        subprocess.run([*command, *out], check=True, capture_output=True)
    first = (tmp_path / "1" / MANIFEST).read_bytes()
    assert b"s.jsonl" in first
    assert (tmp_path / "2" / MANIFEST).read_bytes() == first
    assert (tmp_path / "3" / MANIFEST).read_bytes() == first


def test_a_process_that_is_killed_gets_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summaries, "normalise", lambda text: os.kill(os.getpid(), 9))
    items = [Item(str(number), [], "x") for number in range(1000)]
    rows = [Completion(item.id, "x", "stop", 1, 1) for item in items]
    with pytest.raises(UserError, match=r"items.jsonl: a process scoring its pairs was killed"):
        summaries.score_summaries(rows, items, tmp_path / "items.jsonl", METRICS, 2)


def test_white_space_scores_0_through_the_script(tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "suite", [REFERENCE] * 3)
    answers = {"s/0": " \n\t ", "s/1": "", "s/2": REFERENCE}
    completions = write_completions(tmp_path / "completions", {"s": answers})
    command = [
        *(sys.executable, str(SCORE), "--completions", str(completions), "--suites", f"s={suite}"),
        *("--settings", settings(METRICS).model_dump_json(), "--out", str(tmp_path / "out")),
    ]
    subprocess.run(command, check=True, capture_output=True)
    rows = list(read_jsonl(tmp_path / "out/s.jsonl"))
    for row in rows[:2]:
        assert {name: row[name] for name in METRICS} == dict.fromkeys(METRICS, 0.0)
    assert rows[2]["rouge_l"] == 1


def test_no_process_at_all_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, str(SCORE), "--completions", "c", "--suites", "s=a"]
    command += ["--out", str(tmp_path / "out"), "--settings", settings(METRICS).model_dump_json()]
    done = subprocess.run([*command, "--processes", "0"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "--processes: 0 is less than 1" in done.stderr
    assert "Traceback" not in done.stderr
