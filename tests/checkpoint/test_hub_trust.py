"""A model with code of its own goes through the whole line, where its entry allows that code."""

import json
import shutil
from pathlib import Path

import pytest

from fixtures import sft_studies as material
from mixmerge.checkpoint.settings import LocalCheckpoint
from mixmerge.checkpoint.side_files import code_digest
from mixmerge.checkpoint.snapshot import snapshot
from mixmerge.core.errors import UserError
from mixmerge.sft.job import Job
from mixmerge.sft.settings import Sft
from mixmerge.sft.stage import fine_tune

CODE = """
from transformers import LlamaConfig, LlamaForCausalLM

class OwnConfig(LlamaConfig):
    model_type = "never-heard-of"

class OwnForCausalLM(LlamaForCausalLM):
    config_class = OwnConfig
"""


@pytest.mark.slow
def test_own_code_reaches_every_loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import dynamic_module_utils

    from mixmerge.evaluate.engines import load_model
    from mixmerge.merge.execution import merge

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    source = material.write_base(tmp_path / "source", "llama")
    (source / "own.py").write_text(CODE)
    config = json.loads((source / "config.json").read_text())
    config |= {"model_type": "never-heard-of", "architectures": ["OwnForCausalLM"]}
    names = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnForCausalLM"}
    (source / "config.json").write_text(json.dumps({**config, "auto_map": names}))
    base, tuned, merged = (tmp_path / name for name in ("base", "tuned", "merged"))
    entry = LocalCheckpoint(kind="local", path=source)
    digest = code_digest(source)
    message = rf"^models\.own\.trust_remote_code: not set.*{digest}"
    with pytest.raises(UserError, match=message):
        snapshot("own", entry, base)
    snapshot("own", entry.model_copy(update={"trust_remote_code": digest}), base)

    data = material.write_set(tmp_path / "set", 12, 4)
    changed = {"max_steps": 2, "packing": False, "evaluations": 1}
    settings = Sft.model_validate({**material.SETTINGS, **changed})
    scratch = tmp_path / "scratch"
    fine_tune(Job(base=base, data=data, out=tuned, scratch=scratch, settings=settings, seed=1))
    assert (tuned / "own.py").read_text() == CODE

    other = shutil.copytree(tuned, tmp_path / "other")
    models = [{"model": str(path), "parameters": {"weight": 0.5}} for path in (tuned, other)]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps({"merge_method": "linear", "models": models, "dtype": "float32"}))
    merge(recipe, merged, seed=1, shard_bytes=100_000_000)
    assert (merged / "own.py").read_text() == CODE
    assert type(load_model(merged, "float32", "cpu")).__name__ == "OwnForCausalLM"
