"""`snakemake --profile slurm all_tables` against a real Slurm, with faults, told by its records."""

import re
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
from clone import Clone
from faults import MODEL, VICTIMS, Faults
from lab import Lab

from fixtures.workspace import Workspace

pytestmark = pytest.mark.long

#: Rules that run on the login node, if at all; all others must have gone through Slurm.
LOCAL = {"all_tables", "fetch", "hold_out", "recipe", "nltk_data"}
ON_GPU = {"pretrain", "sft", "generate"}


@pytest.fixture(scope="module")
def runs(lab: Lab, disturbed: tuple[Clone, Faults]) -> dict[str, list[dict[str, str]]]:
    """Snakemake job -> each time that Slurm ran it, in order; jobs, not their steps."""
    records = [row for row in lab.records(disturbed[0].path) if "." not in row["JobIDRaw"]]
    # Slurm writes a job's comment at its end only.
    comments = {row["JobIDRaw"]: row["Comment"] for row in records if row["Comment"]}
    found = defaultdict(list)
    for row in records:
        found[comments[row["JobIDRaw"]]].append(row)
    return {job: sorted(rows, key=lambda row: row["Start"]) for job, rows in found.items()}


def calls(faults: Faults) -> list[list[str]]:
    """All calls of sbatch, in words."""
    return [line.split() for line in faults.calls.read_text().splitlines()]


def submissions(faults: Faults, fault: str) -> list[list[str]]:
    """The calls of sbatch for the job that suffered a fault."""
    return [words for words in calls(faults) if VICTIMS[fault] in words]


def not_started(clone: Clone, row: dict[str, str]) -> bool:
    """Whether Slurm gave a job its node and then no step in it.

    Slurm 22.05 was seen to do so to a job that it started in the second in which another node
    failed. Logs of jobs that ended well are gone.
    """
    logs = (clone.path / ".snakemake/slurm_logs").rglob(f"{row['JobIDRaw']}.log")
    refusal = r"srun: error: Unable to create step for job \d+: Invalid generic resource"
    return any(re.search(refusal, log.read_text(encoding="utf-8")) for log in logs)


def rule_of(job: str) -> str:
    return job.removeprefix("rule_").partition("_wildcards_")[0]


def test_tables_are_those_of_a_local_run(
    disturbed: tuple[Clone, Faults], finished: Workspace
) -> None:
    tables = disturbed[0].tables()
    assert "table3-strategies.csv" in tables
    local = finished.path / "results/shrunken/tables"
    assert tables == {name: (local / name).read_bytes() for name in tables}


def test_every_job_ran_in_slurm(
    disturbed: tuple[Clone, Faults], runs: dict[str, list[dict[str, str]]]
) -> None:
    benchmarks = disturbed[0].results / "benchmarks"
    finished = {
        f"rule_{folder.name}" + "".join(f"_{part}" for part in ["wildcards", *wildcards])
        if (wildcards := list(file.relative_to(folder).with_suffix("").parts)) != [folder.name]
        else f"rule_{folder.name}"
        for folder in benchmarks.iterdir()
        for file in folder.rglob("*.tsv")
        if folder.name not in LOCAL
    }
    assert finished
    assert finished - set(runs) == set()
    assert {rule_of(job) for job in runs} & LOCAL == set()
    for job, rows in runs.items():
        assert [row["State"] for row in rows][-1] == "COMPLETED", job
        assert {row["NodeList"] for row in rows} <= {"n1", "n2"}, job
    assert {row["NodeList"] for rows in runs.values() for row in rows} == {"n1", "n2"}


def test_gpus_for_those_who_need_them_alone(runs: dict[str, list[dict[str, str]]]) -> None:
    assert {rule_of(job) for job in runs} > ON_GPU
    for job, rows in runs.items():
        for row in rows:
            asked = dict(item.split("=") for item in row["ReqTRES"].split(","))
            if rule_of(job) in ON_GPU:
                assert (asked["gres/gpu"], row["Partition"]) == ("1", "gpu"), job
            else:
                assert "gres/gpu" not in asked, job
                assert row["Partition"] == "cpu", job
            assert asked["node"] == "1", job
            assert int(asked["cpu"]) >= 1, job


def test_memory_and_time_as_the_workflow_asks(
    disturbed: tuple[Clone, Faults], runs: dict[str, list[dict[str, str]]]
) -> None:
    """What sbatch was given is what Slurm recorded, for each job's last attempt."""
    last = {words[words.index("--comment") + 1]: words for words in calls(disturbed[1])}
    assert set(last) == set(runs)
    for job, words in last.items():
        row = runs[job][-1]
        asked = dict(item.split("=") for item in row["ReqTRES"].split(","))
        assert megabytes(asked["mem"]) == int(words[words.index("--mem") + 1]), job
        assert minutes(row["Timelimit"]) == int(words[words.index("-t") + 1]), job


