"""A sound study of local files, for preflight's tests to break; and what preflight says of it."""

import copy
import json
from pathlib import Path
from typing import Any

import checkpoint_material
from mixmerge.config.load import parse_config
from mixmerge.preflight.command import look
from mixmerge.preflight.context import Context
from mixmerge.preflight.finding import Area
from mixmerge.preflight.readable import readable
from mixmerge.study.plan import Study

ROOT = Path(__file__).resolve().parents[1]

ROWS = [
    {
        "id": f"r{n}",
        "problem": f'def f{n}(x):\n    """Add {n} to x."""',
        "solution": f"return x + {n}",
        "code": f"def g{n}(x):\n    return x + {n}",
        "docstring": f"Add {n} to x.",
        "tests": f"assert f{n}(1) == {n + 1}",
    }
    for n in range(30)
]

PROBLEM = {
    "task_id": "Own/0",
    "prompt": "def add(a, b):\n",
    "entry_point": "add",
    "canonical_solution": "    return a + b\n",
    "base_input": [[1, 2]],
    "plus_input": [[3, 4]],
    "contract": "",
    "atol": 0,
}

CONFIG: dict[str, Any] = {
    "study": "checked",
    "seed": 1,
    "models": {
        "tied": {"kind": "local", "path": "given/tied", "parameters": 31776},
        "untied": {"kind": "local", "path": "given/untied", "parameters": 39904},
    },
    "sources": {
        "train": {"kind": "local", "path": "train.jsonl", "id_column": "id"},
        "test": {"kind": "local", "path": "test.jsonl", "id_column": "id"},
    },
    "tasks": {
        "codegen": {
            "title": "Code generation",
            "prompt": "{problem}",
            "answer": "{solution}",
            "sources": ["train"],
        },
        "codesum": {
            "title": "Summaries",
            "prompt": "{code}",
            "answer": "{docstring}",
            "sources": ["train"],
        },
    },
    "sft": {"max_length": 64, "batch_size": 4, "gradient_accumulation": 1},
    "strategies": {"linear": {"method": "linear", "ratios": [0.5]}},
    "suites": {
        "own": {
            "kind": "code",
            "task": "codegen",
            "title": "Own",
            "problems": "own.jsonl",
            "max_new_tokens": 16,
        },
        "summaries": {
            "kind": "summary",
            "task": "codesum",
            "title": "Summaries",
            "source": "test",
            "metrics": ["bleu4"],
            "max_new_tokens": 16,
        },
    },
    "hardware": {"device": "cpu"},
    "tables": {"select": "test"},
}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """A file of rows, one JSON object a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def sound(directory: Path) -> dict[str, Any]:
    """Write all files of a study that has nothing wrong with it, and return its configuration."""
    for name, family in (("tied", "qwen2"), ("untied", "llama")):
        arrays = checkpoint_material.values(family, 1)
        checkpoint_material.write_checkpoint(directory / "given" / name, family, arrays)
        count = sum(array.size for array in arrays.values())
        assert CONFIG["models"][name]["parameters"] == count
    write_rows(directory / "train.jsonl", ROWS)
    write_rows(directory / "test.jsonl", ROWS[:5])
    write_rows(directory / "own.jsonl", [PROBLEM])
    return copy.deepcopy(CONFIG)


def looked(config: dict[str, Any], **more: Any) -> dict[str, Area]:
    """All areas by name, but for those that only a plan tells of; from the working directory."""
    found, told = readable(config, "study.yaml")
    study = None if found is None else Study(found)
    areas = look(Context("study.yaml", config, study, ROOT, **more), told, None)
    return {area.name: area for area in areas}


def errors(areas: dict[str, Area]) -> list[str]:
    """The errors of all areas."""
    return [f.text for area in areas.values() for f in area.findings if f.level == "error"]


def warnings(areas: dict[str, Area]) -> list[str]:
    """The warnings of all areas."""
    return [f.text for area in areas.values() for f in area.findings if f.level == "warning"]


def context(config: dict[str, Any], **more: Any) -> Context:
    """What areas look at, of a config that can be read."""
    study = Study(parse_config(config, "study.yaml"))
    return Context("study.yaml", config, study, ROOT, **more)


def planned(**more: Any) -> dict[str, Any]:
    """What a plan says, but for what is given."""
    found = {"jobs": 1, "peak_mb": 1, "final_mb": 1, "stages": {"merge": 1}, "rules": {}}
    return found | more


def only(area: Area, level: str = "error") -> str:
    """The only finding, of this level."""
    assert [finding.level for finding in area.findings] == [level], area.findings
    return area.findings[0].text


def one_error(config: dict[str, Any], *words: str) -> str:
    """The only error, which must hold all the words."""
    found = errors(looked(config))
    assert len(found) == 1, found
    for word in words:
        assert word in found[0], found[0]
    assert "\n" not in found[0]
    return found[0]
