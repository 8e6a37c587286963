"""Broken configs: one message, nothing made, and the mended one plans."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.forks import run_script
from fixtures.workspace import ROOT, shrink

pytestmark = pytest.mark.slow

STUDY: dict[str, Any] = shrink(yaml.safe_load((ROOT / "config/demo.yaml").read_text()))
TEXT = yaml.safe_dump(STUDY, sort_keys=False)
LAST = TEXT.count("\n") + 1
CODEGEN = TEXT[: TEXT.index("\n  codegen:")].count("\n") + 2
THIRTY = ", ".join(["x"] * 30)
BOMB = f"a: &a [{THIRTY}]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 30)}]\n"
    for before, name in zip("abc", "bcd", strict=True)
)
#: These go through all of Snakemake: it reads the file first, or the study looks at the disk.
THROUGH_SNAKEMAKE = {
    *("a tab", "Latin-1", "nothing", "a list", "a key twice", "a date that there is not"),
    *("a ratio out of range", "a file that is missing", "a folder for a file"),
    *("a file for the results",),
}


def text(old: str, new: str) -> bytes:
    """The study's text with one place changed."""
    assert old in TEXT
    return TEXT.replace(old, new, 1).encode()


def put(path: str, value: Any) -> bytes:
    """The study with one value changed; None takes the key out."""
    data = copy.deepcopy(STUDY)
    *parents, last = path.split("/")
    section = data
    for part in parents:
        section = section.setdefault(part, {})
    if value is None:
        del section[last]
    else:
        section[last] = value
    return yaml.safe_dump(data, sort_keys=False).encode()


#: What is in the file, and what must be said of it.
CASES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "bad YAML": (
        text("tasks:", "tasks: ["),
        ("study.yaml:", "not valid YAML", "expected ','", "mend the line"),
    ),
    "a tab": (
        text("  codegen:", "\tcodegen:"),
        (f"study.yaml:{CODEGEN}:1: not valid YAML", "indent with blanks, not with tabs"),
    ),
    "Latin-1": (
        text("Data mix", "Für alle: Data mix").decode().encode("latin-1"),
        ("study.yaml:2: not UTF-8 (byte 0xfc)", "save the file as UTF-8"),
    ),
    "UTF-16": (
        TEXT.encode("utf-16"),
        ("study.yaml:1: not UTF-8 (it is UTF-16)", "save the file as UTF-8"),
    ),
    "a NUL byte": (
        TEXT.encode() + b"\0",
        (f"study.yaml:{LAST}: not valid YAML: holds the character 0x00", "delete it"),
    ),
    "nothing": (b"", ("study.yaml: holds nothing", "write the study's sections")),
    "only whitespace": (b" \n\n  \n", ("study.yaml: holds nothing",)),
    "a list": (b"- a\n- b\n", ("study.yaml: expected",)),
    "a text": (b"hello\n", ("study.yaml: expected",)),
    "a key twice": (
        text("study: shrunken", "study: shrunken\nstudy: other"),
        ("study.yaml:2: 'study' comes twice, first in line 1", "rename or delete"),
    ),
    "two models of one name": (
        text("  qwen2-small:", "  qwen2-small: {kind: embedded}\n  qwen2-small:"),
        ("study.yaml:", "'qwen2-small' comes twice, first in line 5"),
    ),
    "an alias in a circle": (
        (TEXT + "mixture: &m\n  weights: *m\n").encode(),
        (
            f"study.yaml:{LAST}:",
            "an alias",
            "stands inside of what it names",
            "write the value out",
        ),
    ),
    "aliases of aliases": (
        (TEXT + BOMB).encode(),
        ("study.yaml: its aliases", "more than 200000 values"),
    ),
    "a tag that makes objects": (
        text("title: Data mix", "title: !!python/name:os.system Data mix"),
        ("study.yaml:2:", "not valid YAML", "python/name:os.system"),
    ),
    "a date that there is not": (
        text("study: shrunken", "study: 2026-02-30"),
        ("study.yaml:1: 2026-02-30 is no value: day is out of range", "put it in quotes"),
    ),
    "a number of 5000 digits": (
        text("seed: 2026", "seed: " + "9" * 5000),
        ("study.yaml:3: 9999", "too many digits"),
    ),
    "a key that is read as true": (
        text("  ties:", "  on:"),
        ("study.yaml:", "the key on is read as True", "put it in quotes"),
    ),
    "a large number": (
        put("seed", 10**30),
        ("study.yaml: seed: 1e+30 is larger than any machine counts",),
    ),
    "NaN": (
        put("sft/learning_rate", float("nan")),
        ("study.yaml: sft.learning_rate: ", "(found nan)"),
    ),
    "infinity": (
        put("sft/learning_rate", float("inf")),
        ("study.yaml: sft.learning_rate: Input should be a finite number (found inf)",),
    ),
    "too many epochs": (
        put("sft/epochs", 1e300),
        ("study.yaml: sft.epochs: ", "10000 (found 1e+300)"),
    ),
    "a ratio out of range": (
        put("strategies/ties/ratios", [1.5]),
        ("strategies.ties.ratios: 1.5 is outside 0 <= w <= 1",),
    ),
    "NaN as a ratio": (
        put("strategies/ties/ratios", [float("nan")]),
        ("strategies.ties.ratios.0: Input should be a finite number (found nan)",),
    ),
    "no tasks": (put("tasks", {}), ("study.yaml: tasks: 0 given, but it takes at least 2",)),
    "no sources of a task": (
        put("tasks/codegen/sources", []),
        ("study.yaml: tasks.codegen.sources: 0 given",),
    ),
    "no section of tasks": (put("tasks", None), ("study.yaml: tasks: missing; add it",)),
    "a text for a list": (
        put("data_scale", "50"),
        ("study.yaml: data_scale: ", "valid list (found '50')"),
    ),
    "a list for a section": (
        put("models", ["a"]),
        ("study.yaml: models: expected a section", "(found ['a'])"),
    ),
    "nothing for a section": (
        text("  qwen2-small:", "  empty:\n  qwen2-small:"),
        ("study.yaml: models.empty: expected a section", "(found None)"),
    ),
    "a kind that there is not": (
        put("models/qwen2-small/kind", "hubb"),
        (
            "models.qwen2-small: kind: 'hubb' is none of hub, local, gguf, embedded",
            "did you mean 'hub'?",
        ),
    ),
    "a path as the study's name": (
        put("study", "../../etc"),
        ("study.yaml: study: is no name", "lower-case letters", "(found '../../etc')"),
    ),
    "a path as a suite's name": (
        text("  functions:", "  ../functions:"),
        ("study.yaml: suites.../functions: is no name",),
    ),
    "a name of 300 letters": (
        put("study", "x" * 300),
        ("study.yaml: study: ", "at most 80 characters"),
    ),
    "0 percent": (
        put("data_scale", [0, 50]),
        ("study.yaml: data_scale.0: ", "greater than 0 (found 0)"),
    ),
    "a template that is none": (
        put("tasks/codegen/prompt", "{problem"),
        ("tasks.codegen.prompt: not a template", "write a literal brace twice"),
    ),
    "a file that is missing": (
        put("sources/functions-to-write", {"kind": "local", "path": "no/such.jsonl"}),
        ("sources.functions-to-write.path: no/such.jsonl does not exist", "mend the path"),
    ),
    "a folder for a file": (
        put("sources/functions-to-write", {"kind": "local", "path": "."}),
        ("sources.functions-to-write.path: . is a directory", "must be a file"),
    ),
    "a file for the results": (
        put("results", "study.yaml"),
        ("results: study.yaml/shrunken cannot be a folder, because study.yaml is a file",),
    ),
}