def test_no_job_ran_twice_at_once_or_was_done_twice(
    disturbed: tuple[Clone, Faults], runs: dict[str, list[dict[str, str]]]
) -> None:
    faults = disturbed[1]
    for job, rows in runs.items():
        for one, other in pairwise(rows):
            assert one["End"] <= other["Start"], job
        assert [row["State"] for row in rows].count("COMPLETED") == 1, job
    again = {job for job, rows in runs.items() if len(rows) > 1}
    hit = {VICTIMS[fault] for fault in ("scancel", "time limit", "out of memory", "requeue")}
    assert hit <= again
    assert VICTIMS["node down"] in again
    # Nothing else was repeated but what stood on the node that failed, or Slurm could not start.
    others = again - hit - {VICTIMS["node down"]}
    node, crash = (runs[VICTIMS["node down"]][0][name] for name in ("NodeList", "End"))
    for job in others:
        lost = runs[job][0]
        there = (lost["NodeList"], lost["Start"] <= crash <= lost["End"])
        assert there == (node, True) or not_started(disturbed[0], lost), (
            f"{job}: {runs[job]}, {runs[VICTIMS['node down']]}"
        )
    in_sbatch = {"sbatch refused", "sbatch timed out", "out of memory"}
    assert set(faults.done) == set(VICTIMS) - in_sbatch


def test_each_fault_happened(
    lab: Lab, disturbed: tuple[Clone, Faults], runs: dict[str, list[dict[str, str]]]
) -> None:
    states = {fault: [row["State"] for row in runs[job]] for fault, job in VICTIMS.items()}
    assert states["scancel"][0].startswith("CANCELLED")
    # Slurm calls it a failure where the job's own shell ended, being told, before Slurm ended it.
    assert states["time limit"][0] in ("TIMEOUT", "FAILED")
    assert "REQUEUED" in states["requeue"]  # perhaps after the node failed under it too
    assert states["node down"][0] in ("NODE_FAIL", "REQUEUED")
    # A requeued job keeps its id, others are submitted anew by Snakemake.
    for fault, same in (("requeue", True), ("node down", True), ("scancel", False)):
        rows = runs[VICTIMS[fault]]
        assert (rows[0]["JobIDRaw"] == rows[-1]["JobIDRaw"]) is same, fault
    if lab.limits_memory:
        starved = runs[VICTIMS["out of memory"]][0]["JobIDRaw"]
        ends = {
            row["State"]
            for row in lab.records(disturbed[0].path)
            if row["JobIDRaw"].partition(".")[0] == starved
        }
        assert "OUT_OF_MEMORY" in ends
    assert "violates accounting policy" in disturbed[1].output
    assert len(submissions(disturbed[1], "sbatch refused")) == 2
    # It was taken nonetheless, so it was not submitted again.
    assert len(submissions(disturbed[1], "sbatch timed out")) == 1
    for fault in ("sbatch refused", "sbatch timed out"):
        assert len(runs[VICTIMS[fault]]) == 1, fault


def test_what_is_no_fault_of_a_job_costs_it_no_attempt(
    disturbed: tuple[Clone, Faults], runs: dict[str, list[dict[str, str]]]
) -> None:
    """Nothing was asked for more but by those who had failed: not while slurmctld was away."""
    failed = {"sbatch refused", "out of memory", "scancel", "time limit"}
    asked = defaultdict(set)
    for words in calls(disturbed[1]):
        asked[words[words.index("--comment") + 1]].add(words[words.index("-t") + 1])
    again = {job for job, times in asked.items() if len(times) > 1}
    again -= {job for job, rows in runs.items() if not_started(disturbed[0], rows[0])}
    assert again == {VICTIMS[fault] for fault in failed}


def test_a_job_that_ran_out_is_given_more(disturbed: tuple[Clone, Faults]) -> None:
    def asked(fault: str, option: str) -> list[int]:
        mine = submissions(disturbed[1], fault)
        return [int(words[words.index(option) + 1]) for words in mine]

    for fault, option in (("time limit", "-t"), ("out of memory", "--mem")):
        # At least twice: a slow machine or a fallen node can end a second attempt, too.
        amounts = asked(fault, option)
        assert len(amounts) > 1 and all(more > less for less, more in pairwise(amounts)), amounts


@pytest.mark.parametrize("variant", ["mix-p100", "sft-codesum-p100"])
def test_training_goes_on_from_its_last_save(variant: str, disturbed: tuple[Clone, Faults]) -> None:
    clone, faults = disturbed
    log = Path(clone.results / f"logs/sft/{MODEL}/{variant}.log").read_text()
    resumed = [line for line in log.splitlines() if "resuming after step" in line]
    assert len(resumed) == 1, log
    # What was saved when the fault happened, at least: the loss is less than one save interval.
    assert int(resumed[0].split()[-1]) >= faults.saved[variant] > 0


def megabytes(text: str) -> int:
    """Slurm's memory: 1500M, 2G, 1.5G."""
    factor = {"M": 1, "G": 1024}[text[-1]]
    return round(float(text[:-1]) * factor)


def minutes(text: str) -> int:
    """Slurm's time: [days-]hours:minutes:seconds."""
    days, _, clock = text.rpartition("-")
    hours, mins, _ = clock.split(":")
    return (int(days or 0) * 24 + int(hours)) * 60 + int(mins)
