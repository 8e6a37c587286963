"""Generation: what is published, in which order; resumption; bad input."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fixtures import checkpoints as material
from fixtures.code_suites import write_items
from fixtures.engines import write_checkpoint
from mixmerge.artifacts.manifest import read_manifest, write_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_jsonl, write_jsonl
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
    lengths = sorted((row["prompt_tokens"] for row in rows), reverse=True)
    assert [row["prompt_tokens"] for row in kept] == lengths[:3]
    kept = [row | {"completion": f"kept \u2028 {row['id']}"} for row in kept]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
    log.write_text(lines + '{"id": "t/5", "compl', encoding="utf-8")
    again = run(checkpoint, suite, tmp_path, own)
    assert calls[2:] == [3, 1]
    assert again == [next((k for k in kept if k["id"] == row["id"]), row) for row in rows]


def test_a_killed_job_goes_on_to_the_same_bytes(
    root: Path, checkpoint: Path, tmp_path: Path
) -> None:
    suite = write_suite(tmp_path / "suite", [f"number {i}" * (1 + i % 5) for i in range(120)])
    own = settings(batch_size=2, max_new_tokens=60)
    killed = tmp_path / "killed"
    command = [
        *(sys.executable, str(root / "workflow/scripts/generate.py")),
        *("--checkpoint", str(checkpoint), "--suites", f"s={suite}"),
        *("--out", str(killed / "out"), "--scratch", str(killed / "scratch")),
        *("--settings", own.model_dump_json()),
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as job:
        deadline = time.monotonic() + 120
        while not list(killed.glob("scratch/*.jsonl")):
            assert job.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        job.send_signal(signal.SIGKILL)
    assert not (killed / "out").exists()
    done = next(killed.glob("scratch/*.jsonl")).read_text().count("\n")
    assert 0 < done < 120
    generate(checkpoint, {"s": suite}, killed / "out", killed / "scratch", own)
    run(checkpoint, suite, tmp_path / "calm", own)
    assert read_manifest(killed / "out") == read_manifest(tmp_path / "calm/out")


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


def test_bad_input_gets_one_message(checkpoint: Path, suite: Path, tmp_path: Path) -> None:
    silent = write_checkpoint(tmp_path / "silent")
    (silent / "chat_template.jinja").unlink()
    write_manifest(silent, "checkpoint")
    arrays = material.values("qwen2", 3)
    del arrays["model.layers.1.mlp.up_proj.weight"]
    material.write_checkpoint(tmp_path / "shell", "qwen2", arrays)
    write_manifest(tmp_path / "shell", "checkpoint")
    write_jsonl(tmp_path / "double/items.jsonl", [{"id": "x", "messages": []}] * 2)
    write_manifest(tmp_path / "double", "suite")
    for model, asked, message in (
        (silent, suite, r"silent.*no chat template"),
        (tmp_path / "shell", suite, r"shell: missing tensors, such as .*layers.1.mlp.up_proj"),
        (tmp_path, suite, r"no manifest"),
        (checkpoint, tmp_path / "double", r"items.jsonl: 1 items of ids that come twice: x"),
    ):
        with pytest.raises(UserError, match=message):
            run(model, asked, tmp_path, settings())
    assert not (tmp_path / "out").exists()
