"""What each job asks for: from the model and the work, and from what earlier jobs achieved."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.studies import shipped, study_of
from mixmerge.resources.requests import JobResources

SMALL, LARGE = "qwen2.5-coder-1.5b", "qwen2.5-coder-7b"
HOUR = 3600
HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def needs(tmp_path: Path, name: str = "config", **hardware: Any) -> JobResources:
    data = shipped(name) | {"results": str(tmp_path)}
    data.setdefault("hardware", {}).update(hardware)
    return JobResources(study_of(data))


def benchmark(
    found: JobResources, rule: str, job: str, seconds: float, memory: float | str = 5000
) -> Path:
    path = Path(found.study.path("benchmarks", rule, f"{job}.tsv"))
    path.parent.mkdir(parents=True, exist_ok=True)
    row = [f"{seconds:.4f}", "0:00:00", str(memory), *["1.0"] * 7]
    path.write_text(HEADER + "\t".join(row) + "\n", encoding="utf-8")
    return path


def hours(found: JobResources, model: str, variant: str) -> float:
    return found.estimate("sft", {"model": model, "variant": variant})["expected_s"] / HOUR


def test_the_papers_runs_take_the_papers_hours(tmp_path: Path) -> None:
    found = needs(tmp_path, sft_hours={"small": 4, "large": 20})
    for model, expected in ((SMALL, 4), ("deepseek-coder-1.3b", 4), (LARGE, 20)):
        for percent, share in ((100, 1), (50, 0.5), (25, 0.25)):
            measured = hours(found, model, f"sft-codesum-p{percent}")
            assert measured == pytest.approx(expected * share)
        # Both tasks' rows together.
        assert hours(found, model, "mix-p100") == pytest.approx(2 * expected)
        assert found.estimate("sft", {"model": model, "variant": "mix-p100"})["gpu"] == 4
    assert hours(needs(tmp_path), LARGE, "mix-p100") == pytest.approx(40)  # as the config has them


def test_without_them_the_operations_come_near_and_faster_hardware_takes_less(
    tmp_path: Path,
) -> None:
    found = needs(tmp_path, sft_hours=None)
    assert 4 / 3 < hours(found, SMALL, "sft-codegen-p100") < 4 * 3
    assert 20 / 3 < hours(found, LARGE, "sft-codegen-p100") < 20 * 3
    slow, fast = (needs(tmp_path, sft_hours=None, training_tflops=rate) for rate in (100, 400))
    ratio = hours(slow, LARGE, "mix-p100") / hours(fast, LARGE, "mix-p100")
    assert ratio == pytest.approx(4, rel=0.01)


def test_retries_get_more_but_no_more_than_there_is(tmp_path: Path) -> None:
    job = SimpleNamespace(model=LARGE, variant="base")
    resources = needs(tmp_path).of("generate")
    first, second, third = (
        {name: value(job, attempt) for name, value in resources.items()} for attempt in (1, 2, 3)
    )
    assert (second["runtime"], third["runtime"]) == (2 * first["runtime"], 4 * first["runtime"])
    assert second["mem_mb"] == pytest.approx(1.5 * first["mem_mb"], abs=1)
    assert third["mem_mb"] == pytest.approx(2.25 * first["mem_mb"], abs=1)
    for name in ("gpu", "expected_s", "disk_mb", "kept_mb"):
        assert first[name] == third[name]
    runtime = needs(tmp_path, longest_hours=24).of("sft")["runtime"]
    job = SimpleNamespace(model=LARGE, variant="mix-p100")
    assert [runtime(job, attempt) for attempt in (1, 2, 3)] == [1440] * 3


def test_runs_over_several_nodes_say_how_slurm_is_to_start_them(tmp_path: Path) -> None:
    names = ("processes", "nodes", "mpi", "tasks", "tasks_per_gpu", "cpus_per_task")
    found = {}
    for nodes in (1, 2):
        data = shipped("config") | {"results": str(tmp_path)}
        data["sft"] |= {"nodes": nodes, "threads": 3}
        resources = JobResources(study_of(data)).of("sft")
        job = SimpleNamespace(model=LARGE, variant="mix-p100")
        found[nodes] = tuple(resources[name](job, 1) for name in names)
    assert found == {1: (4, 1, None, None, None, None), 2: (4, 2, "srun", 2, 0, 6)}


def test_larger_models_take_more(tmp_path: Path) -> None:
    found = needs(tmp_path)
    for rule, variant in (("merge", "ties-w0.3"), ("generate", "base"), ("layers", "mix-p100")):
        small, large = (
            found.estimate(rule, {"model": m, "variant": variant}) for m in (SMALL, LARGE)
        )
        assert large["expected_s"] > 2 * small["expected_s"]
        assert large["mem_mb"] > small["mem_mb"]
    merged = found.estimate("merge", {"model": LARGE, "variant": "ties-w0.3"})
    assert merged["kept_mb"] == pytest.approx(7_615_616_512 * 2 / 1e6, rel=0.01)
    # Twice the last checkpoint with its optimiser states, while the next is written.
    trained = found.estimate("sft", {"model": LARGE, "variant": "mix-p100"})
    assert trained["disk_mb"] > 2 * 14 * 7615
    assert trained["kept_mb"] == pytest.approx(merged["kept_mb"], rel=0.01)


def test_finished_jobs_overrule_assumptions(tmp_path: Path) -> None:
    before = needs(tmp_path)
    job, other = ({"model": model, "variant": "ties-w0.5"} for model in (SMALL, LARGE))
    assumed, guess = (before.estimate("merge", one) for one in (job, other))
    for ratio, seconds in (("0.1", 1000), ("0.2", 1100), ("0.3", 1200)):
        benchmark(before, "merge", f"{SMALL}/ties-w{ratio}", seconds, 4000)
    measured, faster = (needs(tmp_path).estimate("merge", one) for one in (job, other))
    assert measured["expected_s"] == pytest.approx(1100, rel=0.01)
    assert measured["mem_mb"] == 500 + 4000 * 1.5
    # Half again for a job whose like has run, thrice the guess for one whose like has not.
    assert measured["runtime"] == pytest.approx(5 + 1.5 * 1100 / 60, abs=1)
    assert assumed["runtime"] == pytest.approx(5 + 3 * assumed["expected_s"] / 60, abs=1)
    # Another model's jobs tell of the machine's speed, not of this model's memory.
    rate = (1100 - 15) / (assumed["expected_s"] - 15)
    assert faster["expected_s"] == pytest.approx(15 + rate * (guess["expected_s"] - 15), rel=0.01)
    assert faster["mem_mb"] == guess["mem_mb"]


def test_a_quarter_run_tells_of_the_whole(tmp_path: Path) -> None:
    before = needs(tmp_path, sft_hours=None)
    benchmark(before, "sft", f"{SMALL}/sft-codegen-p25", 2 * HOUR)
    # Four times as many steps; the validation rows are as many.
    assert 6 < hours(needs(tmp_path, sft_hours=None), SMALL, "sft-codegen-p100") < 8
    # Measurements overrule the user's hours, too.
    assert hours(needs(tmp_path), SMALL, "sft-codegen-p100") == pytest.approx(8, rel=0.01)


def test_benchmarks_that_say_nothing_are_passed_over(tmp_path: Path) -> None:
    before = needs(tmp_path)
    job = {"model": SMALL, "variant": "base"}
    assumed = before.estimate("generate", job)
    # This job only restored what it had made before: it imported nothing.
    folder = benchmark(before, "generate", f"{SMALL}/dare-w0.1", 3.0, memory=40).parent
    broken = (HEADER, HEADER + "12.", "\ud8ff\0", HEADER + "nan\t-\tNA\n")
    for number, text in enumerate(broken, start=2):
        (folder / f"dare-w0.{number}.tsv").write_bytes(text.encode("utf-16", "surrogatepass"))
        (folder / f"ties-w0.{number}.tsv").write_bytes(text.encode("utf-8", "surrogatepass"))
    (folder / "dare-w0.6.tsv").mkdir()
    benchmark(before, "generate", f"{SMALL}/of-another-study", 900)
    benchmark(before, "generate", "a-model-that-left/base", 900)
    assert needs(tmp_path).estimate("generate", job) == assumed


def test_what_is_there_counts_instead_of_guesses(tmp_path: Path) -> None:
    def manifest(parts: str, facts: dict[str, Any], **sizes: int) -> None:
        path = tmp_path / "paper" / parts / "manifest.json"
        path.parent.mkdir(parents=True)
        files = {f"{name}.jsonl": {"bytes": size} for name, size in sizes.items()}
        path.write_text(json.dumps({"facts": facts, "files": files}), encoding="utf-8")

    guessed = needs(tmp_path, sft_hours=None)
    guess = hours(guessed, SMALL, "sft-codegen-p100")
    job = {"model": SMALL, "variant": "base"}
    before = {rule: guessed.estimate(rule, job)["expected_s"] for rule in ("generate", "score")}
    manifest("data/sets/codegen-p100", {"train": 1000, "validation": 10}, train=2_000_000)
    manifest("suites/codexglue", {"items": 100})
    manifest(f"checkpoints/{LARGE}/base", {"parameters": 1_000_000_000})
    found = needs(tmp_path, sft_hours=None)
    assert hours(found, SMALL, "sft-codegen-p100") < guess / 100
    for rule, seconds in before.items():
        assert found.estimate(rule, job)["expected_s"] < seconds
    merged = found.estimate("merge", {"model": LARGE, "variant": "ties-w0.3"})
    assert merged["kept_mb"] == pytest.approx(2000, rel=0.02)
    # A broken manifest is no manifest.
    (tmp_path / "paper/suites/codexglue/manifest.json").write_text('{"facts": ')
    assert needs(tmp_path).estimate("score", job)["expected_s"] == before["score"]
