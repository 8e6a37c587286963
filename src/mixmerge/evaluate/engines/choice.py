"""Which engine a job gets."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from mixmerge.core.errors import UserError
from mixmerge.evaluate.engines.base import Engine
from mixmerge.evaluate.settings import SuiteDecoding
from mixmerge.evaluate.suite_settings import Decoding


def choose(engine: str, suites: Iterable[SuiteDecoding], *, cuda: bool, vllm: bool) -> str:
    """Resolve `decoding.engine`.

    Args:
        engine: as configured.
        suites: settings of the suites to complete.
        cuda: whether there is a GPU.
        vllm: whether vLLM can be imported.

    Raises:
        UserError: an engine that cannot run here, or cannot do what a suite asks for.
    """
    penalised = [own.repetition_penalty for own in suites if own.repetition_penalty != 1]
    if engine == "auto":
        if not cuda:
            return "transformers"
        if vllm:
            return "vllm"
        return "transformers" if penalised else "continuous"
    if engine == "vllm" and not (cuda and vllm):
        lack = "vLLM is not installed" if cuda else "there is no GPU that torch can use"
        raise UserError(
            f"decoding.engine: 'vllm', but {lack}; install vllm into the environment that runs "
            "`generate` on a machine with a GPU, or set decoding.engine to 'auto'"
        )
    if engine == "continuous" and penalised:
        raise UserError(
            f"decoding.engine: 'continuous' cannot apply the repetition_penalty {penalised[0]} of "
            "a suite: transformers' continuous batching leaves it out; set decoding.engine to "
            "'auto', 'transformers' or 'vllm', or the suite's repetition_penalty to 1"
        )
    return engine


def load_engine(checkpoint: Path, decoding: Decoding, suites: Iterable[SuiteDecoding]) -> Engine:
    """Load a checkpoint into the engine that settings and machine ask for.

    Raises:
        UserError: see `choose` and the engines.
    """
    import torch

    cuda = torch.cuda.is_available()
    name = choose(decoding.engine, suites, cuda=cuda, vllm=find_spec("vllm") is not None)
    if name == "vllm":
        from mixmerge.evaluate.engines.vllm import VllmEngine

        return VllmEngine(checkpoint, decoding)
    if name == "continuous":
        from mixmerge.evaluate.engines.continuous import ContinuousEngine

        return ContinuousEngine(checkpoint, decoding)
    from mixmerge.evaluate.engines.padded import PaddedEngine

    return PaddedEngine(checkpoint, decoding)
