"""Engines against the naive loop and each other, token for token; the choice among them."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fixtures.engines import decode, naive, prompts_of, texts, write_checkpoint
from mixmerge.core.errors import UserError
from mixmerge.evaluate import engines as engines_module
from mixmerge.evaluate.engines import ContinuousEngine, PaddedEngine
from mixmerge.evaluate.generation import choose
from mixmerge.evaluate.settings import Decoding, SuiteDecoding

pytestmark = pytest.mark.slow

# The template's own, and a few bytes that the models write often.
STOPS = (256, 257, 28, 72, 111, 120)


def loaded(directory: Path, family: str) -> Any:
    """A checkpoint in both engines that run without a GPU."""
    checkpoint = write_checkpoint(directory / "c", family, eos_token_id=list(STOPS))
    decoding = Decoding(batch_size=5, in_flight=17)
    with closing(ContinuousEngine(checkpoint, decoding)) as paged:
        yield checkpoint, PaddedEngine(checkpoint, decoding), paged


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Any:
    yield from loaded(tmp_path_factory.mktemp("engines"), "qwen2")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Any:
    yield from loaded(tmp_path_factory.mktemp("engines"), "llama")


@pytest.mark.parametrize(
    ("family", "penalty"), [("engines", 1.0), ("engines", 1.3), ("llama", 1.0)]
)
def test_tokens_are_those_of_the_naive_loop(
    family: str, penalty: float, request: pytest.FixtureRequest
) -> None:
    """Also with a penalty, which must not count the padding: here it is the stop token."""
    checkpoint, *both = request.getfixturevalue(family)
    found = texts(6, seed=1)
    own = SuiteDecoding(max_new_tokens=20, repetition_penalty=penalty)
    expected = [naive(checkpoint, text, 20, STOPS, penalty) for text in found]
    for engine in both if penalty == 1 else both[:1]:
        prompts = prompts_of(engine, found)
        rows, tokens = decode(engine, prompts, own)
        assert tokens == [expected[int(prompt.id)] for prompt in prompts]
        for row, written in zip(rows, tokens, strict=True):
            ended = written[-1] in STOPS
            assert row.stop_reason == ("stop" if ended else "length")
            body = written[:-1] if ended else written
            assert row.completion == engine.text(body)


CASES = ("to stop token or length", "with stop strings", "one token")


@pytest.mark.parametrize("case", CASES)
def test_the_same_tokens_texts_and_ends(engines: Any, case: str) -> None:
    _, padded, paged = engines
    new = 1 if case == "one token" else 24
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
    assert not any(string in row.completion for row in rows for string in own.stop)


def test_more_prompts_than_the_cache_holds(engines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests wait for room, and a batch's outcome does not hang on the batches before it."""
    checkpoint, padded, _ = engines
    own = SuiteDecoding(max_new_tokens=20)
    prompts = prompts_of(padded, texts(15, seed=2))
    expected, _ = decode(padded, prompts, own)
    # A page holds a whole sequence of these models, so this leaves room for five.
    monkeypatch.setattr(engines_module, "_CPU_CACHE", 1024)
    with closing(ContinuousEngine(checkpoint, Decoding(in_flight=20))) as narrow:
        assert narrow.complete(prompts[10:], own) == expected[10:]
        assert narrow.complete(prompts, own) == expected


def test_an_engine_that_ends_early_is_found_out(engines: Any) -> None:
    """No engine may end a completion for reasons of its own."""
    checkpoint, padded, _ = engines
    assert PaddedEngine(checkpoint, Decoding(precision="bf16")).dtype == "bfloat16"
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


def test_half_a_character_may_hide_a_stop_string(
    engines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte fallback reads a line end before half a character as unknown, until that is whole."""
    _, padded, _ = engines

    def text(tokens: list[int]) -> str:
        try:
            return bytes(tokens).decode()
        except UnicodeDecodeError:
            return "\ufffd" * len(tokens)

    monkeypatch.setattr(padded, "text", text)
    (prompt,) = prompts_of(padded, ["a"])
    row = padded.finish(prompt, [*"a\n🙂".encode(), 256], SuiteDecoding(stop=["\n"]))
    assert (row.completion, row.completion_tokens) == ("a", 2)


PLAIN, BENT = SuiteDecoding(), SuiteDecoding(repetition_penalty=1.1)


@pytest.mark.parametrize(
    ("engine", "suites", "cuda", "vllm", "chosen"),
    [
        ("auto", [PLAIN], False, True, "transformers"),
        ("auto", [PLAIN], True, False, "continuous"),
        ("auto", [PLAIN, BENT], True, False, "transformers"),
        ("auto", [PLAIN, BENT], True, True, "vllm"),
        ("transformers", [BENT], True, True, "transformers"),
        ("continuous", [PLAIN], False, False, "continuous"),
        ("continuous", [PLAIN, BENT], True, False, "cannot apply the repetition_penalty 1.1"),
        ("vllm", [PLAIN], True, False, "'vllm', but vLLM is not installed"),
        ("vllm", [PLAIN], False, True, "'vllm', but there is no GPU"),
    ],
)
def test_the_choice(engine: str, suites: Any, cuda: bool, vllm: bool, chosen: str) -> None:
    if " " not in chosen:
        assert choose(engine, suites, cuda=cuda, vllm=vllm) == chosen
        return
    with pytest.raises(UserError, match=chosen):
        choose(engine, suites, cuda=cuda, vllm=vllm)
