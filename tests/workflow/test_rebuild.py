"""Change this: exactly these jobs run again, as rebuild_matrix.yaml has them.

The studies only look finished (small files with Snakemake's own records of them), which is all that
Snakemake goes by; tests/workflow/test_rebuild_run.py runs some of the changes for real.
"""

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.rebuild import REPORT, Rebuild, finished_study
from fixtures.studies import ROOT, changed, shipped

MATRIX = yaml.safe_load((Path(__file__).parent / "rebuild_matrix.yaml").read_text("utf-8"))
LOCAL = {"kind": "local", "path": "functions.jsonl", "id_column": "id"}


#: Rows that `make test` tries; each is a plan of the demo, some seconds.
QUICK = {
    "one ratio of one method",
    "a metric's definition, the scorer's code",
    "a comment, a docstring, a rule's message",
    "`git checkout` of another branch and back",
}


def cases(study: str) -> Iterator[Any]:
    for row in MATRIX["matrix"]:
        for number, case in enumerate(row.get(study, [])):
            quick = study == "demo" and row["change"] in QUICK and not number
            mark = pytest.mark.slow if quick else pytest.mark.long
            yield pytest.param(case, id=f"{row['change']}{number or ''}", marks=mark)


def rows(word: str) -> str:
    """The local source's rows, more of them than Snakemake's usual limit for checksums."""
    return json.dumps({"id": "1", "code": "def f(): pass", "docstring": word * 300_000}) + "\n"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Rebuild:
    """The demo with few merges, finished as it seems; a source is a local file. Read-only."""
    config = changed(shipped(), "sources/functions-to-summarise", LOCAL) | {"data_scale": [100]}
    for strategy in config["strategies"].values():
        strategy["ratios"] = [0.5]
    return finished_study(tmp_path_factory.mktemp("demo"), config, functions=rows("first"))


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Rebuild:
    """The paper's study, finished as it seems. Read-only."""
    return finished_study(tmp_path_factory.mktemp("paper"), shipped("config"))


def other_rows(study: Rebuild) -> None:
    (study.workspace / "functions.jsonl").write_text(rows("second"))


def add_task(study: Rebuild) -> None:
    """One more task, which the strategies that there are do not merge."""
    config = study.read_config()
    for strategy in config["strategies"].values():
        strategy["tasks"] = list(config["tasks"])
    config["tasks"]["again"] = config["tasks"]["codegen"] | {"title": "Once more"}
    for role in ("", "-validation"):
        config["suites"][f"again{role}"] = config["suites"][f"functions{role}"] | {"task": "again"}
    study.write_config(config)


def add_model(study: Rebuild) -> None:
    """One more model that is merged once."""
    config = study.read_config()
    strategy = next(iter(config["strategies"]))
    entry = list(config["models"].values())[-1]
    config["models"]["third"] = entry | {"strategies": {strategy: [0.3]}}
    study.write_config(config)


def reverse_order(study: Rebuild) -> None:
    config = study.read_config()
    for section in ("models", "strategies", "sources"):
        config[section] = dict(reversed(config[section].items()))
    study.write_config(config)


def touch_everything(study: Rebuild) -> None:
    (study.workspace / "functions.jsonl").touch()
    for path in (*study.results.rglob("manifest.json"), *study.repository.rglob("*.py")):
        path.touch()


def branch_and_back(study: Rebuild) -> None:
    def git(*arguments: str) -> None:
        name = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        command = ["git", *name, *arguments]
        subprocess.run(command, cwd=study.repository, check=True, capture_output=True)

    git("init", "--initial-branch=main")
    git("add", "--all")
    git("commit", "--message=first")
    git("checkout", "-b", "other")
    for file in ("src/mixmerge/sft/train.py", "src/mixmerge/evaluate/scoring.py"):
        study.change_code(file)
    git("commit", "--all", "--message=second")
    assert {"sft", "score"} <= {job.split()[0] for job in study.planned()}
    git("checkout", "main")


def new_clone(study: Rebuild) -> None:
    """Other times of everything but the results' own records."""
    for folder in (study.repository, study.workspace):
        old = folder.rename(folder.with_suffix(".old"))
        shutil.copytree(old, folder, copy_function=shutil.copyfile)
        shutil.rmtree(old)


def apply(case: dict[str, Any], study: Rebuild, site: Path) -> dict[str, str]:
    """Make a change; returns the variables with which Snakemake is to be called."""
    if "edit" in case:
        globals()[case["edit"]](study)
    for change in case.get("code", []):
        study.change_code(*change)
    config = study.read_config()
    for path, value in case.get("config", {}).items():
        config = changed(config, path, value)
        if value == {"remove": True}:
            section, _, key = path.partition("/")
            del config[section][key]
    study.write_config(config)
    for name in case.get("libraries", []):
        # Metadata of an installed distribution, as pip leaves it: found first on PYTHONPATH.
        folder = site / f"{name}-99.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 99.0\n")
    return {"PYTHONPATH": str(site)} if "libraries" in case else {}


def matching(jobs: set[str], names: list[str]) -> set[str]:
    """The jobs that patterns and groups of patterns stand for; each stands for some."""
    groups = MATRIX["groups"]
    patterns = [pattern for name in names for pattern in groups.get(name, [name])]
    found = set()
    for pattern in patterns:
        some = {job for job in jobs if fnmatchcase(job, pattern)}
        assert some, f"no job is like {pattern!r}"
        found |= some
    return found


@pytest.mark.parametrize("case", cases("demo"))
def test_the_demos_jobs(demo: Rebuild, tmp_path: Path, case: dict[str, Any]) -> None:
    copy = demo.copy_to(tmp_path)
    everything, planned = copy.jobs(apply(case, copy, tmp_path / "site"))
    assert planned == matching(everything, case["jobs"])


@pytest.mark.parametrize("case", cases("paper"))
def test_the_grids_jobs(paper: Rebuild, tmp_path: Path, case: dict[str, Any]) -> None:
    copy = paper.copy_to(tmp_path)
    _, planned = copy.jobs(apply(case, copy, tmp_path / "site"))
    counts = Counter(job.split()[0] for job in planned)
    assert counts == case["counts"] | dict.fromkeys(REPORT, 1)


def test_the_docs_have_the_matrix() -> None:
    lines = ["| change | jobs that run again | in the paper's grid |", "|---|---|---|"]
    for row in MATRIX["matrix"]:
        cells = [" ".join(row.get(name, "").split()) for name in ("change", "again", "grid")]
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |"))
    table = "\n".join(lines)
    pages = [path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")]
    assert any(table in page for page in pages), f"put into docs/rebuild.md:\n{table}"
