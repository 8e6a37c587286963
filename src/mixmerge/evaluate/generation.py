"""All suites of one checkpoint completed in one model load; an interrupted job goes on."""

import hashlib
import shutil
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch
from tqdm import tqdm

from mixmerge.artifacts.manifest import MANIFEST, publish, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import encode_line, read_json, sha256, write_jsonl
from mixmerge.evaluate.engines import ENGINES, Engine
from mixmerge.evaluate.settings import Decoding, GenerateSettings, SuiteDecoding
from mixmerge.evaluate.suite import Completion, Item, Prompt, read_items, read_rows


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
    settings. ``manifest`` is the checkpoint's where it stays when the weights are deleted.
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
            for name, own in settings.suites.items():
                # Other suites are no part of what a suite's completions depend on.
                manifests = [sha256(path / MANIFEST) for path in (checkpoint, suites[name])]
                parts = {"of": manifests, "own": own.model_dump(mode="json"), "by": identity}
                key = hashlib.sha256(encode_line(parts)).hexdigest()[:16]
                logs[name] = scratch / f"{name}-{key}"
                completions[name] = {}
                # A resumed job computes the same batches as an undisturbed one: the same bytes.
                for start in range(0, len(prompts[name]), engine.batch):
                    batch = prompts[name][start : start + engine.batch]
                    file = logs[name] / f"{start}.jsonl"
                    kept: dict[str, Completion] = {}
                    if file.exists():
                        kept = read_rows(Completion, file, "delete it and run again")
                    if kept.keys() != {prompt.id for prompt in batch}:
                        kept = {row.id: row for row in engine.complete(batch, own)}
                        write_jsonl(file, map(asdict, kept.values()))
                    completions[name] |= kept
                    bar.update(len(batch))
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
        shutil.rmtree(log, ignore_errors=True)  # below the scratch directory


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
            "a suite; set decoding.engine to 'auto', 'transformers' or 'vllm', or that penalty to 1"
        )
    return engine


def load_engine(checkpoint: Path, decoding: Decoding, suites: Iterable[SuiteDecoding]) -> Engine:
    """Load a checkpoint into the engine that settings and machine ask for (see `choose`)."""
    cuda, vllm = torch.cuda.is_available(), find_spec("vllm") is not None
    return ENGINES[choose(decoding.engine, suites, cuda=cuda, vllm=vllm)](checkpoint, decoding)


def _prompts(engine: Engine, suite: str, items: list[Item]) -> list[Prompt]:
    """A suite's prompts, longest first: little is padded, and memory runs out at once if at all."""
    prompts = [Prompt(item.id, engine.chat.prompt(item.messages)) for item in items]
    prompts.sort(key=lambda prompt: (-len(prompt.tokens), prompt.id))
    size = len(prompts[0].tokens)
    if engine.context is not None and size >= engine.context:
        raise UserError(
            f"suite {suite!r}: the prompt of {prompts[0].id!r} has {size} tokens, which leaves no "
            f"room in the model's context of {engine.context}; drop the item, shorten the prompt's "
            "template, or take a model with a longer context"
        )
    return prompts
