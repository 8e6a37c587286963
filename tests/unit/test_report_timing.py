"""Timings by rule, from Snakemake's benchmark files."""

import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest

from mixmerge.core.errors import UserError
from mixmerge.report import sheet
from mixmerge.report.entries import TIMING_FILES
from mixmerge.report.timing import read_jobs, read_seconds, timing_table

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def benchmark(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + "".join(f"{line}\n" for line in lines))


def test_timings_by_rule(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "benchmarks"
    benchmark(folder / "sft/m/a.tsv", "30.0\t0:00:30\t900.5\t1\t1\t1\t0\t0\t90\t28.5")
    benchmark(folder / "sft/m/b.tsv", "10.0\t0:00:10\t100.0\t1\t1\t1\t0\t0\t90\t9.5")
    benchmark(folder / "corpus.tsv", "0.25\t0:00:00\t-\t-\t-\t-\t-\t-\tNA\tNA")
    table = timing_table(read_jobs(folder))
    lines = list(csv.DictReader(io.StringIO(sheet.render(table))))
    assert [line["rule"] for line in lines] == ["sft", "corpus", "total"]
    assert lines[0] == {
        "rule": "sft",
        "jobs": "2",
        "seconds": "40.0",
        "share": repr(100 * 40 / 40.25),
        "mean_seconds": "20.0",
        "max_seconds": "30.0",
        "cpu_seconds": "38.0",
        "max_rss_mb": "900.5",
    }
    assert lines[1]["max_rss_mb"] == lines[1]["cpu_seconds"] == ""
    assert lines[2]["seconds"] == "40.25" and lines[2]["jobs"] == "3"
    script = [sys.executable, str(root / "workflow/scripts/timing.py"), "--benchmarks", str(folder)]
    subprocess.run([*script, "--out", str(tmp_path / "t")], check=True)
    assert {path.name for path in (tmp_path / "t").iterdir()} == set(TIMING_FILES)


def test_foreign_and_absent_benchmarks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no benchmark"):
        read_jobs(tmp_path)
    (tmp_path / "x.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(UserError, match=r"x\.tsv: no column 's'"):
        read_jobs(tmp_path)


def test_seconds_of_one_job(tmp_path: Path) -> None:
    path = tmp_path / "sft/m/a.tsv"
    assert read_seconds(path) is None
    benchmark(path, "30.5\t0:00:30\t900.5\t1\t1\t1\t0\t0\t90\t28.5")
    assert read_seconds(path) == 30.5
