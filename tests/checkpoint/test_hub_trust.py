"""A model with code of its own goes through the whole line, where its entry allows that code."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures import sft_studies as material
from mixmerge.checkpoint.code import code_digest

ROOT = Path(__file__).parents[2]
CODE = """
from transformers import LlamaConfig, LlamaForCausalLM

class OwnConfig(LlamaConfig):
    model_type = "never-heard-of"

class OwnForCausalLM(LlamaForCausalLM):
    config_class = OwnConfig
"""


def run(script: str, *arguments: Any) -> str:
    command = [sys.executable, "-P", str(ROOT / "workflow/scripts" / script), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stderr if done.returncode else ""


@pytest.mark.slow
def test_own_code_reaches_every_loader(tmp_path: Path) -> None:
    source = material.write_base(tmp_path / "source", "llama")
    (source / "own.py").write_text(CODE)
    config = json.loads((source / "config.json").read_text())
    config |= {"model_type": "never-heard-of", "architectures": ["OwnForCausalLM"]}
    names = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnForCausalLM"}
    (source / "config.json").write_text(json.dumps({**config, "auto_map": names}))
    base, tuned, merged = (tmp_path / name for name in ("base", "tuned", "merged"))
    settings = {"kind": "local", "path": str(source)}
    arguments = ["--model", "own", "--out", base, "--settings"]
    message = run("snapshot.py", *arguments, json.dumps(settings))
    assert "error: models.own.trust_remote_code: not set" in message
    settings["trust_remote_code"] = code_digest(source)
    assert settings["trust_remote_code"] in message
    assert run("snapshot.py", *arguments, json.dumps(settings)) == ""

    data = material.write_set(tmp_path / "set", 12, 4)
    sft = json.dumps({**material.SETTINGS, "max_steps": 2, "packing": False, "evaluations": 1})
    arguments = ["--base", base, "--data", data, "--scratch", tmp_path / "scratch", "--seed", "1"]
    assert run("sft.py", *arguments, "--settings", sft, "--out", tuned) == ""
    assert (tuned / "own.py").read_text() == CODE

    other = shutil.copytree(tuned, tmp_path / "other")
    recipe = tmp_path / "recipe.yaml"
    settings_of_merge = {
        "method": "linear",
        "weights": {"a": 0.5, "b": 0.5},
        "dtype": "float32",
        "base": str(base),
        "specialists": {"a": str(tuned), "b": str(other)},
    }
    assert run("recipe.py", "--settings", json.dumps(settings_of_merge), "--out", recipe) == ""
    arguments = ["--seed", "1", "--shard-bytes", "100000000"]
    assert run("merge.py", "--recipe", recipe, "--out", merged, *arguments) == ""
    assert (merged / "own.py").read_text() == CODE

    from mixmerge.evaluate.engines import load_model

    model = load_model(merged, "float32", "cpu")
    assert type(model).__name__ == "OwnForCausalLM"
