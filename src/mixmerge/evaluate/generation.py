"""All suites of one checkpoint completed in one model load; an interrupted job goes on."""

import hashlib
import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from mixmerge.artifacts.manifest import MANIFEST, publish, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import encode_line, read_json, sha256, write_jsonl
from mixmerge.evaluate.settings import Decoding, GenerateSettings, SuiteDecoding
from mixmerge.evaluate.suite import Completion, Item, read_items, read_rows

if TYPE_CHECKING:
    from mixmerge.evaluate.engines import Engine, Prompt


def generate(
    checkpoint: Path,
    suites: dict[str, Path],
    out: Path,
    scratch: Path,
    settings: GenerateSettings,
    manifest: Path | None = None,
) -> None:
    """Complete every item of every suite and publish ``{suite}.jsonl`` each into ``out``.

    ``scratch`` keeps finished batches for a job that runs again with the same checkpoint, suite and
    settings. ``manifest`` is the checkpoint's where it stays when the weights are deleted; their
    own by default.

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
    with closing(load_engine(checkpoint, settings.decoding, settings.suites.values())) as engine:
        used = {"engine": engine.name, "device": engine.device, "dtype": engine.dtype}
        # What a completion depends on, besides checkpoint, suite and the suite's settings.
        software = [version(package) for package in engine.packages]
        identity = [used, engine.batch, settings.decoding.threads, software]
        prompts = {name: _prompts(engine, name, rows) for name, rows in items.items()}
        logs: dict[str, Path] = {}
        completions: dict[str, dict[str, Completion]] = {}
        total = sum(map(len, prompts.values()))
        with tqdm(total=total, desc="generate", unit="prompt", mininterval=1) as bar:
            for name, directory in suites.items():
                own = settings.suites[name]
                # Other suites are no part of what a suite's completions depend on.
                manifests = [sha256(path / MANIFEST) for path in (checkpoint, directory)]
                parts = {"of": manifests, "own": own.model_dump(mode="json"), "by": identity}
                key = hashlib.sha256(encode_line(parts)).hexdigest()[:16]
                logs[name] = scratch / f"{name}-{key}.jsonl"
                completions[name] = _complete(engine, prompts[name], own, logs[name], bar)
    with publish(
        out,
        "completions",
        inputs=[manifest, *(path / MANIFEST for path in suites.values())],
        settings=settings.model_dump(mode="json") | used,
        packages=engine.packages,
    ) as artifact:
        for name, rows in items.items():
            answers = (asdict(completions[name][item.id]) for item in rows)
            write_jsonl(artifact.path / f"{name}.jsonl", answers)
        artifact.facts["suites"] = {name: {"n": len(rows)} for name, rows in items.items()}
    for log in logs.values():
        log.unlink(missing_ok=True)


def choose(engine: str, suites: Iterable[SuiteDecoding], *, cuda: bool, vllm: bool) -> str:
    """The name of the engine that the configured one comes to, if it can do what suites ask for."""
    penalties = [own.repetition_penalty for own in suites if own.repetition_penalty != 1]
    if engine == "auto" and not cuda:
        return "transformers"
    if engine == "auto":
        return "vllm" if vllm else "transformers" if penalties else "continuous"
    if engine == "vllm" and not (cuda and vllm):
        lack = "vLLM is not installed" if cuda else "there is no GPU that torch can use"
        raise UserError(
            f"decoding.engine: 'vllm', but {lack}; install vllm into the environment that runs "
            "`generate` on a machine with a GPU, or set decoding.engine to 'auto'"
        )
    if engine == "continuous" and penalties:
        raise UserError(
            f"decoding.engine: 'continuous' cannot apply the repetition_penalty {penalties[0]} of "
            "a suite: transformers' continuous batching leaves it out; set decoding.engine to "
            "'auto', 'transformers' or 'vllm', or the suite's repetition_penalty to 1"
        )
    return engine


def load_engine(checkpoint: Path, decoding: Decoding, suites: Iterable[SuiteDecoding]) -> "Engine":
    """Load a checkpoint into the engine that settings and machine ask for (see `choose`)."""
    import torch

    from mixmerge.evaluate.engines import ENGINES

    cuda, vllm = torch.cuda.is_available(), find_spec("vllm") is not None
    return ENGINES[choose(decoding.engine, suites, cuda=cuda, vllm=vllm)](checkpoint, decoding)


def _prompts(engine: "Engine", suite: str, items: list[Item]) -> list["Prompt"]:
    from mixmerge.evaluate.engines import Prompt

    prompts = [Prompt(item.id, engine.chat.prompt(item.messages)) for item in items]
    for prompt in prompts:
        if len(prompt.tokens) >= engine.context:
            raise UserError(
                f"suite {suite!r}: the prompt of {prompt.id!r} has {len(prompt.tokens)} tokens, "
                f"which leaves no room in the model's context of {engine.context}; drop the item, "
                "shorten the prompt's template, or take a model with a longer context"
            )
    return prompts


def _complete(
    engine: "Engine", prompts: list["Prompt"], own: SuiteDecoding, log: Path, bar: Any
) -> dict[str, Completion]:
    """Complete prompts batch by batch, each batch kept in ``log`` when done; id -> completion.

    Prompts are sorted by length so that little is padded, longest first so that memory runs out
    at the start if at all. Batches are cut from all prompts, finished or not: a resumed job
    computes the same batches as an undisturbed one, and so the same bytes.
    """
    ordered = sorted(prompts, key=lambda prompt: (-len(prompt.tokens), prompt.id))
    log.parent.mkdir(parents=True, exist_ok=True)
    kept = _read_log(log)
    for start in range(0, len(ordered), engine.batch):
        batch = ordered[start : start + engine.batch]
        if not all(prompt.id in kept for prompt in batch):
            rows = engine.complete(batch, own)
            with log.open("ab") as file:
                file.writelines(encode_line(asdict(row)) for row in rows)
                file.flush()
                os.fsync(file.fileno())
            kept |= {row.id: row for row in rows}
        bar.update(len(batch))
    return kept


def _read_log(log: Path) -> dict[str, Completion]:
    """Rows that an interrupted job left; a last line cut off by the interruption is dropped."""
    data = log.read_bytes() if log.exists() else b""
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(log, whole)
    rows = read_rows(Completion, log, "delete it and run again") if whole else []
    return {row.id: row for row in rows}
