"""Change this: exactly these jobs run again. The demo's grid, by dry run on a finished study.

The study only looks finished (small files with Snakemake's own records of them), which is all that
Snakemake goes by; tests/workflow/test_rebuild_run.py runs some of the changes for real.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rebuild_material import REPORT, Rebuild, below, counts, distribution, merging, new_rebuild

from workflow_material import ROOT

pytestmark = pytest.mark.slow

MODELS = ("qwen2-small", "llama-small")
TASKS = ("codegen", "codesum")
SCALE = (25, 50, 100)
MERGES = [f"{name}-w{w}" for name in ("linear", "ties", "dare", "della") for w in (0.3, 0.5, 0.7)]
VARIANTS = ["base", *(f"sft-{task}-p{p}" for task in TASKS for p in SCALE), "mix-p100", *MERGES]

Config = dict[str, Any]
Jobs = set[str]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Rebuild:
    """The demo, finished as it seems; one of its sources is a local file. Read-only."""
    config = yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))
    rebuild = new_rebuild(tmp_path_factory.mktemp("demo"), with_local_source(config))
    write_rows(rebuild, "first")
    rebuild.touch()
    assert rebuild.planned() == set()
    return rebuild


@pytest.fixture
def copy(demo: Rebuild, tmp_path: Path) -> Rebuild:
    return demo.copy_to(tmp_path)


def with_local_source(config: Config) -> Config:
    config["sources"]["functions-to-summarise"] = {
        "kind": "local",
        "path": "functions.jsonl",
        "id_column": "id",
    }
    return config


def write_rows(rebuild: Rebuild, word: str) -> None:
    """The local source's rows, more of them than Snakemake's usual limit for checksums."""
    row = json.dumps({"id": "1", "code": "def f(): pass", "docstring": word * 300_000})
    (rebuild.workspace / "functions.jsonl").write_text(row + "\n", encoding="utf-8")


def trained_on(model: str, *tasks: str) -> Jobs:
    """Jobs that follow from new training sets of some tasks: theirs, the mixture's, all merges."""
    names = [f"sft-{task}-p{percent}" for task in tasks for percent in SCALE] + ["mix-p100"]
    found = {f"sft checkpoints/{model}/{name}" for name in names}
    found |= below(model, *names) | merging(model, *MERGES, recipe=False)
    return found | {f"updates weights/{model}/updates"}


def prepared(task: str) -> Jobs:
    """Jobs that follow from other rows of a task, down to the training sets."""
    found = {f"{rule} data/{place}/{task}" for rule, place in
             [("prepare", "tasks"), ("decontaminate", "clean"), ("split", "split")]}  # fmt: skip
    found |= {f"subset data/sets/{task}-p{percent}" for percent in SCALE}
    return found | {"mix", "statistics"}


def generated() -> Jobs:
    """Generation with every checkpoint and all that follows, without a look at any weight."""
    found = set().union(*(below(model, *VARIANTS) for model in MODELS))
    return {job for job in found if not job.startswith("layers ")}


def scored() -> Jobs:
    return {job for job in generated() if not job.startswith(("generate ", "merge "))}


def both(jobs: Callable[..., Jobs], *names: str, **options: Any) -> Jobs:
    return set().union(*(jobs(model, *names, **options) for model in MODELS))


# ---- the config --------------------------------------------------------------------------------


def add_ratio(config: Config) -> None:
    config["strategies"]["dare"]["ratios"].append(0.9)


def change_density(config: Config) -> None:
    config["strategies"]["della"]["model_parameters"]["density"] = 0.6


def change_learning_rate(config: Config) -> None:
    config["models"]["llama-small"]["sft"] = {"learning_rate": 1e-3}


def change_template(config: Config) -> None:
    config["tasks"]["codesum"]["prompt"] = "What does this do?\n{code}"


def change_suites_prompt(config: Config) -> None:
    config["suites"]["functions"]["prompt"] = "Go on:\n{prompt}"


def add_method(config: Config) -> None:
    config["strategies"]["slerp"] = {"method": "slerp", "ratios": [0.5]}


def add_model(config: Config) -> None:
    config["models"]["third"] = config["models"]["llama-small"] | {"strategies": {"ties": [0.3]}}


