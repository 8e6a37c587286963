"""Small, whole inputs of each stage, and the ways to break them that `cases.yaml` names."""

import gzip
import json
import operator
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from fixtures import checkpoints, report_study, score_rows, sft_studies
from fixtures.code_suites import write_completions
from mixmerge.artifacts.manifest import write_manifest
from mixmerge.checkpoint.side_files import finish_files
from mixmerge.core.io import write_jsonl
from mixmerge.study.layout import uncertainty_settings
from mixmerge.uncertainty.settings import Uncertainty

#: The shards of a checkpoint in two, and names of its tensors.
FIRST, SECOND = (f"model-0000{n}-of-00002.safetensors" for n in (1, 2))
INDEX, NORM = "model.safetensors.index.json", "model.norm.weight"
UP, EMBED = "model.layers.1.mlp.up_proj.weight", "model.embed_tokens.weight"
#: transformers adds a token to the tokenizer's 260.
LARGE = np.resize(checkpoints.values("qwen2", 1)[EMBED], (264, 32))
#: A chat template that marks answers.
MARKED = sft_studies.TEMPLATE.replace("<|im_start|>", "<|user|>").replace("<|im_end|>", "<|end|>")
USER = {"role": "user", "content": "?"}
#: Files and entries of scores.
BASE, MIXED = "scores/tiny/base/scores.json", "scores/tiny/mixed"
UPDATES, ROW = "weights/tiny/updates.json", ("write-test", "metrics", "base")
ROWS = [
    {"id": f"r{n}", "problem": f"Add {n} to x.", "solution": f"def f{n}(x):\n    return x + {n}"}
    for n in range(1, 9)
]
TEXT = "".join(json.dumps(row) + "\n" for row in ROWS)
SIMULATED = score_rows.study()
STUDY = report_study.layout()

Damage = Callable[[Path], object]


class Stage(NamedTuple):
    """What writes a stage's inputs into a folder, and its script with arguments (stages.yaml)."""

    build: Damage
    command: tuple[str, ...]


# What is whole.


def write_given(folder: Path) -> None:
    arrays = checkpoints.values("qwen2", 1)
    checkpoints.write_checkpoint(folder / "given", "qwen2", arrays, shards=2)


def write_sources(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "rows.jsonl").write_text(TEXT)
    (folder / "rows.jsonl.gz").write_bytes(gzip.compress(TEXT.encode(), mtime=0))
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "rows.parquet")


def write_rows(folder: Path) -> None:
    (folder / "s").mkdir()
    (folder / "s/rows.jsonl").write_text(TEXT)
    write_manifest(folder / "s", "rows", {"rows": len(ROWS)})


def write_task(folder: Path) -> None:
    rows = [
        {
            "id": row["id"],
            "task": "write",
            "source": "s",
            "messages": [
                {"role": "user", "content": row["problem"]},
                {"role": "assistant", "content": row["solution"]},
            ],
        }
        for row in ROWS
    ]
    write_jsonl(folder / "write/rows.jsonl", rows)
    write_manifest(folder / "write", "rows", {"rows": len(rows)})


def write_family(folder: Path) -> None:
    checkpoints.family_of_checkpoints(folder, "qwen2", shards=2)
    parameters = {"weight": 0.5, "density": 0.5}
    recipe = {
        "merge_method": "ties",
        "base_model": "in/base",
        "models": [{"model": f"in/{name}", "parameters": parameters.copy()} for name in ("a", "b")],
        "dtype": "bfloat16",
        "out_dtype": "bfloat16",
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))


def write_published(folder: Path) -> None:
    write_family(folder)
    for name in ("base", "a", "b"):
        write_manifest(folder / name, "checkpoint", finish_files(folder / name))


def write_base(folder: Path, **changed: Any) -> None:
    """A base checkpoint that can be trained and prompted; tensors or its config changed."""
    (folder / "base").mkdir(exist_ok=True)
    rewrite(folder / "base", **{"vocab_size": 264, EMBED: LARGE} | changed)
    (folder / "base/chat_template.jinja").write_text(MARKED)
    write_manifest(folder / "base", "checkpoint")


def write_training(folder: Path) -> None:
    write_base(folder)
    sft_studies.write_set(folder / "set", 12, 4)


def write_suite(folder: Path, items: dict[str, str]) -> None:
    """A summary suite: id -> reference."""
    rows = [{"id": id_, "messages": [USER], "reference": text} for id_, text in items.items()]
    write_jsonl(folder / "s/items.jsonl", rows)
    write_manifest(folder / "s", "suite")


def write_prompts(folder: Path) -> None:
    write_base(folder)
    write_suite(folder, {f"s/{n}": f"Add {n}." for n in range(3)})


def write_completed(folder: Path) -> None:
    texts = {f"s/{n}": f"Return the sum of the first {n} numbers." for n in range(1, 7)}
    write_suite(folder, texts)
    write_completions(folder / "c", {"s": texts})


def write_scored(folder: Path) -> None:
    score_rows.write_rows(SIMULATED, folder, {"mixed": 0.7}, items=12)


def write_study(folder: Path) -> None:
    report_study.decide(STUDY, folder)


