"""Settings of generation and scoring: of each suite, and what all of them share.

A suite's entry in the config is made of parts, each of which is what one stage's job is given:
its items (`mixmerge.data.settings`), its decoding, and how it is judged.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, model_validator

from mixmerge.core.section import Name, Section, validated
from mixmerge.data.settings import CodeItems, SummaryItems

#: Summary metrics, in the order of the paper's columns.
SummaryMetric = Literal["bleu4", "chrfpp", "rouge_l", "meteor"]

#: Whose special oracles judge a code suite: EvalPlus's own two, or none.
Dataset = Literal["humaneval", "mbpp", "other"]

#: A repetition penalty.
Penalty = Annotated[float, Field(gt=0)]

#: Code suites whose problems come with a program of unit tests, and what runs it.
UNIT_TESTS: dict[str, Literal["check", "pytest"]] = {"human-eval": "check", "held-out": "pytest"}


class SuiteDecoding(Section):
    """How one suite's prompts are completed."""

    max_new_tokens: Annotated[int, Field(gt=0)] = 1024
    """Longest completion in tokens."""

    stop: list[str] = []
    """Strings that end a completion, besides the model's own stop tokens; they are cut off."""

    repetition_penalty: Penalty = 1.0
    """Divides the logits of tokens that occurred already, in the prompt or in what is written so
    far; 1 is none. One value for all arms is right."""


class Decoding(Section):
    """How completions are generated: greedy, one setting for all arms."""

    engine: Literal["auto", "transformers", "continuous", "vllm"] = "auto"
    """What decodes: transformers in padded batches, transformers' continuous batching, or vLLM (GPU
    only, and not among the requirements). `auto` takes, on a GPU, vLLM where it is installed, else
    `continuous` unless a suite has a repetition penalty, which that cannot apply; else
    `transformers`. All decode greedily and end alike, but in bf16 near-ties may fall otherwise."""

    batch_size: Annotated[int, Field(gt=0)] = 32
    """Prompts padded together by `transformers`."""

    in_flight: Annotated[int, Field(gt=0)] = 512
    """Prompts handed to `continuous` and `vllm` at a time; an interrupted job repeats as many at
    most."""

    precision: Literal["bf16", "fp32", "auto"] = "auto"
    """Precision of the weights while decoding; `auto` is the checkpoint's own on a GPU, fp32 on a
    CPU."""

    threads: Annotated[int, Field(gt=0)] = 1
    """CPU threads of a generation job."""


class CodeScoring(Section):
    """How completions are judged by running them."""

    workers: Annotated[int, Field(gt=0)] = 1
    """Processes that run tests side by side."""

    min_time_limit: Annotated[float, Field(gt=0)] = 1.0
    """Least seconds of processor time a test may take. EvalPlus counts as many by the clock on the
    wall, so that its verdicts depend on what else the machine does."""

    time_limit_factor: Annotated[float, Field(gt=0)] = 4.0
    """Multiple of the reference solution's time that a test may take (`gt_time_limit_factor`)."""

    memory_bytes: Annotated[int, Field(gt=0)] = 8 * 1024**3
    """Address space of a test process. EvalPlus's 4 GB counts the parent's own mappings."""

    # Judgebox's own default: to import it here would make generation depend on the judge's code.
    packages: list[str] = ["numpy", "pandas", "scipy", "sympy", "networkx"]
    """Installed distributions that generated programs may import besides Python's standard library,
    with what they require in turn. A program sees nothing else of the environment. Of the default's
    pandas, scipy, sympy and networkx those count that are installed; any other name must be."""


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

    metrics: Annotated[list[SummaryMetric], Field(min_length=1)] = [
        "bleu4",
        "chrfpp",
        "rouge_l",
        "meteor",
    ]
    """Metrics, one column each."""


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


_Judged = TypeVar("_Judged", GroundTruthSettings, ScoreSettings)


def with_workers(settings: _Judged, count: int | None) -> _Judged:
    """Settings of a job with another number of workers, as ``--processes`` gives it, if it does."""
    if count is None:
        return settings
    code = validated(CodeScoring, settings.code.model_dump() | {"workers": count}, "--processes")
    return settings.model_copy(update={"code": code})


class SuiteBase(SuiteDecoding):
    """What every suite's entry may say."""

    task: Name
    """The task it judges."""

    title: str
    """Name printed in tables, such as `HumanEval`."""

    repetition_penalty_for: dict[Literal["base", "sft", "mix", "merge"], Penalty] = {}
    """Penalty of one kind of checkpoint where it differs. It confounds the comparison: the authors
    decoded summaries of base and fine-tuned models with 1.1 and those of merges with none."""

    role: Literal["test", "validation"] = "test"
    """Whether the suite reports (`test`) or serves to choose a ratio (`validation`)."""

    def decoding_for(self, kind: Literal["base", "sft", "mix", "merge"]) -> SuiteDecoding:
        """How a checkpoint of a kind completes the suite."""
        penalty = self.repetition_penalty_for.get(kind, self.repetition_penalty)
        return SuiteDecoding(
            max_new_tokens=self.max_new_tokens, stop=self.stop, repetition_penalty=penalty
        )


class CodeSuite(CodeItems, SuiteBase):
    """Problems judged by running tests: EvalPlus's base and plus inputs, or unit tests."""

    oracle: Dataset | None = None
    """Whose special oracles judge outputs; by default those of the named suite, `other` (none) for
    the embedded problems and for files of your own."""

    plus: bool = True
    """Whether the stricter plus tests are run and get a column of their own. Suites with unit
    tests (`human-eval`, `held-out`) have none: false there."""

    @model_validator(mode="before")
    @classmethod
    def _unit_tests_have_no_plus(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("problems") in (*UNIT_TESTS,):
            return {"plus": False, **data}
        return data

    @model_validator(mode="after")
    def _unit_tests_know_no_oracle(self) -> "CodeSuite":
        if self.problems in UNIT_TESTS:
            for name, value in (("plus", self.plus), ("oracle", self.oracle)):
                if value:
                    raise ValueError(
                        f"{name}: {value} does not apply to problems {self.problems!r}, which unit "
                        "tests judge; leave it out"
                    )
        return self

    @property
    def judging(self) -> CodeJudging:
        """How the suite is judged."""
        dataset = self.problems if self.problems in ("humaneval", "mbpp") else "other"
        return CodeJudging(
            tests=UNIT_TESTS.get(str(self.problems), "inputs"),
            plus=self.plus,
            dataset=self.oracle or dataset,
        )


class SummarySuite(SummaryItems, SummaryJudging, SuiteBase):
    """Rows of a source whose answers are reference texts, judged by text metrics."""

    @property
    def judging(self) -> SummaryJudging:
        """How the suite is judged."""
        return SummaryJudging(metrics=self.metrics)


Suite = Annotated[CodeSuite | SummarySuite, Field(discriminator="kind")]
