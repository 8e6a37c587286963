"""Generation: equal to the naive loop, whatever the batch; ends, order, resumption, bad input."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fixtures import checkpoints as material
from fixtures.engines import naive, write_checkpoint
from mixmerge.artifacts.manifest import read_manifest, write_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_jsonl, write_jsonl
from mixmerge.evaluate.engines import ContinuousEngine, PaddedEngine
from mixmerge.evaluate.generation import generate
from mixmerge.evaluate.settings import Decoding, GenerateSettings, SuiteDecoding

TEXTS = [
    "a",
    "what is it?",
    "xyz " * 9,
    "Zürich",
    "0123456789" * 2,
    "b",
    "longer than the rest " * 2,
]


def write_suite(directory: Path, texts: list[str] = TEXTS) -> Path:
    rows = [
        {"id": f"t/{i}", "messages": [{"role": "user", "content": text}], "reference": None}
        for i, text in enumerate(texts)
    ]
    write_jsonl(directory / "items.jsonl", rows)
    write_manifest(directory, "suite")
    return directory


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("generation") / "checkpoint")


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_suite(tmp_path_factory.mktemp("suite") / "s")


def settings(batch_size: int = 3, engine: Any = "transformers", **own: Any) -> GenerateSettings:
    return GenerateSettings(
        decoding=Decoding(engine=engine, batch_size=batch_size, in_flight=batch_size),
        suites={"s": SuiteDecoding(**{"max_new_tokens": 20} | own)},
    )


def run(checkpoint: Path, suite: Path, where: Path, own: GenerateSettings) -> list[dict[str, Any]]:
    generate(checkpoint, {"s": suite}, where / "out", where / "scratch", own)
    return list(read_jsonl(where / "out" / "s.jsonl"))


def decoded(checkpoint: Path, tokens: list[int]) -> str:
    from transformers import AutoTokenizer

    text: str = AutoTokenizer.from_pretrained(checkpoint).decode(tokens, skip_special_tokens=True)
    return text


@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_equals_the_naive_loop_in_the_suites_order(
    family: str, suite: Path, tmp_path: Path
) -> None:
    checkpoint = write_checkpoint(tmp_path / "checkpoint", family)
    rows = run(checkpoint, suite, tmp_path, settings())
    assert [row["id"] for row in rows] == [f"t/{i}" for i in range(len(TEXTS))]
    for row, text in zip(rows, TEXTS, strict=True):
        tokens = naive(checkpoint, text, 20, (256, 257))
        assert row["completion"] == decoded(checkpoint, tokens)
        assert row["completion_tokens"] == len(tokens)
        assert row["stop_reason"] == ("stop" if tokens[-1] in (256, 257) else "length")
        assert row["prompt_tokens"] == 3 + len(text.encode())
    assert len({row["completion"] for row in rows}) > 3


def test_the_batch_does_not_matter(checkpoint: Path, suite: Path, tmp_path: Path) -> None:
    together = run(checkpoint, suite, tmp_path / "a", settings(batch_size=7))
    assert together == run(checkpoint, suite, tmp_path / "b", settings(batch_size=1))


def test_a_penalty_ignores_padding(suite: Path, tmp_path: Path) -> None:
    # The pad token is the stop token here: counted as seen, it would be penalised in padded rows.
    checkpoint = write_checkpoint(tmp_path / "checkpoint")
    rows = run(checkpoint, suite, tmp_path, settings(batch_size=7, repetition_penalty=1.3))
    for row, text in zip(rows, TEXTS, strict=True):
        tokens = naive(checkpoint, text, 20, (256, 257), penalty=1.3)
        assert row["completion"] == decoded(checkpoint, tokens)


def test_the_checkpoints_own_sampling_settings_are_not_used(suite: Path, tmp_path: Path) -> None:
    plain = write_checkpoint(tmp_path / "plain")
    bent = write_checkpoint(
        tmp_path / "bent", repetition_penalty=5.0, do_sample=True, temperature=3.0, top_k=5
    )
    expected = run(plain, suite, tmp_path / "a", settings())
    assert run(bent, suite, tmp_path / "b", settings()) == expected


def test_stop_tokens_and_stop_strings(checkpoint: Path, suite: Path, tmp_path: Path) -> None:
    plain = run(checkpoint, suite, tmp_path / "plain", settings())
    tokens = [naive(checkpoint, text, 20, (256, 257)) for text in TEXTS]

    # Make a token that one row writes midway the stop token.
    longest = max(range(len(tokens)), key=lambda i: len(tokens[i]))
    end = tokens[longest][7]
    stopping = tmp_path / "stopping"
    shutil.copytree(checkpoint, stopping)
    (stopping / "generation_config.json").write_text(json.dumps({"eos_token_id": [256, end]}))
    write_manifest(stopping, "checkpoint")
    row = run(stopping, suite, tmp_path / "stop", settings())[longest]
    first = tokens[longest].index(end)
    assert row["stop_reason"] == "stop"
    assert row["completion_tokens"] == first + 1

    # And a piece of text that one row writes midway a stop string.
    whole = plain[longest]["completion"]
    string = whole[5:8]
    rows = run(checkpoint, suite, tmp_path / "string", settings(stop=["never written", string]))
    for before, after in zip(plain, rows, strict=True):
        assert after["completion"] == before["completion"].split(string)[0]
        assert (after["stop_reason"] == "stop_string") == (string in before["completion"])
        assert after["completion_tokens"] <= before["completion_tokens"]
    assert rows[longest]["completion_tokens"] < plain[longest]["completion_tokens"]


def test_a_prompt_near_the_contexts_end_gets_what_is_left(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "checkpoint")
    suite = write_suite(tmp_path / "suite", ["y" * 120, "z"])
    rows = run(checkpoint, suite, tmp_path, settings())
    assert rows[0]["prompt_tokens"] == 123
    assert rows[0]["completion_tokens"] <= 5
    assert rows[1]["completion_tokens"] > 5 or rows[1]["stop_reason"] == "stop"


def test_published_with_manifest_and_without_scratch(
    checkpoint: Path, suite: Path, tmp_path: Path
) -> None:
    run(checkpoint, suite, tmp_path, settings())
    manifest = read_manifest(tmp_path / "out", "completions")
    assert manifest["facts"] == {"suites": {"s": {"n": len(TEXTS)}}}
    assert not list((tmp_path / "scratch").iterdir())


@pytest.mark.parametrize("engine", ["transformers", "continuous"])
def test_finished_batches_are_kept(
    engine: str, checkpoint: Path, suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an interrupted job logged is published as it stands; a torn last line is not."""
    own = settings(engine=engine)
    rows = run(checkpoint, suite, tmp_path / "calm", own)
    kind = {"transformers": PaddedEngine, "continuous": ContinuousEngine}[engine]
    complete, calls = kind.complete, []

    def interrupted(self: Any, batch: Any, own: Any) -> Any:
        calls.append(len(batch))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return complete(self, batch, own)

    monkeypatch.setattr(kind, "complete", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint, suite, tmp_path, own)
    assert not (tmp_path / "out").exists()
    (log,) = (tmp_path / "scratch").iterdir()
    kept = list(read_jsonl(log))
    assert [row["prompt_tokens"] for row in kept] == sorted(
        (row["prompt_tokens"] for row in rows), reverse=True
    )[:3]
    kept = [row | {"completion": f"kept \u2028 {row['id']}"} for row in kept]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
    log.write_text(lines + '{"id": "t/5", "compl', encoding="utf-8")
    again = {row["id"]: row for row in run(checkpoint, suite, tmp_path, own)}
    assert calls[2:] == [3, 1]
    for row in rows:
        changed = [other for other in kept if other["id"] == row["id"]]
        assert again[row["id"]] == (changed[0] if changed else row)


