"""Engines against each other token for token, the choice among them, and what each refuses."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fixtures.engines import decode, naive, prompts_of, texts, write_checkpoint
from mixmerge.artifacts.manifest import write_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import write_jsonl
from mixmerge.evaluate import engines as engines_module
from mixmerge.evaluate.engine import Prompt, choose
from mixmerge.evaluate.engines import ContinuousEngine, PaddedEngine, load_engine
from mixmerge.evaluate.settings import Decoding, SuiteDecoding

FAMILIES = ["qwen2", "llama"]
# The template's own, and a few bytes that the models write often.
STOPS = (256, 257, 28, 72, 111, 120)


@pytest.fixture(scope="module", params=FAMILIES)
def engines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same checkpoint in both engines that run without a GPU."""
    checkpoint = write_checkpoint(
        tmp_path_factory.mktemp("engines") / "c", request.param, eos_token_id=list(STOPS)
    )
    decoding = Decoding(batch_size=5, in_flight=17)
    with closing(ContinuousEngine(checkpoint, decoding)) as paged:
        yield checkpoint, PaddedEngine(checkpoint, decoding), paged


CASES = ("to stop token or length", "up to the context's end", "with stop strings", "one token")


@pytest.mark.parametrize("case", CASES)
def test_the_same_tokens_texts_and_ends(engines: Any, case: str) -> None:
    _, padded, paged = engines
    new = {"up to the context's end": 500, "one token": 1}.get(case, 24)
    own = SuiteDecoding(max_new_tokens=new)
    prompts = prompts_of(padded, texts(30))
    if case == "with stop strings":
        written = [row.completion for row in padded.complete(prompts[:5], own)]
        pieces = [text[at : at + 2] for text in written for at in range(1, len(text), 4)]
        # Half a character becomes another one with the next token, so it can be no stop string.
        strings = [piece for piece in pieces if "\ufffd" not in piece][:6]
        own = SuiteDecoding(max_new_tokens=new, stop=[*strings, "never written"])
    rows, tokens = decode(padded, prompts, own)
    others, same = decode(paged, prompts, own)
    # In fp32 on a CPU, logits differ between the engines by about 1e-6 of their size (the order of
    # additions); only an argmax between two logits closer than that could fall otherwise.
    assert same == tokens
    assert others == rows
    reasons = {row.stop_reason for row in rows}
    assert ("stop" if new > 1 else "length") in reasons
    assert ("stop_string" in reasons) == (case == "with stop strings")
    assert len({tuple(part) for part in tokens}) > 10


def test_continuous_batching_equals_the_naive_loop(engines: Any) -> None:
    checkpoint, _, paged = engines
    found = texts(6, seed=1)
    prompts = [
        Prompt(str(i), paged.chat.prompt([{"role": "user", "content": text}]))
        for i, text in enumerate(found)
    ]
    _, tokens = decode(paged, prompts, SuiteDecoding(max_new_tokens=20))
    assert tokens == [naive(checkpoint, text, 20, STOPS) for text in found]


def test_more_prompts_than_the_cache_holds(engines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests wait for room, and a batch's outcome does not hang on the batches before it."""
    checkpoint, padded, _ = engines
    own = SuiteDecoding(max_new_tokens=40)
    prompts = prompts_of(padded, texts(30, seed=2))
    expected, _ = decode(padded, prompts, own)
    # A page holds a whole sequence of these models, so this leaves room for five.
    monkeypatch.setattr(engines_module, "_CPU_CACHE", 1024)
    with closing(ContinuousEngine(checkpoint, Decoding(in_flight=20))) as narrow:
        assert narrow.complete(prompts[20:], own) == expected[20:]
        assert narrow.complete(prompts, own) == expected


def test_the_choice() -> None:
    plain, bent = (
        SuiteDecoding(max_new_tokens=9),
        SuiteDecoding(max_new_tokens=9, repetition_penalty=1.1),
    )

    def chosen(engine: str, *suites: SuiteDecoding, cuda: bool = True, vllm: bool = False) -> str:
        return choose(engine, suites, cuda=cuda, vllm=vllm)

    assert chosen("auto", plain, cuda=False, vllm=True) == "transformers"
    assert chosen("auto", plain) == "continuous"
    assert chosen("auto", plain, bent) == "transformers"
    assert chosen("auto", plain, bent, vllm=True) == "vllm"
    assert chosen("transformers", bent, vllm=True) == "transformers"
    assert chosen("continuous", plain, cuda=False) == "continuous"
    with pytest.raises(UserError, match=r"'continuous' cannot apply the repetition_penalty 1.1"):
        chosen("continuous", plain, bent)
    with pytest.raises(UserError, match=r"'vllm', but vLLM is not installed"):
        chosen("vllm", plain)
    with pytest.raises(UserError, match=r"'vllm', but there is no GPU"):
        chosen("vllm", plain, cuda=False, vllm=True)


def test_an_engine_that_ends_early_is_found_out(engines: Any) -> None:
    """No engine may end a completion for reasons of its own."""
    _, padded, _ = engines
    (prompt,) = prompts_of(padded, ["a"])
    own = SuiteDecoding(max_new_tokens=9, stop=["xyz"])
    with pytest.raises(RuntimeError, match="ended '0' after 3 of 9 tokens"):
        padded.finish(prompt, [1, 2, 3], own)
    assert padded.finish(prompt, [1, 2, 256, 5], own).completion_tokens == 3
    letters = padded.chat.tokenizer("axyzb")["input_ids"]
    row = padded.finish(prompt, [*letters, 256], own)
    assert (row.completion, row.stop_reason, row.completion_tokens) == ("a", "stop_string", 4)
    # A stop string after the stop token is none, nor is one behind the limit.
    assert padded.finish(prompt, [256, *letters], own).stop_reason == "stop"
    assert padded.finish(prompt, letters[:1] * 8 + letters, own).stop_reason == "length"


def test_the_engine_is_part_of_what_a_resumed_job_takes_over(engines: Any) -> None:
    _, padded, paged = engines
    assert padded.identity() != paged.identity()
    assert padded.identity()["engine"] == "transformers"
    assert paged.identity()["engine"] == "continuous"


def test_a_stop_token_that_is_not_the_template_s_is_refused(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "c", eos_token_id=65)
    with pytest.raises(UserError, match=r"closes an answer with '<\|end\|>' \(256\), but .*\[65\]"):
        load_engine(checkpoint, Decoding(), [])


@pytest.mark.slow
def test_a_job_that_fails_ends_and_leaves_nothing(root: Path, tmp_path: Path) -> None:
    """The thread of continuous batching must not keep a failed job's process alive."""
    checkpoint = write_checkpoint(tmp_path / "c")
    write_jsonl(
        tmp_path / "s/items.jsonl",
        [{"id": "x", "messages": [{"role": "user", "content": "y" * 200}], "reference": None}],
    )
    write_manifest(tmp_path / "s", "suite")
    settings = {"decoding": {"engine": "continuous"}, "suites": {"s": {"max_new_tokens": 5}}}
    job = subprocess.run(
        [
            *(sys.executable, str(root / "workflow/scripts/generate.py")),
            *("--checkpoint", str(checkpoint), "--suites", f"s={tmp_path / 's'}"),
            *("--out", str(tmp_path / "out"), "--scratch", str(tmp_path / "scratch")),
            *("--settings", json.dumps(settings)),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert job.returncode != 0
    assert "'x' has 203 tokens" in job.stderr and "Traceback" not in job.stderr
    assert not (tmp_path / "out").exists()
