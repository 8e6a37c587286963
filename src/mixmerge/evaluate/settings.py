"""Settings of generation and scoring: of each suite, and what all of them share."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from mixmerge.core.section import Name, Section, validated
from mixmerge.data.settings import CodeItems, SummaryItems

Penalty = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
#: Summary metrics, in the order of the paper's columns.
SummaryMetric = Literal["bleu4", "chrfpp", "rouge_l", "meteor"]
#: What METEOR needs of nltk's data -> where it stands below a directory of them.
NLTK_RESOURCES = {"wordnet": "corpora/wordnet", "punkt_tab": "tokenizers/punkt_tab"}

#: Whose special oracles judge a code suite: EvalPlus's own two, or none.
Dataset = Literal["humaneval", "mbpp", "other"]
#: How a completion's program is found.
Extraction = Literal["whole", "evalplus"]
#: Which stage made a checkpoint.
Kind = Literal["base", "sft", "mix", "merge"]
#: Code suites whose problems come with a program of unit tests, and what runs it.
UNIT_TESTS: dict[str, Literal["check", "pytest"]] = {"human-eval": "check", "held-out": "pytest"}


class SuiteDecoding(Section):
    """How one suite's prompts are completed."""

    max_new_tokens: Count = 1024
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
    batch_size: Count = 32
    """Prompts padded together by `transformers`."""
    in_flight: Count = 512
    """Prompts handed to `continuous` and `vllm` at a time; an interrupted job repeats as many at
    most."""
    precision: Literal["bf16", "fp32", "auto"] = "auto"
    """Precision of the weights while decoding; `auto` is the checkpoint's own on a GPU, fp32 on a
    CPU."""
    threads: Count = 1
    """CPU threads of a generation job."""


class CodeRunning(Section):
    """How programs are run under tests."""

    workers: Count = 1
    """Processes that run tests side by side."""
    min_time_limit: Annotated[float, Field(gt=0)] = 1.0
    """Least seconds of processor time a test may take. EvalPlus counts as many by the clock on the
    wall, so that its verdicts depend on what else the machine does."""
    time_limit_factor: Annotated[float, Field(gt=0)] = 4.0
    """Multiple of the reference solution's time that a test may take (`gt_time_limit_factor`)."""
    memory_bytes: Count = 8 * 1024**3
    """Address space of a test process. EvalPlus's 4 GB counts the parent's own mappings."""
    # Judgebox's own default: to import it here would make generation depend on the judge's code.
    packages: list[str] = ["numpy", "pandas", "scipy", "sympy", "networkx"]
    """Installed distributions that generated programs may import besides Python's standard library,
    with what they require in turn. A program sees nothing else of the environment. Of the default's
    pandas, scipy, sympy and networkx those count that are installed; any other name must be."""


class CodeScoring(CodeRunning):
    """How completions are judged by running them."""

    extraction: Extraction = "whole"
    """What is taken of a completion: `whole` takes the program of the last block that defines what
    is asked for, as it stands, after any thinking; `evalplus` what EvalPlus's sanitizer leaves, as
    published scores have it: the longest run of lines that parses, without decorated functions,
    those without `return`, and all statements but imports and assignments. Suites with files for
    pytest (`held-out`) are judged by `whole` always."""


class GenerateSettings(Section):
    """Settings of `generate.py`: what all suites share, and each suite's own."""

    decoding: Decoding = Decoding()
    suites: dict[str, SuiteDecoding]


class CodeJudging(Section):
    """How one code suite is judged."""

    kind: Literal["code"] = "code"
    #: EvalPlus's inputs, or a program: HumanEval's `check` function, or a file for pytest.
    tests: Literal["inputs", "check", "pytest"] = "inputs"
    plus: bool = True
    dataset: Dataset = "other"

    def extractions(self, own: Extraction) -> list[Extraction]:
        """By what its programs are found, then by what else; EvalPlus has nothing for pytest."""
        every: list[Extraction] = [*get_args(Extraction)]
        names = every if self.tests != "pytest" else every[:1]
        return sorted(names, key=lambda name: name != own)

    @property
    def oracle(self) -> str:
        """Whose special oracles judge outputs."""
        return "humaneval" if self.tests == "check" else self.dataset


class SummaryJudging(Section):
    """How one summary suite is judged."""

    kind: Literal["summary"] = "summary"
    metrics: Annotated[list[SummaryMetric], Field(min_length=1)] = [*get_args(SummaryMetric)]
    """Metrics, one column each."""


class GroundTruthSettings(CodeJudging):
    """Settings of `ground_truth.py`: the suite's judging, and how tests are run."""

    code: CodeRunning = CodeRunning()


class ScoreSettings(Section):
    """Settings of `score.py`: how tests are run, and how each suite is judged."""

    code: CodeScoring = CodeScoring()
    suites: dict[str, CodeJudging | SummaryJudging]


def with_workers(settings: Any, count: int | None) -> Any:
    """Settings with the number of workers that ``--processes`` gives, if it does."""
    if count is None:
        return settings
    code = validated(
        type(settings.code), settings.code.model_dump() | {"workers": count}, "--processes"
    )
    return settings.model_copy(update={"code": code})


class SuiteBase(SuiteDecoding):
    """What every suite's entry may say."""

    task: Name
    """The task it judges."""
    title: str
    """Name printed in tables, such as `HumanEval`."""
    repetition_penalty_for: dict[Kind, Penalty] = {}
    """Penalty of one kind of checkpoint where it differs. It confounds the comparison: the authors
    decoded summaries of base and fine-tuned models with 1.1 and those of merges with none."""
    role: Literal["test", "validation"] = "test"
    """Whether the suite reports (`test`) or serves to choose a ratio (`validation`)."""

    def decoding_for(self, kind: Kind) -> SuiteDecoding:
        """How a checkpoint of a kind completes the suite."""
        penalty = self.repetition_penalty_for.get(kind, self.repetition_penalty)
        own = {name: getattr(self, name) for name in SuiteDecoding.model_fields}
        return SuiteDecoding(**own | {"repetition_penalty": penalty})


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
    def _unit_tests_know_no_plus_and_no_oracle(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("problems") not in (*UNIT_TESTS,):
            return data
        for name in ("plus", "oracle"):
            if data.get(name):
                problem = f"{data[name]} does not apply to problems {data['problems']!r}"
                raise ValueError(f"{name}: {problem}, which unit tests judge; leave it out")
        return {"plus": False, **data}

    @property
    def judging(self) -> CodeJudging:
        """How the suite is judged."""
        known = self.problems if self.problems in ("humaneval", "mbpp") else "other"
        tests = UNIT_TESTS.get(str(self.problems), "inputs")
        return CodeJudging(tests=tests, plus=self.plus, dataset=self.oracle or known)


class SummarySuite(SummaryItems, SummaryJudging, SuiteBase):
    """Rows of a source whose answers are reference texts, judged by text metrics."""

    @property
    def judging(self) -> SummaryJudging:
        """How the suite is judged."""
        return SummaryJudging(metrics=self.metrics)


Suite = Annotated[CodeSuite | SummarySuite, Field(discriminator="kind")]
