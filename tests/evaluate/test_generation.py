"""Generation: what is published, in which order; resumption; bad input."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.code_suites import write_items
from fixtures.engines import write_checkpoint
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_jsonl, write_json, write_jsonl
from mixmerge.evaluate.engines import ContinuousEngine, PaddedEngine
from mixmerge.evaluate.generation import generate
from mixmerge.evaluate.settings import Decoding, GenerateSettings, SuiteDecoding

pytestmark = pytest.mark.slow

TEXTS = ["a", "what is it?", "xyz " * 9, "Zürich", "0123456789" * 2, "b", "longer " * 6]


def write_suite(directory: Path, texts: list[str] = TEXTS) -> Path:
    return write_items(directory, {f"t/{i}": text for i, text in enumerate(texts)})


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


def test_published_in_the_suites_order_whatever_the_batch(
    checkpoint: Path, suite: Path, tmp_path: Path
) -> None:
    rows = run(checkpoint, suite, tmp_path / "a", settings())
    assert [row["id"] for row in rows] == [f"t/{i}" for i in range(len(TEXTS))]
    assert [row["prompt_tokens"] for row in rows] == [3 + len(text.encode()) for text in TEXTS]
    assert len({row["completion"] for row in rows}) > 3
    manifest = read_manifest(tmp_path / "a/out", "completions")
    assert manifest["facts"] == {"suites": {"s": {"n": len(TEXTS)}}}
    assert not list((tmp_path / "a/scratch").iterdir())
    # Nor do a checkpoint's own sampling settings matter.
    sampling = {"repetition_penalty": 5.0, "do_sample": True, "temperature": 3.0, "top_k": 5}
    bent = write_checkpoint(tmp_path / "bent", **sampling)
    assert rows == run(bent, suite, tmp_path / "b", settings(batch_size=1))
    # The context's end is the limit where `max_new_tokens` goes beyond it.
    long = run(checkpoint, suite, tmp_path / "d", settings(max_new_tokens=500))
    assert max(row["prompt_tokens"] + row["completion_tokens"] for row in long) == 128
    # A piece of text that a row writes midway ends it.
    pieces = [row["completion"][at : at + 2] for row in rows for at in range(3, 15)]
    # Half a character becomes another one with the next token, so it can be no stop string.
    string = next(piece for piece in pieces if len(piece) == 2 and "\ufffd" not in piece)
    cut = run(checkpoint, suite, tmp_path / "c", settings(stop=["never written", string]))
    for before, after in zip(rows, cut, strict=True):
        assert after["completion"] == before["completion"].split(string)[0]
        assert (after["stop_reason"] == "stop_string") == (string in before["completion"])
        assert after["completion_tokens"] <= before["completion_tokens"]


@pytest.mark.parametrize("engine", ["transformers", "continuous"])
def test_finished_batches_are_kept(
    engine: str, checkpoint: Path, suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an interrupted job finished is published as it stands."""
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
    (log,) = (tmp_path / "scratch").glob("*/*")
    kept = list(read_jsonl(log))
    lengths = sorted((row["prompt_tokens"] for row in rows), reverse=True)
    assert [row["prompt_tokens"] for row in kept] == lengths[:3]
    kept = [row | {"completion": f"kept \u2028 {row['id']}"} for row in kept]
    write_jsonl(log, kept)
    write_jsonl(log.with_name("3.jsonl"), kept[:1])  # of another batch: no use
    # Not by a job with other settings, though.
    other = settings(engine=engine, max_new_tokens=19)
    generate(checkpoint, {"s": suite}, tmp_path / "other", tmp_path / "scratch", other)
    assert "kept" not in (tmp_path / "other/s.jsonl").read_text()
    before = len(calls)
    again = run(checkpoint, suite, tmp_path, own)
    assert calls[before:] == [3, 1]
    assert again == [next((k for k in kept if k["id"] == row["id"]), row) for row in rows]


def test_a_job_that_fails_ends_and_leaves_nothing(
    root: Path, checkpoint: Path, tmp_path: Path
) -> None:
    """The thread of continuous batching must not keep a failed job's process alive."""
    suite = write_suite(tmp_path / "s", ["short", "w" * 126])
    command = [sys.executable, root / "workflow/scripts/generate.py", "--checkpoint", checkpoint]
    command += ["--suites", f"s={suite}", "--out", tmp_path / "out"]
    command += ["--scratch", tmp_path / "scratch", "--settings"]
    own = settings(engine="continuous").model_dump_json()
    job = subprocess.run([*command, own], capture_output=True, text=True, timeout=120, check=False)
    assert job.returncode == 1
    message = "suite 's': the prompt of 't/1' has 129 tokens, which leaves no room in the model's"
    assert f"{message} context of 128" in job.stderr
    assert not (tmp_path / "out").exists()


def test_weights_of_another_manifest_are_refused(
    checkpoint: Path, suite: Path, tmp_path: Path
) -> None:
    write_json(tmp_path / "manifest.json", {"kind": "checkpoint"})
    with pytest.raises(UserError, match=r"checkpoint: not the weights that .*manifest.json lists"):
        out, scratch = tmp_path / "out", tmp_path / "scratch"
        generate(checkpoint, {"s": suite}, out, scratch, settings(), tmp_path / "manifest.json")
    assert not (tmp_path / "out").exists()
