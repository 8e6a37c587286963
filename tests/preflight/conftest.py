"""Fixtures of preflight's tests: a sound study to break, and what preflight finds in it."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.sound_study import sound
from mixmerge.config.load import parse_config
from mixmerge.preflight import inputs, models
from mixmerge.preflight.findings import Area, Context
from mixmerge.resources.plan import Planned
from mixmerge.resources.schedule import Job
from mixmerge.study.plan import Study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The configuration of a sound study in the working directory."""
    monkeypatch.chdir(tmp_path)
    return sound(tmp_path)


@pytest.fixture
def context() -> Callable[..., Context]:
    """What areas are given: a configuration; keywords say how it would be run."""

    def make(config: dict[str, Any], **more: Any) -> Context:
        study = Study(parse_config(config, "study.yaml"))
        return Context("study.yaml", study, **{"repository": ROOT, **more})

    return make


@pytest.fixture
def inspect(context: Callable[..., Context]) -> Callable[[dict[str, Any]], dict[str, Area]]:
    """The areas of a study's own files by name."""

    def areas(config: dict[str, Any]) -> dict[str, Area]:
        made = context(config)
        bases = models.base_directories(made)
        found = [
            *(check(made) for check in (inputs.check_config, inputs.check_data)),
            inputs.check_suites(made),
            *(check(made, bases) for check in (models.check_models, models.check_templates)),
        ]
        return {area.name: area for area in found}

    return areas


@pytest.fixture
def errors(inspect: Callable[..., dict[str, Area]]) -> Callable[[dict[str, Any]], list[str]]:
    """The errors in a study's own files, each of one line."""

    def found(config: dict[str, Any]) -> list[str]:
        lines = [text for area in inspect(config).values() for text in area.errors]
        assert not any("\n" in line for line in lines)
        return lines

    return found


@pytest.fixture
def one_error(errors: Callable[..., list[str]]) -> Callable[..., None]:
    """Checks that a study has one error, which holds all the words."""

    def check(config: dict[str, Any], *words: str) -> None:
        found = errors(config)
        assert len(found) == 1, found
        assert all(word in found[0] for word in words), (found[0], words)

    return check


@pytest.fixture
def planned() -> Callable[..., Planned]:
    """A plan with one job a rule, given its resources."""

    def make(**rules: dict[str, int]) -> Planned:
        jobs = [Job(rule, {}, (), (), 1, 0, resources) for rule, resources in rules.items()]
        return Planned(jobs, {}, "local", {})

    return make


@pytest.fixture(scope="session")
def script() -> dict[str, Any]:
    """What the rule's script defines."""
    return runpy.run_path(str(ROOT / "workflow/scripts/preflight.py"))