@pytest.mark.slow
def test_a_killed_job_goes_on_to_the_same_bytes(
    root: Path, checkpoint: Path, tmp_path: Path
) -> None:
    suite = write_suite(tmp_path / "suite", [f"number {i}" * (1 + i % 5) for i in range(120)])
    own = settings(batch_size=2, max_new_tokens=60)
    command = [
        *(sys.executable, str(root / "workflow/scripts/generate.py")),
        *("--checkpoint", str(checkpoint), "--suites", f"s={suite}"),
        *("--out", str(tmp_path / "killed/out"), "--scratch", str(tmp_path / "killed/scratch")),
        *("--settings", own.model_dump_json()),
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ) as job:
        deadline = time.monotonic() + 120
        while not list((tmp_path / "killed").glob("scratch/*.jsonl")):
            assert job.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        job.send_signal(signal.SIGKILL)
    assert not (tmp_path / "killed/out").exists()
    done = next((tmp_path / "killed/scratch").glob("*.jsonl")).read_text().count("\n")
    assert 0 < done < 120
    subprocess.run(command, check=True, capture_output=True)
    run(checkpoint, suite, tmp_path / "calm", own)
    calm, killed = (
        (tmp_path / which / "out/manifest.json").read_bytes() for which in ("calm", "killed")
    )
    assert calm == killed


def test_bad_input_gets_one_message(checkpoint: Path, suite: Path, tmp_path: Path) -> None:
    long = write_suite(tmp_path / "long", ["short", "w" * 126])
    with pytest.raises(UserError, match=r"suite 's'.*'t/1' has 129 tokens.*context of 128"):
        run(checkpoint, long, tmp_path, settings())

    silent = write_checkpoint(tmp_path / "silent")
    (silent / "chat_template.jinja").unlink()
    write_manifest(silent, "checkpoint")
    with pytest.raises(UserError, match=r"silent.*no chat template"):
        run(silent, suite, tmp_path, settings())

    arrays = material.values("qwen2", 3)
    del arrays["model.layers.1.mlp.up_proj.weight"]
    material.write_checkpoint(tmp_path / "shell", "qwen2", arrays)
    write_manifest(tmp_path / "shell", "checkpoint")
    with pytest.raises(UserError, match=r"shell: missing tensors, such as .*layers.1.mlp.up_proj"):
        run(tmp_path / "shell", suite, tmp_path, settings())

    with pytest.raises(UserError, match=r"no manifest"):
        run(tmp_path, suite, tmp_path, settings())

    double = tmp_path / "double"
    write_jsonl(double / "items.jsonl", [{"id": "x", "messages": []}] * 2)
    write_manifest(double, "suite")
    with pytest.raises(UserError, match=r"items.jsonl: 1 items of ids that come twice: x"):
        run(checkpoint, double, tmp_path, settings())
    assert not (tmp_path / "out").exists()
