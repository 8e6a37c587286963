"""What generation and scoring take."""

from collections.abc import Mapping

from mixmerge.resources.estimate import Assumed
from mixmerge.resources.sizes import Sizes
from mixmerge.resources.training import TORCH

#: Share of a CPU's training rate that decoding reaches: it is bound by memory.
_DECODING = 0.2

#: Tokens a second at most, however small the model: each step is Python and kernel launches.
_MOST = 30_000

#: Completions judged in a second by a worker that runs tests; pairs by one that compares texts.
_CHECKS, _PAIRS = 3, 200


def generate(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """All suites of a checkpoint in one load of the model."""
    hardware, model = sizes.config.hardware, wildcards["model"]
    gpu = hardware.device == "gpu"
    parameters = sizes.parameters(model)
    if gpu:
        rate = min(_MOST, hardware.decoding_tokens_s * 1e9 / parameters)
    else:
        flops = hardware.cpu_gflops * 1e9 * sizes.config.decoding.threads
        rate = _DECODING * flops / (2 * parameters)
    weights = sizes.weights_mb(model, 2 if gpu else 4)
    load = (60 if gpu else 10) + weights / hardware.disk_mb_s
    memory = TORCH + weights * 1.2 + (4000 if gpu else 500)
    tokens = sizes.completion_tokens()
    return Assumed(load, tokens / rate, memory, 20 + tokens * 8 / 1e6, gpu=int(gpu))


def score(sizes: Sizes, _: Mapping[str, str]) -> Assumed:
    """Programs run against tests, summaries against references; on the CPU."""
    workers = sizes.config.code_scoring.workers
    programs, texts = sizes.code_items(), sizes.summary_items()
    seconds = programs / _CHECKS / workers + texts / _PAIRS / workers
    large = any(sizes.has_large_tests(suite) for suite in sizes.study.code_suites())
    memory = 500 + (1000 if large else 250) * workers
    return Assumed(10, seconds, memory, 5 + (programs + texts) / 500)
