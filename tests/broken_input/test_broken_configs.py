"""Broken configs: one message, nothing made, and the mended one plans."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.forks import run_script
from fixtures.workspace import ROOT, shrink
from mixmerge.config.load import load_config
from mixmerge.core.errors import UserError

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


CASES = yaml.safe_load(Path(__file__).with_name("configs.yaml").read_text(encoding="utf-8"))


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
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "world").mkdir()
    monkeypatch.chdir(tmp_path / "world")
    return tmp_path / "world"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_a_broken_config_is_told_in_one_message(world: Path, case: dict[str, Any]) -> None:
    """By the function that reads it, or by Snakemake, which reads it as strictly."""
    (world / "study.yaml").write_bytes(eval(case["content"]))
    if "through" in case:
        ended = snakemake(world, "all")
        output = ended.stdout + ended.stderr
        assert ended.returncode == 1 and "Traceback" not in output, output
        assert output.count("error: ") == 1, output
    else:
        with pytest.raises(UserError) as caught:
            load_config(Path("study.yaml"))
        output = str(caught.value)
    for word in case["says"]:
        assert word.replace("{CODEGEN}", str(CODEGEN)).replace("{LAST}", str(LAST)) in output
    # Snakemake keeps a log of each of its runs; a study would begin with a lock and results.
    assert {path.name for path in world.iterdir()} <= {"study.yaml", ".snakemake"}
    assert not list(world.glob(".snakemake/locks/*"))


def test_a_mended_config_plans_and_a_byte_order_mark_does_no_harm(world: Path) -> None:
    (world / "study.yaml").write_bytes(put("study", "../x"))
    assert snakemake(world, "--dry-run", "--quiet=rules").returncode == 1
    (world / "study.yaml").write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    ended = snakemake(world, "--dry-run", "--quiet=rules")
    assert ended.returncode == 0, ended.stderr
    assert "sft" in ended.stdout


def test_a_config_that_is_not_there_is_told(world: Path) -> None:
    script = run_script("summary.py", "--config", "study.yaml", cwd=world)
    for ended in (snakemake(world, "all"), script):
        assert ended.returncode == 1
        assert "error: study.yaml: file not found" in ended.stdout + ended.stderr
