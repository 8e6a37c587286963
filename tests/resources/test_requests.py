"""What each job asks for: from the model and the work, and from what earlier jobs achieved."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.studies import ROOT, shipped, study_of
from mixmerge.resources.estimates import RULES
from mixmerge.resources.requests import GPU_RULES, JobResources

SMALL, LARGE = "qwen2.5-coder-1.5b", "qwen2.5-coder-7b"
HOUR = 3600
HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"

Change = Callable[[dict[str, Any]], None]


class Wildcards:
    """As Snakemake hands them over: attributes."""

    def __init__(self, **named: str) -> None:
        vars(self).update(named)


def needs(tmp_path: Path, name: str = "config", **hardware: Any) -> JobResources:
    data = shipped(name) | {"results": str(tmp_path)}
    data.setdefault("hardware", {}).update(hardware)
    return JobResources(study_of(data))


def jobs(found: JobResources, rule: str) -> Iterator[dict[str, str]]:
    """Wildcards of all jobs of a rule."""
    study = found.study
    config = study.config
    merges, trained = study.checkpoints("merge"), study.checkpoints("sft", "mix")
    pairs = {
        "sft": trained,
        "layers": trained,
        "recipe": merges,
        "merge": merges,
        "merged_layers": merges,
        "generate": study.checkpoints(),
        "score": study.checkpoints(),
    }
    named: dict[tuple[str, ...], list[dict[str, str]]] = {
        (): [{}],
        ("source",): [{"source": key} for key in config.sources],
        ("task",): [{"task": key} for key in config.tasks],
        ("suite",): [{"suite": key} for key in config.suites],
        ("task", "percent"): [
            {"task": task, "percent": str(p)} for task, p in study.training_sets.values() if task
        ],
        ("percent",): [{"percent": "100"}],
        ("model", "strategy"): [
            {"model": m, "strategy": study.variants[m][v].strategy or ""} for m, v in merges
        ],
        ("model", "variant"): [{"model": m, "variant": v} for m, v in pairs.get(rule, [])],
        ("model",): [{"model": model} for model in config.models],
    }
    kinds = {"pretrain": ["embedded"], "snapshot": ["hub", "local"], "dequantise": ["gguf"]}
    if rule in kinds:
        return iter([{"model": model} for model in study.models_of_kind(*kinds[rule])])
    if rule == "corpus" and config.embedded is None:
        return iter([])
    if rule == "ground_truth":
        return iter([{"suite": suite} for suite in study.code_suites()])
    return iter(named[RULES[rule]])


def benchmark(
    found: JobResources, rule: str, job: str, seconds: float, memory: float | str = 5000
) -> Path:
    path = Path(found.study.path("benchmarks", rule, f"{job}.tsv"))
    path.parent.mkdir(parents=True, exist_ok=True)
    row = [f"{seconds:.4f}", "0:00:00", str(memory), *["1.0"] * 7]
    path.write_text(HEADER + "\t".join(row) + "\n", encoding="utf-8")
    return path


def hours(found: JobResources, model: str, variant: str) -> float:
    return found.estimate("sft", {"model": model, "variant": variant}).seconds / HOUR


def test_the_papers_runs_take_the_papers_hours(tmp_path: Path) -> None:
    found = needs(tmp_path, sft_hours={"small": 4, "large": 20})
    for model, expected in ((SMALL, 4), ("deepseek-coder-1.3b", 4), (LARGE, 20)):
        for task in ("codegen", "codesum"):
            assert hours(found, model, f"sft-{task}-p100") == pytest.approx(expected)
            assert hours(found, model, f"sft-{task}-p50") == pytest.approx(expected / 2)
            assert hours(found, model, f"sft-{task}-p25") == pytest.approx(expected / 4)
        # Both tasks' rows together.
        assert hours(found, model, "mix-p100") == pytest.approx(2 * expected)
        assert found.estimate("sft", {"model": model, "variant": "mix-p100"}).gpu == 4


def test_without_them_the_operations_come_near(tmp_path: Path) -> None:
    found = needs(tmp_path, sft_hours=None)
    assert 4 / 3 < hours(found, SMALL, "sft-codegen-p100") < 4 * 3
    assert 20 / 3 < hours(found, LARGE, "sft-codegen-p100") < 20 * 3


def test_faster_hardware_takes_less(tmp_path: Path) -> None:
    slow, fast = (needs(tmp_path, sft_hours=None, training_tflops=rate) for rate in (100, 400))
    ratio = hours(slow, LARGE, "mix-p100") / hours(fast, LARGE, "mix-p100")
    assert ratio == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize(
    ("config", "device"), [("config", "gpu"), ("smollm2", "gpu"), ("demo", "cpu")]
)
def test_gpus_are_asked_for_where_a_model_runs_and_nowhere_else(
    tmp_path: Path, config: str, device: str
) -> None:
    found = needs(tmp_path, config)
    assert found.study.config.hardware.device == device
    seen = 0
    for rule in RULES:
        resources = found.of(rule)
        for job in jobs(found, rule):
            seen += 1
            estimate = found.estimate(rule, job)
            asked = resources["gpu"](Wildcards(**job), 1) if "gpu" in resources else 0
            assert asked == estimate.gpu
            if device == "cpu" or rule not in GPU_RULES:
                # Not even 0: a cluster's plugin may take the name alone for a wish.
                assert "gpu" not in resources
            else:
                expected = found.processes(job["model"], job["variant"]) if rule == "sft" else 1
                assert asked == expected
            assert estimate.mem_mb >= 600
            assert estimate.runtime >= 10
            assert estimate.runtime * 60 >= 1.5 * estimate.seconds
            assert 0 < estimate.kept_mb <= estimate.disk_mb
    assert seen > 50


def test_every_rule_is_known(tmp_path: Path) -> None:
    asked = {
        line.split('needs("')[1].split('"')[0]
        for file in (ROOT / "rules").glob("*.smk")
        for line in file.read_text(encoding="utf-8").splitlines()
        if '*needs("' in line
    }
    assert asked == set(RULES)


def test_retries_get_more(tmp_path: Path) -> None:
    resources = needs(tmp_path).of("generate")
    job = Wildcards(model=LARGE, variant="base")
    first, second, third = (
        {name: value(job, attempt) for name, value in resources.items()} for attempt in (1, 2, 3)
    )
    assert second["runtime"] == 2 * first["runtime"]
    assert third["runtime"] == 4 * first["runtime"]
    assert second["mem_mb"] == pytest.approx(1.5 * first["mem_mb"], abs=1)
    assert third["mem_mb"] == pytest.approx(2.25 * first["mem_mb"], abs=1)
    for name in ("gpu", "expected_s", "disk_mb", "kept_mb"):
        assert first[name] == third[name]


def test_no_attempt_asks_for_more_time_than_there_is(tmp_path: Path) -> None:
    resources = needs(tmp_path, longest_hours=24).of("sft")
    job = Wildcards(model=LARGE, variant="mix-p100")
    assert [resources["runtime"](job, attempt) for attempt in (1, 2, 3)] == [1440] * 3


def test_larger_models_take_more(tmp_path: Path) -> None:
    found = needs(tmp_path)
    for rule, variant in (("merge", "ties-w0.3"), ("generate", "base"), ("layers", "mix-p100")):
        small, large = (
            found.estimate(rule, {"model": m, "variant": variant}) for m in (SMALL, LARGE)
        )
        assert large.seconds > 2 * small.seconds
        assert large.mem_mb > small.mem_mb
    merged = found.estimate("merge", {"model": LARGE, "variant": "ties-w0.3"})
    assert merged.kept_mb == pytest.approx(7_615_616_512 * 2 / 1e6, rel=0.01)
    # Twice the last checkpoint with its optimiser states, while the next is written.
    trained = found.estimate("sft", {"model": LARGE, "variant": "mix-p100"})
    assert trained.disk_mb > 2 * 14 * 7615
    assert trained.kept_mb == pytest.approx(merged.kept_mb, rel=0.01)


def test_finished_jobs_overrule_assumptions(tmp_path: Path) -> None:
    before = needs(tmp_path)
    job = {"model": SMALL, "variant": "ties-w0.5"}
    assumed = before.estimate("merge", job)
    assert not assumed.measured
    for ratio, seconds in (("0.1", 1000), ("0.2", 1100), ("0.3", 1200)):
        benchmark(before, "merge", f"{SMALL}/ties-w{ratio}", seconds, 4000)
    measured = needs(tmp_path).estimate("merge", job)
    assert measured.measured
    assert measured.seconds == pytest.approx(1100, rel=0.01)
    assert measured.mem_mb == 500 + 4000 * 1.5
    # Half again for a job whose like has run, thrice the guess for one whose like has not.
    assert measured.runtime == pytest.approx(5 + 1.5 * 1100 / 60, abs=1)
    assert assumed.runtime == pytest.approx(5 + 3 * assumed.seconds / 60, abs=1)
    # Another model's jobs tell of the machine's speed, not of this model's memory.
    other, guess = (
        n.estimate("merge", {"model": LARGE, "variant": "ties-w0.5"})
        for n in (needs(tmp_path), before)
    )
    assert other.measured
    rate = (1100 - 15) / (assumed.seconds - 15)
    assert other.seconds == pytest.approx(15 + rate * (guess.seconds - 15), rel=0.01)
    assert other.mem_mb == guess.mem_mb


def test_a_quarter_run_tells_of_the_whole(tmp_path: Path) -> None:
    before = needs(tmp_path, sft_hours=None)
    benchmark(before, "sft", f"{SMALL}/sft-codegen-p25", 2 * HOUR)
    whole = needs(tmp_path, sft_hours=None)
    # Four times as many steps; the validation rows are as many.
    assert 6 < hours(whole, SMALL, "sft-codegen-p100") < 8
    # Measurements overrule the user's hours, too.
    assert hours(needs(tmp_path), SMALL, "sft-codegen-p100") == pytest.approx(8, rel=0.01)


def test_benchmarks_that_say_nothing_are_passed_over(tmp_path: Path) -> None:
    before = needs(tmp_path)
    job = {"model": SMALL, "variant": "base"}
    assumed = before.estimate("generate", job)
    folder = benchmark(before, "generate", f"{SMALL}/dare-w0.1", 3.0, memory=40).parent
    (folder / "dare-w0.2.tsv").write_text(HEADER, encoding="utf-8")
    (folder / "dare-w0.3.tsv").write_text(HEADER + "12.", encoding="utf-8")
    (folder / "dare-w0.4.tsv").write_bytes(b"\xff\xfe\x00s\t1\n\x00")
    (folder / "dare-w0.5.tsv").write_text(HEADER + "nan\t-\tNA\n", encoding="utf-8")
    (folder / "dare-w0.6.tsv").mkdir()
    benchmark(before, "generate", f"{SMALL}/of-another-study", 900)
    benchmark(before, "generate", "a-model-that-left/base", 900)
    # The first is of a job that only restored what it had made before: it imported nothing.
    assert needs(tmp_path).estimate("generate", job) == assumed


def test_each_benchmark_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = needs(tmp_path)
    for _, variant in before.study.checkpoints("merge")[:30]:
        benchmark(before, "score", f"{SMALL}/{variant}", 30)
    opened: list[Path] = []
    real = Path.open

    def counting(self: Path, *arguments: Any, **named: Any) -> Any:
        if self.suffix == ".tsv":
            opened.append(self)
        return real(self, *arguments, **named)

    monkeypatch.setattr(Path, "open", counting)
    found = needs(tmp_path)
    for job in jobs(found, "score"):
        found.estimate("score", job)
    # Once for its own model, once for the models that have none of their own.
    assert 30 <= len(opened) <= 60


def manifest(tmp_path: Path, parts: str, facts: dict[str, Any], **files: int) -> None:
    path = tmp_path / "paper" / parts / "manifest.json"
    path.parent.mkdir(parents=True)
    listed = {name.replace("_", "."): {"bytes": size} for name, size in files.items()}
    path.write_text(json.dumps({"kind": "x", "facts": facts, "files": listed}), encoding="utf-8")


def test_what_is_there_counts_instead_of_guesses(tmp_path: Path) -> None:
    guessed = needs(tmp_path, sft_hours=None)
    guess = hours(guessed, SMALL, "sft-codegen-p100")
    job = {"model": SMALL, "variant": "base"}
    before = {rule: guessed.estimate(rule, job).seconds for rule in ("generate", "score")}
    manifest(
        tmp_path, "data/sets/codegen-p100", {"train": 1000, "validation": 10}, train_jsonl=2_000_000
    )
    manifest(tmp_path, "suites/codexglue", {"items": 100})
    manifest(tmp_path, f"checkpoints/{LARGE}/base", {"parameters": 1_000_000_000})
    found = needs(tmp_path, sft_hours=None)
    assert hours(found, SMALL, "sft-codegen-p100") < guess / 100
    for rule, seconds in before.items():
        assert found.estimate(rule, job).seconds < seconds
    merged = found.estimate("merge", {"model": LARGE, "variant": "ties-w0.3"})
    assert merged.kept_mb == pytest.approx(2000, rel=0.02)


def test_a_broken_manifest_is_no_manifest(tmp_path: Path) -> None:
    path = tmp_path / "paper/suites/codexglue/manifest.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"facts": ', encoding="utf-8")
    job = {"model": SMALL, "variant": "base"}
    assert needs(tmp_path).estimate("score", job).seconds > 100


def test_ten_thousand_jobs_are_estimated_in_seconds(tmp_path: Path) -> None:
    """The bound of the whole plan is 60 s for so many; estimates must be a small part of it."""
    data = shipped() | {"results": str(tmp_path)}
    model = next(iter(data["models"].values()))
    data["models"] = {f"m{number}": model for number in range(100)}
    data["strategies"] = {"linear": {"method": "linear", "ratios": [i / 41 for i in range(1, 41)]}}
    found = JobResources(study_of(data))
    rules = {rule: found.of(rule) for rule in ("merge", "generate", "score")}
    start, count = time.process_time(), 0
    for rule, resources in rules.items():
        for job in jobs(found, rule):
            wildcards = Wildcards(**job)
            count += 1
            for value in resources.values():
                value(wildcards, 1)
    assert count > 12_000
    assert time.process_time() - start < 6
