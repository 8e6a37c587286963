"""A small code suite in EvalPlus's format, and nltk's data, for the tests of the evaluate stage."""

from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, write_manifest
from mixmerge.core.io import write_jsonl
from mixmerge.evaluate.groundtruth import make_ground_truth
from mixmerge.evaluate.settings import CodeScoring, GroundTruthSettings

#: Limits short enough for a test.
CODE = CodeScoring(workers=2, min_time_limit=0.8, memory_bytes=4 * 1024**3)


#: nltk's data, once fetched in this process.
_fetched: list[Path] = []


def problem(number: int, **changed: Any) -> dict[str, Any]:
    """Problem ``number``: the sum of the positive numbers of a list, plus ``number``."""
    name = f"total_{number}"
    return {
        "task_id": f"t/{number}",
        "prompt": f'def {name}(numbers):\n    """Sum the positive ones, plus {number}."""\n',
        "entry_point": name,
        "canonical_solution": f"    return sum(n for n in numbers if n > 0) + {number}\n",
        "base_input": [[[1, 2]], [[3]]],
        "plus_input": [[[]], [[-1, 4]]],
        "atol": 0,
    } | changed


def write_problems(directory: Path, problems: list[dict[str, Any]]) -> Path:
    """A code suite's directory."""
    write_jsonl(directory / "problems.jsonl", problems)
    rows = [
        {
            "id": one["task_id"],
            "messages": [{"role": "user", "content": one["prompt"]}],
            "reference": None,
        }
        for one in problems
    ]
    write_jsonl(directory / "items.jsonl", rows)
    write_manifest(directory, "suite")
    return directory


def truth(suite: Path, out: Path, dataset: str = "other", plus: bool = True) -> Path:
    """The suite's ground truth."""
    settings = GroundTruthSettings.model_validate(
        {"dataset": dataset, "plus": plus, "code": CODE.model_dump()}
    )
    make_ground_truth(suite / "problems.jsonl", out, settings)
    return out


def write_completions(directory: Path, suites: dict[str, dict[str, str]]) -> Path:
    """Completions by suite and id."""
    for name, texts in suites.items():
        rows = [
            {
                "id": id_,
                "completion": text,
                "stop_reason": "stop" if text else "length",
                "prompt_tokens": 9,
                "completion_tokens": len(text),
            }
            for id_, text in texts.items()
        ]
        write_jsonl(directory / f"{name}.jsonl", rows)
    write_manifest(directory, "completions")
    return directory


def nltk_data(root: Path, scratch: Path) -> Path:
    """The repository's nltk data where a study has fetched it, else fetched into ``scratch``."""
    from mixmerge.evaluate.nltk_data import fetch_nltk_data
    from offline_sources.nltk_packages import FALLBACKS

    if _fetched:
        return _fetched[0]
    for present in sorted(root.glob("results/**/nltk_data")):
        if (present / MANIFEST).exists():
            return present
    fetch_nltk_data(scratch / "nltk_data", FALLBACKS)
    _fetched.append(scratch / "nltk_data")
    return _fetched[0]