def remove_model(config: Config) -> None:
    del config["models"]["llama-small"]


def add_task(config: Config) -> None:
    """One more task, which the strategies that there are do not merge."""
    for strategy in config["strategies"].values():
        strategy["tasks"] = list(TASKS)
    config["tasks"]["again"] = config["tasks"]["codegen"] | {"title": "Once more"}
    for role in ("", "-validation"):
        config["suites"][f"again{role}"] = config["suites"][f"functions{role}"] | {"task": "again"}


def change_order(config: Config) -> None:
    for section in ("models", "strategies", "sources"):
        config[section] = dict(reversed(config[section].items()))


# Its suites are one more reason to drop rows of any task, so that all that is trained is planned; a
# run ends at once where no more rows were dropped. See tests/workflow/test_rebuild_run.py.
ONE_TASK_MORE = (
    (prepared("again") | prepared("codegen") | prepared("codesum"))
    - {"prepare data/tasks/codegen", "prepare data/tasks/codesum"}
    | both(trained_on, *TASKS, "again") | generated()
    | {f"{job}/again{role}" for role in ("", "-validation") for job in
       ("hold_out data/heldout", "suite suites", "ground_truth groundtruth")}
)  # fmt: skip

CONFIGS: dict[str, tuple[Callable[[Config], object], Jobs]] = {
    "one ratio of one method": (add_ratio, both(merging, "dare-w0.9")),
    "one method's density": (change_density, both(merging, *MERGES[9:])),
    "one model's learning rate": (change_learning_rate, trained_on("llama-small", *TASKS)),
    "a task's template": (
        change_template,
        prepared("codesum") | both(trained_on, "codesum") | generated()
        | {f"suite suites/summaries{role}" for role in ("", "-validation")},
    ),
    "a suite's prompt": (
        change_suites_prompt,
        {"suite suites/functions", "ground_truth groundtruth/functions"} | generated(),
    ),
    "a task added": (add_task, ONE_TASK_MORE),
    "a merge method added": (add_method, both(merging, "slerp-w0.5")),
    "a model removed": (remove_model, REPORT),
    # Of strategies the order is that of the comparisons.
    "the order of keys": (
        change_order, REPORT | both(lambda model: {f"uncertainty uncertainty/{model}"}),
    ),
    "the title": (lambda config: config.update(title="Another"), REPORT),
    "the figures' resolution": (
        lambda config: config.update(figures={"dpi": 99}), {"figures", "timing"},
    ),
    "the verdict's bound": (
        lambda config: config["tables"].update(high_correlation=0.7), {"verdict", "timing"},
    ),
    "resamples": (
        lambda config: config.update(uncertainty={"resamples": 1000}),
        both(lambda model: {f"uncertainty uncertainty/{model}"}) | REPORT - {"figures"},
    ),
    "scorers side by side": (lambda config: config.update(code_scoring={"workers": 2}), set()),
    "what is kept": (lambda config: config["merging"].update(keep="all"), set()),
}  # fmt: skip


@pytest.mark.parametrize("change", CONFIGS)
def test_config(copy: Rebuild, change: str) -> None:
    edit, expected = CONFIGS[change]
    config = copy.read_config()
    edit(config)
    copy.write_config(config)
    assert copy.planned() == expected


def test_a_model_added(copy: Rebuild) -> None:
    config = copy.read_config()
    add_model(config)
    copy.write_config(config)
    planned = copy.planned()
    assert {job for job in planned if "third" not in job} == REPORT
    once = ("pretrain", "recipe", "merge", "merged_layers", "winner", "updates", "uncertainty")
    assert counts(planned - REPORT) == dict.fromkeys(once, 1) | {
        "sft": 7,
        "generate": 9,
        "score": 9,
        "layers": 7,
    }


# ---- the code ----------------------------------------------------------------------------------

