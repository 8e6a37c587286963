"""The stages' conda files and the image pin the lock's versions and leave out nothing needed."""

import re
from collections.abc import Mapping
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import stage_environments
from mixmerge.artifacts.fingerprint import third_party
from mixmerge.core.errors import UserError

STAGES = ["data", "evaluate", "generate", "merge", "report", "train", "weights"]


@pytest.fixture(scope="module")
def owners() -> Mapping[str, list[str]]:
    return packages_distributions()


@pytest.fixture(scope="module")
def lock(root: Path) -> list[str]:
    return (root / "envs/requirements.lock").read_text(encoding="utf-8").split()


def pinned(root: Path, stage: str) -> dict[str, str]:
    """What a stage's conda file pins: name -> line."""
    file = yaml.safe_load((root / f"envs/{stage}.yaml").read_text("utf-8"))
    python, pip, packages = file["dependencies"]
    assert (python, pip, list(packages)) == ("python=3.11", "pip", ["pip"])
    return {canonicalize_name(line.partition("==")[0]): line for line in packages["pip"]}


def test_the_lock_pins_exact_versions_from_the_index(lock: list[str]) -> None:
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lock)
    assert len({canonicalize_name(line.partition("==")[0]) for line in lock}) == len(lock)


def test_every_rule_has_a_stage_and_every_stage_a_file(root: Path) -> None:
    found = stage_environments.stages(root / "rules")
    assert sorted(found) == STAGES
    assert sorted(file.stem for file in (root / "envs").glob("*.yaml")) == STAGES
    named = {script for scripts in found.values() for script in scripts}
    text = "".join(file.read_text("utf-8") for file in (root / "rules").glob("*.smk"))
    assert named == set(re.findall(r'code\("(\w+\.py)"', text))


@pytest.mark.slow
def test_files_are_what_the_generator_writes(root: Path) -> None:
    for path, text in stage_environments.files(root).items():
        assert path.read_text("utf-8") == text, "run `make conda-env`"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_pins_the_locks_versions_of_all_that_its_scripts_import(
    root: Path, owners: Mapping[str, list[str]], lock: list[str], stage: str
) -> None:
    pins = pinned(root, stage)
    assert set(pins.values()) < set(lock)
    if stage in ("data", "evaluate", "report"):
        assert "torch" not in pins
    for script in stage_environments.stages(root / "rules")[stage]:
        modules = third_party(root / "workflow/scripts" / script)
        assert "pydantic" in modules  # the walk got somewhere: every script checks its settings
        for module in modules - stage_environments.OPTIONAL:
            names = {canonicalize_name(name) for name in owners[module]}
            assert names <= set(pins), f"{stage}: {script} imports {module}"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_all_that_its_distributions_require(
    root: Path, lock: list[str], stage: str
) -> None:
    pins = pinned(root, stage)
    locked = {canonicalize_name(line.partition("==")[0]) for line in lock}
    for name in pins:
        for line in requires(name) or []:
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                needed = canonicalize_name(wanted.name)
                if needed not in locked:
                    continue  # torch's libraries for a GPU, where this runs with one
                assert needed in pins, f"{stage}: {name} requires {line}"
                assert wanted.specifier.contains(pins[needed].partition("==")[2], prereleases=True)


def test_the_image_installs_the_lock_and_pins_nothing_itself(root: Path) -> None:
    text = (root / "envs/mixmerge.def").read_text("utf-8")
    assert "From: python:3.11-" in text
    assert "envs/requirements.lock /opt/mixmerge/requirements.lock" in text
    assert "pip install --no-cache-dir -r /opt/mixmerge/requirements.lock" in text
    assert "==" not in text
    assert 'container: "envs/mixmerge.sif"' in (root / "rules/common.smk").read_text("utf-8")


def test_what_is_not_pinned_or_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no version of torch; run `make lock`"):
        stage_environments.pins({"numpy", "torch"}, {"numpy": "numpy==2.4.6"})
    script = tmp_path / "script.py"
    script.write_text("def main():\n    import no_such_module_at_all\n")
    with pytest.raises(UserError, match="imports no_such_module_at_all, which is not installed"):
        stage_environments.distributions([script])
