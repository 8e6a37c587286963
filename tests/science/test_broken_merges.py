"""Checkpoints that do not go together, and broken recipes: refused before anything is merged."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from broken_damage import SECOND, UP, cut, edit, rewrite, spoilt, swap
from broken_material import Case, Server, Stage, Worlds, cases
from fixtures import checkpoints as material

pytestmark = pytest.mark.slow

INDEX, NORM = "model.safetensors.index.json", "model.norm.weight"


def write_family(folder: Path) -> None:
    """A base, two specialists, and the recipe of their merge."""
    material.family_of_checkpoints(folder, "qwen2", shards=2)
    recipe = {
        "merge_method": "ties",
        "base_model": "in/base",
        "models": [
            {"model": f"in/{name}", "parameters": {"weight": 0.5, "density": 0.5}}
            for name in ("a", "b")
        ],
        "dtype": "bfloat16",
        "out_dtype": "bfloat16",
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))


STAGES = {
    "merge": Stage(
        "merge.py",
        ("--recipe", "in/recipe.yaml", "--out", "out/m", "--seed", "1", "--shard-bytes", "1000000"),
        write_family,
    ),
}

MERGE = [
    Case(
        "a missing tensor",
        lambda i: rewrite(i / "a", **{NORM: None}),
        (f"in/a: lacks tensor {NORM!r} compared with in/base", "Write it again"),
    ),
    Case(
        "an extra tensor",
        lambda i: rewrite(i / "a", **{"model.extra.weight": np.zeros((4, 4))}),
        ("in/a: holds an extra tensor 'model.extra.weight'",),
    ),
    Case(
        "a wrong shape",
        lambda i: rewrite(i / "a", **{NORM: np.ones(16)}),
        ("in/a/", "has shape [16], but [32]"),
    ),
    Case(
        "another vocabulary",
        lambda i: rewrite(
            i / "a", vocab_size=270, **{"model.embed_tokens.weight": np.zeros((270, 32))}
        ),
        ("in/a/", "'model.embed_tokens.weight' has shape [270, 32], but [260, 32]"),
    ),
    Case(
        "untied against tied embeddings",
        lambda i: rewrite(
            i / "a", tie_word_embeddings=False, **{"lm_head.weight": np.zeros((260, 32))}
        ),
        ("in/a: holds an extra tensor 'lm_head.weight'",),
    ),
    Case(
        "another architecture",
        lambda i: rewrite(i / "a", "llama"),
        ("in/a: ", "compared with in/base", "not the same architecture"),
    ),
    Case(
        "another rope_theta",
        lambda i: rewrite(i / "a", rope_theta=5e5),
        (
            "in/a/config.json: rope_",
            "500000",
            "10000",
            "only checkpoints trained from the same base",
        ),
    ),
    Case(
        "another number of heads",
        lambda i: rewrite(i / "a", num_attention_heads=8, head_dim=8),
        ("in/a/config.json: ", "in/base/config.json"),
    ),
    Case(
        "another tokenizer",
        lambda i: material.write_tokenizer(i / "a", shift=1),
        ("in/a/tokenizer.json: vocabulary: token '!' is number", "in/base/tokenizer.json"),
    ),
    Case(
        "a specialist without tokenizer",
        lambda i: (i / "b/tokenizer.json").unlink(),
        ("in/b: holds no tokenizer",),
    ),
    Case(
        "a base without chat template",
        lambda i: (i / "base/chat_template.jinja").unlink(),
        ("in/base", "no chat template"),
    ),
    Case(
        "NaN in a specialist",
        lambda i: rewrite(i / "b", **{UP: spoilt(np.nan)}),
        ("in/b/", UP, "NaN at [7, 3]"),
    ),
    Case(
        "NaN in the base",
        lambda i: rewrite(i / "base", **{UP: spoilt(np.nan)}),
        ("in/base/", UP, "NaN at [7, 3]"),
    ),
    Case(
        "other dtypes and no dtype named",
        lambda i: [rewrite(i / "b", dtype="F32"), swap(i / "recipe.yaml", "dtype: bfloat16\n", "")],
        ("F32", "BF16", "name the `dtype`"),
    ),
    Case(
        "a cut off specialist", lambda i: cut(i / "b" / SECOND, 7), (f"in/b/{SECOND}: truncated",)
    ),
    Case(
        "a config that transformers does not know",
        lambda i: [
            edit(i / n / "config.json", lambda c: c.update(model_type="qwen99"))
            for n in ("a", "b", "base")
        ],
        ("config.json: transformers cannot read it",),
    ),
    Case(
        "a config of wrong types",
        lambda i: [
            edit(i / n / "config.json", lambda c: c.update(hidden_size="32"))
            for n in ("a", "b", "base")
        ],
        ("config.json", "hidden_size"),
    ),
    Case(
        "a recipe that is no YAML",
        lambda i: swap(i / "recipe.yaml", "models:", "models: ["),
        ("in/recipe.yaml: no recipe for MergeKit", "flow"),
    ),
    Case(
        "a recipe with a misplaced key",
        lambda i: swap(i / "recipe.yaml", "dtype: bfloat16", "density: 0.5"),
        ("in/recipe.yaml: density: Extra inputs are not permitted",),
    ),
    Case(
        "a recipe of a model that is gone",
        lambda i: swap(i / "recipe.yaml", "- model: in/a", "- model: in/z"),
        ("in/z",),
    ),
    Case(
        "a recipe that lists a model twice",
        lambda i: swap(i / "recipe.yaml", "- model: in/b", "- model: in/a"),
        ("in/recipe.yaml: MergeKit cannot run it", "Duplicate"),
    ),
    Case(
        "an empty recipe",
        lambda i: (i / "recipe.yaml").write_text(""),
        ("in/recipe.yaml: no recipe for MergeKit", "models"),
    ),
]

CASES = {
    "merge": MERGE,
}

MODULES = (
    "torch",
    "transformers",
    "mergekit.merge",
    "mixmerge.merge.execution",
    "mixmerge.checkpoint.snapshot",
)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    with Server(*MODULES) as server:
        yield Worlds(server, tmp_path_factory.mktemp("broken"))


@pytest.mark.parametrize(("stage", "case"), cases(CASES))
def test_what_cannot_be_merged_is_told_and_the_mended_goes_on(
    worlds: Worlds, stage: str, case: Case
) -> None:
    worlds.check(stage, STAGES[stage], case)
