"""Writes the embedded study's data: pre-training text, two training sets, and the suites."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from embedded_study import wording
from embedded_study.grammar import draw
from embedded_study.problem import problem, prompt
from embedded_study.program import Program
from mixmerge.core.errors import UserError
from mixmerge.core.io import derived_seed, write_jsonl
from mixmerge.data.settings import CorpusSettings

Row = dict[str, Any]

#: Number of steps -> relative frequency. Every composition of one step is training.
_PRETRAIN_LENGTHS = {1: 0.2, 2: 0.5, 3: 0.3}
_TRAIN_LENGTHS = {1: 0.03, 2: 0.52, 3: 0.45}
_SUITE_LENGTHS = {2: 0.65, 3: 0.35}
#: What a chat of the pre-training corpus asks, the study's own template among others.
_CODEGEN_ASKS = ("Complete this function:\n{}", "Write the code:\n{}")
_CODESUM_ASKS = ("Summarize this function:\n{}", "What does this do?\n{}")
_ATTEMPTS = 10_000
#: Share of plain functions under a comment that says what the docstring says. Repetition is what
#: a small model learns to copy from; without it 1 M tokens don't teach it to look back at all.
_HEADER_SHARE = 0.4


def build_corpus(out: Path, settings: CorpusSettings, seed: int) -> None:
    """Write all parts of the corpus into the existing, empty directory ``out``.

    Same settings and seed, same bytes. The compositions of the validation and test parts occur
    in no other part.

    Raises:
        UserError: ``out`` is missing or not empty, or the grammar has too few compositions for
            the sizes asked for.
    """
    if not out.is_dir() or any(out.iterdir()):
        raise UserError(f"{out}: the corpus is written into an existing, empty directory")
    # Generators: nothing is drawn before its file is written.
    parts: list[tuple[str, int, Iterator[Row]]] = [
        ("pretrain", settings.pretrain_items, _pretrain(settings, seed)),
        ("codegen-train", settings.train_items, _codegen(settings, seed)),
        ("codesum-train", settings.train_items, _codesum(settings, seed, "train")),
    ]
    sizes = {"validation": settings.validation_items, "test": settings.test_items}
    for split, size in sizes.items():
        parts.append((f"problems-{split}", size, _problems(settings, seed, split)))
        parts.append((f"codesum-{split}", size, _codesum(settings, seed, split)))
    for name, size, rows in parts:
        bar: Iterable[Row] = tqdm(rows, desc=name, total=size, unit="row", leave=False)
        write_jsonl(out / f"{name}.jsonl", bar)


def _programs(
    part: str, split: str, seed: int, size: int
) -> Iterator[tuple[Program, random.Random]]:
    """Programs for one part of the corpus, each with the generator for its other choices.

    Bodies are distinct in a training set (pre-training text may repeat one in other words); in a
    suite no composition comes twice, so that its problems are as independent as they can be.
    """
    rng = random.Random(derived_seed(seed, "embedded", part, split))
    seen: set[object] = set()
    lengths = _TRAIN_LENGTHS if split == "train" else _SUITE_LENGTHS
    if part == "pretrain":
        lengths = _PRETRAIN_LENGTHS
    for number in range(size):
        for _ in range(_ATTEMPTS):
            program = draw(rng, split, seed, lengths)
            key = program.body() if split == "train" else program.composition
            if part == "pretrain" or key not in seen:
                break
        else:
            raise UserError(
                f"embedded: the grammar has fewer than {size} distinct programs for the "
                f"{split} split of {part} (found {number}); ask for fewer items"
            )
        seen.add(key)
        yield program, rng


def _docstring(program: Program, rng: random.Random, settings: CorpusSettings) -> str:
    weights = {"steps": 1 - settings.nested_share, "nested": settings.nested_share}
    return wording.docstring(program, rng, weights, settings.house_share)


def _pretrain(settings: CorpusSettings, seed: int) -> Iterator[Row]:
    """Plain functions as ``context`` and ``text``; chats as ``messages``, for the template."""
    for program, rng in _programs("pretrain", "train", seed, settings.pretrain_items):
        style = rng.choice(["loose", "loose", "loose", "tidy"])
        weights = {"notes": 0.1, "steps": 0.5, "nested": 0.4}
        text = wording.docstring(program, rng, weights, settings.pretrain_house_share)
        if rng.random() >= settings.chat_share:
            header = f"# {text}\n" if rng.random() < _HEADER_SHARE else ""
            # No loss on what nothing foretells: it is most of a small batch's gradient noise.
            whole = header + prompt(program, text) + program.body(style)
            cut = len(header) or whole.index('"""', whole.index('"""') + 3)
            yield {"context": whole[:cut], "text": whole[cut:]}
        elif rng.random() < 0.5:
            ask = rng.choice(_CODEGEN_ASKS).format(prompt(program, text).rstrip())
            yield _chat(ask, program.code("loose").rstrip())
        else:
            ask = rng.choice(_CODESUM_ASKS).format(program.code(style).rstrip())
            weights = {"notes": 0.1, "steps": 0.3, "nested": 0.6}
            answer = wording.docstring(program, rng, weights, settings.pretrain_house_share)
            yield _chat(ask, answer)


def _chat(ask: str, answer: str) -> Row:
    return {
        "messages": [
            {"role": "user", "content": ask},
            {"role": "assistant", "content": answer},
        ]
    }


def _codegen(settings: CorpusSettings, seed: int) -> Iterator[Row]:
    parts = _programs("codegen", "train", seed, settings.train_items)
    for number, (program, rng) in enumerate(parts):
        yield {
            "id": f"codegen-{number:05d}",
            "problem": prompt(program, _docstring(program, rng, settings)).rstrip(),
            "solution": f"```python\n{program.code()}```",
        }


def _codesum(settings: CorpusSettings, seed: int, split: str) -> Iterator[Row]:
    size = getattr(settings, f"{split}_items")
    for number, (program, rng) in enumerate(_programs("codesum", split, seed, size)):
        yield {
            "id": f"codesum-{split}-{number:05d}",
            "code": program.code(rng.choice(["tidy", "loose"])).rstrip(),
            "docstring": _docstring(program, rng, settings),
        }


def _problems(settings: CorpusSettings, seed: int, split: str) -> Iterator[Row]:
    size = getattr(settings, f"{split}_items")
    for number, (program, rng) in enumerate(_programs("problems", split, seed, size)):
        docstring = _docstring(program, rng, settings)
        yield problem(program, docstring, rng, f"Embedded-{split}/{number}")
