"""All engines against each other on a GPU: `pytest tests/gpu -rs` on a machine that has one.

vLLM takes part where it is installed; `pip install vllm` into a copy of the environment.
"""

import json
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from fixtures.checkpoints import write_tokenizer
from fixtures.engines import decode, first_differences, prompts_of, texts
from mixmerge.artifacts.manifest import write_manifest
from mixmerge.core.io import read_jsonl, write_jsonl
from mixmerge.evaluate.engines import Engine, Prompt
from mixmerge.evaluate.generation import generate, load_engine
from mixmerge.evaluate.settings import Decoding, GenerateSettings, SuiteDecoding

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU that torch can use: engines on a GPU NOT TESTED"
)
ENGINES: list[Any] = [
    "continuous",
    pytest.param(
        "vllm",
        marks=pytest.mark.skipif(
            find_spec("vllm") is None, reason="vllm is not installed: that engine is NOT TESTED"
        ),
    ),
]
#: Gap to a tie, in spreads of the logits, below which arithmetic alone may decide.
NEAR = {"fp32": 1e-3, "bf16": 0.1}


@pytest.fixture(scope="module", params=["qwen2", "llama"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights with heads of a size (64) that all attention kernels know."""
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    directory = tmp_path_factory.mktemp("gpu") / "checkpoint"
    torch.manual_seed(0)
    shape = {
        "vocab_size": 260,
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
        "eos_token_id": 256,
    }
    model: Any = (
        Qwen2ForCausalLM(Qwen2Config(**shape, tie_word_embeddings=True))
        if request.param == "qwen2"
        else LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=False))
    )
    model.save_pretrained(directory)
    write_tokenizer(directory)
    # Bytes that random text holds now and then end a completion, too.
    (directory / "generation_config.json").write_text(json.dumps({"eos_token_id": [256, 7, 77]}))
    write_manifest(directory, "checkpoint")
    return directory


def decoded(
    checkpoint: Path, engine: str, precision: str, own: SuiteDecoding
) -> tuple[list[Prompt], list[Any], list[list[int]]]:
    """Prompts, completions and tokens of one engine, which is gone again afterwards."""
    decoding = Decoding.model_validate(
        {"engine": engine, "precision": precision, "batch_size": 32, "in_flight": 128}
    )
    loaded: Engine
    with closing(load_engine(checkpoint, decoding, [own])) as loaded:
        assert (loaded.name, loaded.device) == (engine, "cuda")
        prompts = prompts_of(loaded, texts(200, longest=300))
        rows, tokens = decode(loaded, prompts, own)
    del loaded
    torch.cuda.empty_cache()
    return prompts, rows, tokens


@pytest.mark.parametrize("stop", [[], ["ab", "c d", "never written"]])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("engine", ENGINES)
def test_greedy_outputs_agree_but_at_near_ties(
    checkpoint: Path, engine: str, precision: str, stop: list[str]
) -> None:
    own = SuiteDecoding(max_new_tokens=64, stop=stop)
    prompts, rows, tokens = decoded(checkpoint, "transformers", precision, own)
    _, others, same = decoded(checkpoint, engine, precision, own)
    gaps = first_differences(checkpoint, prompts, tokens, same)
    print(f"{engine}, {precision}: {len(gaps)} of {len(prompts)} differ, by {max(gaps, default=0)}")
    assert all(gap < NEAR[precision] for gap in gaps)
    assert len(gaps) < (0.05 if precision == "fp32" else 0.5) * len(prompts)
    for one, other, mine, theirs in zip(rows, others, tokens, same, strict=True):
        assert mine != theirs or one == other
    assert {row.stop_reason for row in rows} >= {"stop", "length"}


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_a_repetition_penalty_means_the_same(checkpoint: Path, engine: str) -> None:
    own = SuiteDecoding(max_new_tokens=64, repetition_penalty=1.3)
    prompts, _, tokens = decoded(checkpoint, "transformers", "fp32", own)
    _, _, same = decoded(checkpoint, engine, "fp32", own)
    # The gap is that of unpenalised logits and says nothing here; count agreement instead.
    equal = sum(mine == theirs for mine, theirs in zip(tokens, same, strict=True))
    assert equal > 0.95 * len(prompts)


@pytest.mark.parametrize("engine", ["transformers", *ENGINES])
def test_a_resumed_job_writes_the_same(
    checkpoint: Path, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [
        {"id": f"t/{i}", "messages": [{"role": "user", "content": text}], "reference": None}
        for i, text in enumerate(texts(60))
    ]
    write_jsonl(tmp_path / "s/items.jsonl", items)
    write_manifest(tmp_path / "s", "suite")
    settings = GenerateSettings.model_validate(
        {
            "decoding": {"engine": engine, "precision": "fp32", "batch_size": 20, "in_flight": 20},
            "suites": {"s": {"max_new_tokens": 48}},
        }
    )
    suites = {"s": tmp_path / "s"}
    generate(checkpoint, suites, tmp_path / "calm", tmp_path / "scratch", settings)
    with monkeypatch.context() as patch:
        complete, calls = Engine.complete, []

        def interrupted(*arguments: Any) -> Any:
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return complete(*arguments)

        patch.setattr(Engine, "complete", interrupted)
        with pytest.raises(KeyboardInterrupt):
            generate(checkpoint, suites, tmp_path / "resumed", tmp_path / "scratch", settings)
    generate(checkpoint, suites, tmp_path / "resumed", tmp_path / "scratch", settings)
    calm, resumed = (list(read_jsonl(tmp_path / name / "s.jsonl")) for name in ("calm", "resumed"))
    assert len(calm) == 60 and calm == resumed
