"""The logger plugin in real runs of a small workflow: on a terminal, in a file, quiet, off."""

import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

WORKFLOW = """
from snakemake_logger_plugin_mixmerge import expect

onstart:
    expect(workflow)

rule all:
    input: "b/x"

rule first:
    output: "a/{name}"
    log: "{name}.log"
    resources: expected_s=3
    shell: "echo 'wrong: {wildcards.name}' > {log}; test ! -e wrong; sleep 1.5; touch {output}"

rule second:
    input: "a/{name}"
    output: "b/{name}"
    shell: "touch {output}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Snakefile").write_text(WORKFLOW)
    return tmp_path


def command(folder: Path, *arguments: str) -> list[str]:
    options = ["--cores", "1", "--logger", "mixmerge", "--directory", str(folder)]
    start = [sys.executable, "-m", "snakemake", "--snakefile", str(folder / "Snakefile")]
    return [*start, *options, *arguments]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1"}
    return subprocess.run(
        words, capture_output=True, text=True, check=False, env=environment, timeout=300
    )


def test_a_failure_shows_its_log_and_a_command_that_repeats_it(folder: Path) -> None:
    (folder / "wrong").touch()
    failed = run(*command(folder, "--quiet"))
    assert failed.returncode != 0
    assert failed.stderr.count("Error in rule first (name=x): exit status 1") == 1, failed.stderr
    assert failed.stderr.count("  | wrong: x") == 1
    assert "0 of 2 jobs done, 1 failed, 1 not done" in failed.stderr
    assert "Traceback" not in failed.stderr
    [repeat] = re.findall(r"^ *repeat it here: (.*)$", failed.stderr, re.MULTILINE)
    (folder / "wrong").unlink()
    mended = run(*shlex.split(repeat))
    assert mended.returncode == 0, mended.stderr
    assert [path.name for path in (folder / "a").iterdir()] == ["x"]
    assert not (folder / "b").exists()


def test_a_file_gets_lines_and_the_log_of_snakemake_everything(folder: Path) -> None:
    done = run(*command(folder))
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^\[\S+\] 0 of 2 done, 1 running, 1 to come, about . s left \(a first guess\) \| first",
        done.stderr,
        re.MULTILINE,
    ), done.stderr
    assert re.search(r"^2 of 2 jobs done, in \d+ s\.$", done.stderr, re.MULTILINE)
    assert "\x1b" not in done.stderr and "rule first:" not in done.stderr
    [log] = (folder / ".snakemake/log").iterdir()
    assert "rule first:" in log.read_text(encoding="utf-8")
    own = run(*command(folder, "--logger-mixmerge-off", "--forcerun", "second"))
    assert "1 of 1 steps (100%) done" in own.stderr or "2 of 2 steps (100%) done" in own.stderr


def test_a_terminal_gets_a_line_that_is_redrawn(folder: Path) -> None:
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "50"}
    process = subprocess.Popen(command(folder), stderr=slave, env=environment)
    os.close(slave)
    shown = b""
    try:
        while block := os.read(master, 4096):
            shown += block
    except OSError:  # Linux's word for the other end having closed
        pass
    assert process.wait() == 0
    redrawn = re.findall(r"\r\x1b\[K(\[\S+\] 0 of 2 done[^\r\x1b]*)", shown.decode())
    assert redrawn and all(len(line) < 50 for line in redrawn), shown
    assert "2 of 2 jobs done, in" in shown.decode()