def _stage(entry: dict[str, Any]) -> Stage:
    words = WORDS | {name: [json.dumps(value)] for name, value in entry.items() if name.isupper()}
    command = [part for word in entry["command"].split() for part in words.get(word, [word])]
    return Stage(globals()[entry["build"]], tuple(command))


[MODEL] = SIMULATED.models
TRAINING = sft_studies.SETTINGS | {"max_length": 128, "epochs": 1.0, "packing": False}
WORDS = {
    "TRAINING": [json.dumps(TRAINING)],
    "SCORES": [f"{v.name}=in/scores/tiny/{v.name}" for v in MODEL.variants],
    "WEIGHED": [
        json.dumps(uncertainty_settings(SIMULATED, MODEL.key, Uncertainty(resamples=1000)))
    ],
    "LAYOUT": [json.dumps(STUDY.model_dump(mode="json"))],
}
FILE = Path(__file__).with_name("stages.yaml")
STAGES = {name: _stage(entry) for name, entry in yaml.safe_load(FILE.read_text()).items()}


# What breaks a file.


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change a JSON file in place, as an editor does."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def line(path: Path, number: int, text: str | bytes) -> None:
    lines = path.read_bytes().split(b"\n")
    lines[number - 1] = text.encode() if isinstance(text, str) else text
    path.write_bytes(b"\n".join(lines))


def cut(path: Path, count: int) -> None:
    path.write_bytes(path.read_bytes()[:-count])


def flip(path: Path, byte: int) -> None:
    content = bytearray(path.read_bytes())
    content[byte] ^= 0x55
    path.write_bytes(content)


def swap(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def shut(path: Path) -> None:
    path.chmod(0)


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


# What breaks a checkpoint.


def rewrite(folder: Path, family: str = "qwen2", dtype: str = "BF16", **changed: Any) -> None:
    """Write a checkpoint anew: tensors changed by name (None: left out), or keys of the config."""
    arrays = checkpoints.values(family, 1)
    arrays |= {name: value for name, value in changed.items() if isinstance(value, np.ndarray)}
    arrays = {name: value for name, value in arrays.items() if changed.get(name, 0) is not None}
    rest = {name: value for name, value in changed.items() if "." not in name}
    shutil.rmtree(folder)
    checkpoints.write_checkpoint(folder, family, arrays, dtype, shards=2, **rest)


def spoilt(value: float) -> np.ndarray:
    array = checkpoints.values("qwen2", 1)[UP]
    array[7, 3] = value
    return array


def header(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    raw = file.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    content = json.loads(raw[8:end])
    change(content)
    text = json.dumps(content).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + raw[end:])


def tensor(header: dict[str, Any]) -> str:
    return min(name for name in header if name != "__metadata__")


def shared(content: dict[str, Any]) -> None:
    names = [n for n, e in content.items() if e.get("shape") == [32]]
    content[names[1]]["data_offsets"] = content[names[0]]["data_offsets"]


# What breaks an artifact, whose manifest is then made to fit: it is not the manifest that says so.


def reseal(folder: Path) -> None:
    found = json.loads((folder / "manifest.json").read_text())
    write_manifest(folder, found["kind"], found["facts"])


def sealed(name: str, damage: Damage) -> Damage:
    """Damage a folder and make its manifest fit."""

    def both(inputs: Path) -> None:
        damage(inputs / name)
        reseal(inputs / name)

    return both


def row(number: int, **changed: Any) -> str:
    return json.dumps(ROWS[number - 1] | changed)


def resealed(folder: Path, number: int, text: str | bytes) -> None:
    line(folder / "rows.jsonl", number, text)
    reseal(folder)


def completions(change: Callable[[list[dict[str, Any]]], object]) -> Damage:
    def damage(folder: Path) -> None:
        rows = [json.loads(text) for text in (folder / "s.jsonl").read_text().splitlines()]
        change(rows)
        write_jsonl(folder / "s.jsonl", rows)

    return sealed("c", damage)


def anew(**changed: Any) -> Damage:
    return lambda inputs: write_base(inputs, **changed)


def template(text: str) -> Damage:
    return sealed("base", lambda base: (base / "chat_template.jinja").write_text(text))


def eos(value: Any) -> Damage:
    text = json.dumps({"eos_token_id": value})
    return sealed("base", lambda base: (base / "generation_config.json").write_text(text))


def said(number: int, messages: Any) -> Damage:
    text = json.dumps({"id": "x", "messages": messages})
    return sealed("set", lambda folder: line(folder / "train.jsonl", number, text))


def within(file: str, path: tuple[Any, ...], change: Callable[[Any, Any], object]) -> Damage:
    """Change what a JSON file holds at a path: container and key are handed on."""

    def inner(content: Any) -> None:
        for part in path[:-1]:
            content = content[part]
        change(content, path[-1])

    return lambda folder: edit(folder / file, inner)


def value(file: str, *path: Any, put: Any) -> Damage:
    return within(file, path, lambda content, key: operator.setitem(content, key, put))


def gone(file: str, *path: Any) -> Damage:
    return within(file, path, operator.delitem)


def damage(expression: str, inputs: Path) -> None:
    """Break a world as a case says.

    Args:
        expression: of `cases.yaml`; ``i`` is the folder of the inputs, all else is of this module.
        inputs: that folder.
    """
    eval(expression, {**globals(), "i": inputs, "material": checkpoints})
