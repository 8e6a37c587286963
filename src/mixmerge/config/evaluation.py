"""Suites that judge a task, decoding, and metrics."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from mixmerge.section import Name, Section

#: Summary metrics, in the order of the paper's columns.
SummaryMetric = Literal["bleu4", "chrfpp", "rouge_l", "meteor"]


class SuiteBase(Section):
    """What every suite's entry may say."""

    task: Name
    """The task it judges."""

    title: str
    """Name printed in tables, such as `HumanEval`."""

    prompt: str | None = None
    """Template of the user's turn; the task's by default. Code suites offer `{problem}`."""

    max_new_tokens: Annotated[int, Field(gt=0)] = 1024
    """Longest completion in tokens."""

    stop: list[str] = []
    """Strings that end a completion, besides the model's own stop tokens."""

    limit: Annotated[int, Field(gt=0)] | None = None
    """Judge on the first so many items only (for trials)."""

    role: Literal["test", "validation"] = "test"
    """Whether the suite reports (`test`) or serves to choose a ratio (`validation`)."""


class CodeSuite(SuiteBase):
    """Problems in EvalPlus's format, judged by running base and plus tests."""

    kind: Literal["code"]
    problems: Literal["humaneval", "mbpp", "embedded-validation", "embedded-test"] | Path
    """EvalPlus's own suites by name, the embedded study's, or a .jsonl(.gz) in that format."""

    version: str | None = None
    """Release of EvalPlus's file, such as `v0.1.10`; its default where null."""

    oracle: Literal["humaneval", "mbpp", "other"] | None = None
    """Whose special oracles judge outputs; by default those of the named suite, `other` (none) for
    the embedded problems and for files of your own."""

    plus: bool = True
    """Whether the stricter plus tests are run and get a column of their own."""


class SummarySuite(SuiteBase):
    """Rows of a source whose answers are reference texts, judged by text metrics."""

    kind: Literal["summary"]
    source: Name
    """The source of the held-out rows."""

    metrics: Annotated[list[SummaryMetric], Field(min_length=1)] = [
        "bleu4",
        "chrfpp",
        "rouge_l",
        "meteor",
    ]
    """Metrics, one column each."""


Suite = Annotated[CodeSuite | SummarySuite, Field(discriminator="kind")]


class Decoding(Section):
    """How completions are generated: greedy, one setting for all arms."""

    batch_size: Annotated[int, Field(gt=0)] = 32
    """Prompts decoded together."""

    repetition_penalty: Annotated[float, Field(gt=0)] = 1.0
    """1 is none. The authors used 1.1 for some arms only, which confounds the comparison."""

    precision: Literal["bf16", "fp32", "auto"] = "auto"
    """Precision of the weights while decoding; `auto` is the checkpoint's own on a GPU, fp32 on a
    CPU."""

    threads: Annotated[int, Field(gt=0)] = 1
    """CPU threads of a generation job."""


class CodeScoring(Section):
    """How completions are judged by running them."""

    workers: Annotated[int, Field(gt=0)] = 1
    """Processes that run tests side by side."""

    min_time_limit: Annotated[float, Field(gt=0)] = 4.0
    """Least seconds a test may take (EvalPlus's `min_time_limit`; busy machines miss its 1)."""

    time_limit_factor: Annotated[float, Field(gt=0)] = 4.0
    """Multiple of the reference solution's time that a test may take (`gt_time_limit_factor`)."""

    memory_bytes: Annotated[int, Field(gt=0)] = 8 * 1024**3
    """Address space of a test process. EvalPlus's 4 GB counts the parent's own mappings."""
