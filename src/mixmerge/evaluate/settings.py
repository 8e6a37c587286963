"""What the scripts of the stage take as `--settings`."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from mixmerge.core.errors import UserError
from mixmerge.core.section import Section
from mixmerge.evaluate.suite_settings import CodeScoring, Decoding, Penalty, SummaryMetric

#: Whose special oracles judge a code suite: EvalPlus's own two, or none.
Dataset = Literal["humaneval", "mbpp", "other"]


class SuiteDecoding(Section):
    """How one suite's prompts are completed."""

    max_new_tokens: int = Field(gt=0)
    """Longest completion in tokens."""

    stop: list[str] = []
    """Strings that end a completion, besides the model's own stop tokens; they are cut off."""

    repetition_penalty: Penalty = 1.0
    """Divides the logits of tokens of the prompt and of what is written so far; 1 is none."""


class GenerateSettings(Section):
    """Settings of `generate.py`."""

    decoding: Decoding = Decoding()
    """Decoding, the same for all suites."""

    suites: dict[str, SuiteDecoding]
    """Suite -> its own settings."""


class CodeJudging(Section):
    """How one code suite is judged."""

    kind: Literal["code"] = "code"
    """Tells it from a summary suite."""

    tests: Literal["inputs", "check", "pytest"] = "inputs"
    """What a problem is judged by: EvalPlus's inputs, or a program of unit tests (HumanEval's
    `check` function, or a file for pytest)."""

    plus: bool = True
    """Whether the plus tests are run."""

    dataset: Dataset = "other"
    """Whose special oracles and input types apply; `other` for problems of one's own."""


class SummaryJudging(Section):
    """How one summary suite is judged."""

    kind: Literal["summary"] = "summary"
    """Tells it from a code suite."""

    metrics: list[SummaryMetric] = Field(min_length=1)
    """Metrics, in the order of the columns."""


class GroundTruthSettings(CodeJudging):
    """Settings of `ground_truth.py`: the suite's judging, and how tests are run."""

    code: CodeScoring = CodeScoring()
    """Running the tests."""


class ScoreSettings(Section):
    """Settings of `score.py`."""

    code: CodeScoring = CodeScoring()
    """Running the tests of code suites."""

    suites: dict[str, CodeJudging | SummaryJudging]
    """Suite -> how it is judged."""


def named_paths(pairs: list[tuple[str, Path]], option: str) -> dict[str, Path]:
    """Collect ``name=path`` arguments.

    Raises:
        UserError: a name that comes twice.
    """
    paths: dict[str, Path] = {}
    for name, path in pairs:
        if name in paths:
            raise UserError(f"{option}: {name!r} is given twice: {paths[name]} and {path}")
        paths[name] = path
    return paths


def check_named(given: set[str], configured: set[str], option: str) -> None:
    """Check that a repeated argument and the settings name the same suites.

    Raises:
        UserError: naming what one has and the other lacks.
    """
    for name in sorted(configured - given):
        raise UserError(f"{option}: suite {name!r} of --settings is missing; add {name}=PATH")
    for name in sorted(given - configured):
        raise UserError(f"--settings: suites has no entry for {name!r}, which {option} names")
