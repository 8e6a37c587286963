"""Broken inputs of every stage (`cases.yaml`): refused in one sentence, with nothing changed.

A stage that left nothing behind finds the mended world as it would have found the whole one; that
it then goes on is seen once a stage, where it does not take seconds.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from refusals import refuse
from worlds import STAGES, damage

from fixtures.forks import run_script

pytestmark = pytest.mark.slow

CASES = yaml.safe_load(Path(__file__).with_name("cases.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The whole inputs of a stage, built once."""
    built: dict[str, Path] = {}

    def inputs(stage: str) -> Path:
        if stage not in built:
            built[stage] = tmp_path_factory.mktemp(stage)
            STAGES[stage].build(built[stage])
        return built[stage]

    return inputs


@pytest.mark.parametrize(
    ("stage", "case"),
    [
        pytest.param(stage, case, id=f"{stage}: {case['case']}")
        for stage, cases in CASES.items()
        for case in cases
    ],
)
def test_a_broken_input_is_told_and_nothing_is_touched(
    whole: Any, tmp_path: Path, stage: str, case: dict[str, Any]
) -> None:
    world, command, obedient = tmp_path / "world", STAGES[stage].command, "obedient" in case
    shutil.copytree(whole(stage), world / "in", symlinks=True)
    (world / "out").mkdir()  # as Snakemake does
    damage(case["break"], world / "in")
    # What nobody may read cannot be hashed by a test that is not root.
    if obedient and os.getuid() != 0:
        pytest.skip("only root can see that a file that nobody may read was left alone: NOT TESTED")
    refuse(world, command, *case["says"], obedient=obedient)
    if case is CASES[stage][0] and stage not in ("sft", "generate"):  # it goes on once mended
        shutil.rmtree(world / "in")
        shutil.copytree(whole(stage), world / "in", symlinks=True)
        again = run_script(*command, cwd=world)
        assert again.returncode == 0, again.stderr
        assert any((world / "out").iterdir())
