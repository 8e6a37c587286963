"""The version of a benchmark file: known by its content, refused where it is another."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.data.problems import FILES, KNOWN, check_release, md5_of

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"
TEMPLATES = {"prompt": "{problem}", "answer": "{answer}"}
V0110 = "fe585eb4df8c88d844eeb463ea4d0302"


def hold_out(
    out: Path, problems: str | Path, version: str | None, override: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    suite = {"kind": "code", "problems": str(problems), "version": version}
    settings = json.dumps({"suite": suite, "templates": TEMPLATES})
    environment = dict(os.environ)
    for name in ("HUMANEVAL_OVERRIDE_PATH", "MBPP_OVERRIDE_PATH"):
        environment.pop(name, None)
        if override:
            environment[name] = str(override)
    return subprocess.run(
        [sys.executable, str(SCRIPTS / "heldout.py"), "--settings", settings, "--out", str(out)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def refused(done: "subprocess.CompletedProcess[str]", out: Path) -> str:
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not out.exists()
    return done.stderr


def edited(real: Path, target: Path) -> Path:
    """HumanEval+ with another test of one problem, as v0.1.9 has it."""
    with gzip.open(real, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    rows[1]["plus_input"] = rows[1]["plus_input"][1:]
    target.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return target


def test_the_release_is_in_the_manifests(real_data: Path, tmp_path: Path) -> None:
    file = real_data / "benchmarks/HumanEvalPlus.jsonl.gz"
    held, out = tmp_path / "heldout/h", tmp_path / "suites/h"
    assert hold_out(held, "humaneval", "v0.1.10", file).returncode == 0
    expected = {"items": 164, "origin": "humaneval", "release": "HumanEvalPlus v0.1.10"}
    assert read_manifest(held, "heldout")["facts"] == expected | {"md5": V0110}
    settings = {"suite": {"kind": "code", "problems": "humaneval"}, "templates": TEMPLATES}
    command = [sys.executable, str(SCRIPTS / "suite.py"), "--settings", json.dumps(settings)]
    subprocess.run([*command, "--heldout", str(held), "--out", str(out)], check=True)
    facts = read_manifest(out, "suite")["facts"]
    assert facts["release"] == "HumanEvalPlus v0.1.10"
    assert facts["md5"] == V0110


def test_another_release_is_refused(real_data: Path, tmp_path: Path) -> None:
    mbpp = real_data / "benchmarks/MbppPlus-v0.1.0.jsonl.gz"
    out = tmp_path / "heldout"
    message = refused(hold_out(out, "mbpp", "v0.2.0", mbpp), out)
    assert "suites.heldout.problems: " in message
    assert f"{mbpp}: is MbppPlus v0.1.0, not version 'v0.2.0'" in message
    assert "let MBPP_OVERRIDE_PATH name the right file, or unset it" in message
    assert "set the suite's `version` to v0.1.0" in message
    # The same where the file is named itself, or is the other suite's.
    assert "not version 'v0.2.0'" in refused(hold_out(out, mbpp, "v0.2.0"), out)
    message = refused(hold_out(out, "humaneval", None, mbpp), out)
    assert "is MbppPlus v0.1.0, not the suite 'humaneval'" in message


def test_other_data_under_a_release_s_name_are_refused(real_data: Path, tmp_path: Path) -> None:
    file = edited(real_data / "benchmarks/HumanEvalPlus.jsonl.gz", tmp_path / "v0.1.10.jsonl")
    out = tmp_path / "heldout"
    message = refused(hold_out(out, "humaneval", "v0.1.10", file), out)
    assert f"{file}: is not HumanEvalPlus v0.1.10: the MD5 of its content is " in message
    assert V0110 in message
    # Without a version any file will do, and the manifest says that it is no known release.
    assert hold_out(out, "humaneval", None, file).returncode == 0
    assert read_manifest(out, "heldout")["facts"]["release"] is None


def write(path: Path, **changed: Any) -> Path:
    path.write_text(json.dumps(changed) + "\n", encoding="utf-8")
    return path


def test_an_unknown_version_or_file_is_refused(tmp_path: Path) -> None:
    own = write(tmp_path / "own.jsonl", task_id="a/1")
    out = tmp_path / "heldout"
    message = refused(hold_out(out, own, "v1"), out)
    assert "version 'v1' cannot be checked" in message
    assert "leave `version` out" in message
    message = refused(hold_out(out, "humaneval", "v0.1.11", own), out)
    assert "version 'v0.1.11' of HumanEvalPlus is not known here" in message
    assert "take v0.1.10" in message


def test_md5_is_the_content_s(tmp_path: Path) -> None:
    plain = tmp_path / "a.jsonl"
    plain.write_bytes(b"abc\n")
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress(b"abc\n"))
    assert md5_of(plain) == md5_of(packed) == "0bee89b07a248e27c83fc3d5951213c1"
    packed.write_bytes(packed.read_bytes()[:-4])
    with pytest.raises(UserError, match=r"a.jsonl.gz: cannot be read"):
        md5_of(packed)


def test_known_releases_are_what_they_are_said_to_be(real_data: Path) -> None:
    for name, suite, version in (
        ("HumanEvalPlus.jsonl.gz", "humaneval", "v0.1.10"),
        ("MbppPlus-v0.1.0.jsonl.gz", "mbpp", "v0.1.0"),
    ):
        path = real_data / "benchmarks" / name
        md5 = md5_of(path)
        assert KNOWN[md5] == (suite, version)
        found = check_release(path, md5, suite, version)
        assert found == f"{FILES[suite]} {version}"