CODE: dict[str, tuple[tuple[str, str, str], Jobs]] = {
    "a metric's definition": (
        ("src/mixmerge/evaluate/metrics.py", "\ndef ", "\nEXTRA = 1\n\n\ndef "),
        scored(),
    ),
    "the scorer's code": (
        ("src/mixmerge/evaluate/scoring.py", "\ndef ", "\nEXTRA = 1\n\n\ndef "),
        scored(),
    ),
    "the code of the scorer's own processes": (
        ("src/mixmerge/evaluate/worker.py", "\ndef ", "\nEXTRA = 1\n\n\ndef "),
        {f"ground_truth groundtruth/functions{of}" for of in ("", "-validation")} | scored(),
    ),
    "the merge code": (
        ("src/mixmerge/merge/execution.py", "\ndef ", "\nEXTRA = 1\n\n\ndef "),
        both(merging, *MERGES),
    ),
    "a comment": (
        ("src/mixmerge/evaluate/metrics.py", "\ndef ", "\n# Why it is so.\ndef "),
        set(),
    ),
    "a docstring": (
        ("src/mixmerge/core/io.py", '"""', '"""Said otherwise. '),
        set(),
    ),
    "a table's format": (
        ("src/mixmerge/report/render.py", "\ndef ", "\nEXTRA = 1\n\n\ndef "),
        REPORT - {"figures"},
    ),
    "how a job is cut off": (
        ("src/mixmerge/artifacts/record.py", "\ndef ", "\nEXTRA = 1\n\n\ndef "),
        set(),
    ),
    "how files are compared with their manifests": (
        ("src/mixmerge/artifacts/content.py", "\ndef ", "\nEXTRA = 1\n\n\ndef "),
        set(),
    ),
    "a rule's message and resources": (
        ("rules/score.smk", '"score {wildcards.model}', '"judge {wildcards.model}'),
        set(),
    ),
}


@pytest.mark.parametrize("change", CODE)
def test_code(copy: Rebuild, change: str) -> None:
    edit, expected = CODE[change]
    copy.change_code(*edit)
    assert copy.planned() == expected


LIBRARIES: dict[str, Jobs] = {
    "sacrebleu": scored(),
    "mergekit": both(merging, *MERGES),
    "matplotlib": {"figures", "timing"},
    "pydantic": set(),
    "httpcore": set(),
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_library(copy: Rebuild, tmp_path: Path, library: str) -> None:
    distribution(tmp_path / "site", library, "99.0")
    assert copy.planned({"PYTHONPATH": str(tmp_path / "site")}) == LIBRARIES[library]


# ---- the files ---------------------------------------------------------------------------------


def test_a_data_sets_content(copy: Rebuild) -> None:
    write_rows(copy, "second")
    expected = {"fetch data/sources/functions-to-summarise"}
    assert copy.planned() == expected | prepared("codesum") | both(trained_on, "codesum")


def test_touch(copy: Rebuild) -> None:
    (copy.workspace / "functions.jsonl").touch()
    for manifest in copy.results.rglob("manifest.json"):
        manifest.touch()
    for source in copy.repository.rglob("*.py"):
        source.touch()
    assert copy.planned() == set()


def git(folder: Path, *arguments: str) -> None:
    name = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True)


def test_another_branch_and_back(copy: Rebuild) -> None:
    git(copy.repository, "init", "--initial-branch=main")
    git(copy.repository, "add", "--all")
    git(copy.repository, "commit", "--message=first")
    git(copy.repository, "checkout", "-b", "other")
    for file in ("src/mixmerge/sft/train.py", "src/mixmerge/evaluate/scoring.py"):
        copy.change_code(file, "\ndef ", "\nEXTRA = 1\n\n\ndef ")
    git(copy.repository, "commit", "--all", "--message=second")
    assert {"sft", "score"} <= set(counts(copy.planned()))
    git(copy.repository, "checkout", "main")
    assert copy.planned() == set()


def test_a_new_clone_over_old_results(demo: Rebuild, tmp_path: Path) -> None:
    """Other paths and times of everything but the results' own records."""
    old = demo.copy_to(tmp_path / "old")
    clone = Rebuild(tmp_path / "clone" / "repository", tmp_path / "clone" / "workspace")
    pairs = [(old.repository, clone.repository), (old.workspace, clone.workspace)]
    for before, after in pairs:
        shutil.copytree(before, after, copy_function=shutil.copyfile)
        shutil.rmtree(before)
    assert clone.planned() == set()