def snakemake(world: Path, *arguments: str) -> Any:
    """The workflow itself; a dry run plans all of the study and reads all of its config."""
    return run_script(
        "snakemake.cli",
        *("--snakefile", ROOT / "Snakefile", "--directory", world, "--configfile", "study.yaml"),
        *("--workflow-profile", ROOT / "profiles/default", "--cores", "2"),
        *arguments,
        cwd=world,
    )


@pytest.fixture
def world(tmp_path: Path) -> Path:
    (tmp_path / "world").mkdir()
    return tmp_path / "world"


@pytest.mark.parametrize("name", CASES)
def test_a_broken_config_is_told_in_one_message(world: Path, name: str) -> None:
    """By Snakemake, or by the script with which `make demo` ends: both read it as strictly."""
    content, says = CASES[name]
    (world / "study.yaml").write_bytes(content)
    if name in THROUGH_SNAKEMAKE:
        ended = snakemake(world, "all")
    else:
        ended = run_script("summary.py", "--config", "study.yaml", cwd=world)
    output = ended.stdout + ended.stderr
    assert ended.returncode == 1, output
    assert "Traceback" not in output, output
    assert output.count("error: ") == 1, output
    for word in says:
        assert word in output, output
    # Snakemake keeps a log of each of its runs; a study would begin with a lock and results.
    assert {path.name for path in world.iterdir()} <= {"study.yaml", ".snakemake"}
    assert not (world / ".snakemake/locks").exists() or not list(
        (world / ".snakemake/locks").iterdir()
    )


def test_a_mended_config_plans_and_a_byte_order_mark_does_no_harm(world: Path) -> None:
    (world / "study.yaml").write_bytes(put("study", "../x"))
    assert snakemake(world, "--dry-run", "--quiet=rules").returncode == 1
    (world / "study.yaml").write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    ended = snakemake(world, "--dry-run", "--quiet=rules")
    assert ended.returncode == 0, ended.stderr
    assert "sft" in ended.stdout


def test_a_config_that_is_not_there_is_told(world: Path) -> None:
    ended = snakemake(world, "all")
    assert ended.returncode == 1
    assert "error: study.yaml: file not found" in ended.stdout + ended.stderr
