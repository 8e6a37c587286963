"""Fixtures of preflight's tests: a sound study to break, and what preflight finds in it."""

import copy
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.sound_study import CONFIG, sound
from mixmerge.config.load import parse_config
from mixmerge.preflight.findings import Area, Context
from mixmerge.study.plan import Study
from offline_sources.packages import chosen_packages

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def sound_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all files of a sound study."""
    folder = tmp_path_factory.mktemp("sound")
    sound(folder)
    return folder


@pytest.fixture
def config(sound_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The configuration of a sound study in the working directory."""
    shutil.copytree(sound_files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return copy.deepcopy(CONFIG)


@pytest.fixture(scope="session")
def script() -> dict[str, Any]:
    """What the rule's script defines."""
    return runpy.run_path(str(ROOT / "workflow/scripts/preflight.py"))


@pytest.fixture
def examine(script: dict[str, Any]) -> Callable[..., Area]:
    """What a check finds in a configuration; a plan may follow, keywords say how it would run."""

    def areas(check: Callable[..., None], config: dict[str, Any], *plan: Any, **how: Any) -> Area:
        study = Study(parse_config(config, "study.yaml"))
        options = {"repository": ROOT, "choose_packages": chosen_packages, **how}
        context = Context("study.yaml", study, **options)
        area: Area = script["examine"]("area", check, context, *plan)
        return area

    return areas


@pytest.fixture
def inspect(
    script: dict[str, Any], examine: Callable[..., Area]
) -> Callable[[dict[str, Any]], dict[str, Area]]:
    """The areas of a study's own files by name."""
    names = ("config", "data", "suites", "models")
    return lambda config: {name: examine(script["CHECKS"][name], config) for name in names}


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
        [found] = errors(config)
        assert all(word in found for word in words), (found, words)

    return check
