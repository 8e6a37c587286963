"""All suites of one checkpoint completed in one model load; an interrupted job goes on."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from mixmerge.artifacts.manifest import MANIFEST, publish, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import encode_line, read_json, sha256, write_jsonl
from mixmerge.evaluate.settings import GenerateSettings, SuiteDecoding
from mixmerge.evaluate.suite import Completion, Item, read_items, read_rows

if TYPE_CHECKING:
    from mixmerge.evaluate.engine import Engine, Prompt


def generate(
    checkpoint: Path,
    suites: dict[str, Path],
    out: Path,
    scratch: Path,
    settings: GenerateSettings,
    manifest: Path | None = None,
) -> None:
    """Complete every item of every suite and publish ``{suite}.jsonl`` each into ``out``.

    Args:
        checkpoint: directory in Hugging Face layout.
        suites: suite -> its directory.
        out: directory that is published whole, of kind "completions".
        scratch: where finished batches are kept until then, for a job that runs again with the same
            checkpoint, suite and settings.
        settings: one entry a suite.
        manifest: the checkpoint's where it stays when the weights are deleted; their own by
            default. The provenance names it.

    Raises:
        UserError: unfinished inputs, weights that are not those of the manifest, a checkpoint that
            cannot be prompted, a prompt that is longer than the model's context.
    """
    manifest = manifest or checkpoint / MANIFEST
    if read_manifest(checkpoint, "checkpoint") != read_json(manifest):
        raise UserError(
            f"{checkpoint}: not the weights that {manifest} lists; delete {checkpoint} and run "
            "again, which merges them once more"
        )
    items = {name: read_items(directory) for name, directory in suites.items()}

    from mixmerge.evaluate.engines import load_engine

    with closing(load_engine(checkpoint, settings.decoding, settings.suites.values())) as engine:
        identity = engine.identity()
        prompts = {name: _prompts(engine, name, rows) for name, rows in items.items()}
        logs: dict[str, Path] = {}
        completions: dict[str, dict[str, Completion]] = {}
        total = sum(map(len, prompts.values()))
        with tqdm(total=total, desc="generate", unit="prompt", mininterval=1) as bar:
            for name, directory in suites.items():
                own = settings.suites[name]
                key = _key(checkpoint, directory, own, identity)
                logs[name] = scratch / f"{name}-{key}.jsonl"
                completions[name] = {}
                for row in _complete(engine, prompts[name], own, logs[name]):
                    completions[name][row.id] = row
                    bar.update()
    with publish(
        out,
        "completions",
        inputs=[manifest, *(path / MANIFEST for path in suites.values())],
        settings=settings.model_dump(mode="json")
        | {name: identity[name] for name in ("engine", "device", "dtype")},
        packages=engine.packages,
    ) as artifact:
        for name, wanted in items.items():
            rows = (asdict(completions[name][item.id]) for item in wanted)
            write_jsonl(artifact.path / f"{name}.jsonl", rows)
        artifact.facts["suites"] = {name: {"n": len(rows)} for name, rows in items.items()}
    for log in logs.values():
        log.unlink(missing_ok=True)


def _prompts(engine: "Engine", suite: str, items: list[Item]) -> list["Prompt"]:
    """A suite's prompts as tokens."""
    from mixmerge.evaluate.engine import Prompt

    prompts = [Prompt(item.id, engine.chat.prompt(item.messages)) for item in items]
    for prompt in prompts:
        if len(prompt.tokens) >= engine.context:
            raise UserError(
                f"suite {suite!r}: the prompt of {prompt.id!r} has {len(prompt.tokens)} tokens, "
                f"which leaves no room in the model's context of {engine.context}; drop the item, "
                "shorten the prompt's template, or take a model with a longer context"
            )
    return prompts


def _key(checkpoint: Path, suite: Path, own: SuiteDecoding, engine: dict[str, Any]) -> str:
    """Digest of all that a suite's completions depend on; other suites are no part of it."""
    parts = {
        "checkpoint": sha256(checkpoint / MANIFEST),
        "suite": sha256(suite / MANIFEST),
        "own": own.model_dump(mode="json"),
        "engine": engine,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _complete(
    engine: "Engine", prompts: list["Prompt"], own: SuiteDecoding, log: Path
) -> Iterator[Completion]:
    """Yield a completion a prompt, batch by batch, each batch kept in ``log`` when done.

    Prompts are sorted by length so that little is padded, longest first so that memory runs out
    at the start if at all. Batches are cut from all prompts, finished or not: a resumed job
    computes the same batches as an undisturbed one, and so the same bytes.
    """
    ordered = sorted(prompts, key=lambda prompt: (-len(prompt.tokens), prompt.id))
    kept = _read_log(log)
    for start in range(0, len(ordered), engine.batch):
        batch = ordered[start : start + engine.batch]
        rows = [kept[prompt.id] for prompt in batch if prompt.id in kept]
        if len(rows) < len(batch):
            rows = engine.complete(batch, own)
            _append(log, rows)
        yield from rows


def _append(log: Path, rows: list[Completion]) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        file.writelines(encode_line(asdict(row)) for row in rows)
        file.flush()
        os.fsync(file.fileno())


def _read_log(log: Path) -> dict[str, Completion]:
    """Rows that an interrupted job left; a last line cut off by the interruption is dropped."""
    if not log.exists():
        return {}
    data = log.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with log.open("r+b") as file:
            file.truncate(len(whole))
    return {row.id: row for row in read_rows(Completion, log, "delete it and run again")}
