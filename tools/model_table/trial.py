"""What each stage does with one architecture: preflight's word, then the jobs themselves."""

import json
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

STAGES = ("snapshot", "packed", "unpacked", "LoRA", "linear", "TIES", "statistics", "generation")
WORKS, REFUSED, FAILS = "yes", "refused", "**fails**"
#: Of each stage: a verdict, and a message where it does not work.
Cells = dict[str, tuple[str, str]]

_SFT: dict[str, Any] = {
    "learning_rate": 1e-3, "batch_size": 4, "gradient_accumulation": 1, "max_length": 160,
    "max_steps": 3, "evaluations": 1, "precision": "fp32", "zero_stage": None, "checkpoint": "last",
}  # fmt: skip
_LORA = {"rank": 4, "alpha": 8, "targets": "all-linear"}
#: What a study's config has for a stage, beside `_CONFIG`.
_ASKED: dict[str, dict[str, Any]] = {
    "unpacked": {"sft": {**_SFT, "packing": False}},
    "LoRA": {"sft": {**_SFT, "lora": _LORA}},
    "linear": {"strategies": {"linear": {"method": "linear", "ratios": [0.3]}}},
    "TIES": {
        "strategies": {
            "ties": {"method": "ties", "model_parameters": {"density": 0.5}, "ratios": [0.3]}
        }
    },
}
#: Losses in nats that are the same but for rounding.
_SAME = 5e-5


def transformers_version() -> str:
    """Of the installed transformers."""
    from importlib.metadata import version

    return version("transformers")


def trials(kinds: list[str]) -> Iterator[tuple[str, Cells]]:
    """Try architectures, each in a fork of this process, whose libraries are loaded once."""
    os.environ.update(DS_ACCELERATOR="cpu", TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1")
    import torch
    import transformers
    from trl import SFTTrainer  # noqa: F401 -- takes 20 seconds

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    for kind in kinds:
        folder = Path(tempfile.mkdtemp(prefix=f"model-{kind}-"))
        child = os.fork()
        if not child:
            code = 1
            try:
                log = os.open(folder / "log", os.O_CREAT | os.O_WRONLY)
                os.dup2(log, 1), os.dup2(log, 2)
                logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
                (folder / "cells.json").write_text(json.dumps(try_architecture(kind, folder)))
                code = 0
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(code)
        os.waitpid(child, 0)
        if not (folder / "cells.json").exists():
            raise RuntimeError(f"{kind}: {(folder / 'log').read_text()[-2000:]}")
        cells = {k: tuple(v) for k, v in json.loads((folder / "cells.json").read_text()).items()}
        print(kind, *(cells[stage][0] for stage in STAGES), file=sys.stderr, flush=True)
        shutil.rmtree(folder)
        yield kind, cells


def try_architecture(kind: str, folder: Path) -> Cells:
    """Try all stages with one architecture, writing below ``folder``."""
    from mixmerge.core.errors import UserError, one_line
    from model_table.tiny import write_model

    os.chdir(folder)
    write_model(Path("source"), kind)
    jobs = Jobs()
    cells: Cells = {}
    for stage in STAGES:
        if refusals := preflight({**_CONFIG, **_ASKED.get(stage, {})}):
            cells[stage] = (REFUSED, refusals[0])
            continue
        try:
            job: Callable[[], str] = getattr(jobs, stage.lower())
            fault = job()
        except UserError as error:
            fault = str(error)
        except Exception as error:
            logging.exception(stage)
            fault = f"{type(error).__name__}: {error}"
        fault = re.sub(r"\.(\w+)\.\S+\.\d+\.tmp\b", r"\1", one_line(fault, 300))  # half-written
        cells[stage] = (FAILS, fault) if fault else (WORKS, "")
    return cells


_CONFIG: dict[str, Any] = {
    "study": "models",
    "seed": 1,
    "models": {"tiny": {"kind": "local", "path": "source"}},
    "sources": {"rows": {"kind": "local", "path": "rows.jsonl", "id_column": "id"}},
    "tasks": {
        name: {"title": name, "prompt": "{question}", "answer": "{answer}", "sources": ["rows"]}
        for name in ("codegen", "codesum")
    },
    "sft": _SFT,
    "strategies": {},
    "suites": {
        task: {
            "kind": "summary", "task": task, "title": task, "source": "rows", "metrics": ["bleu4"],
            "max_new_tokens": 8,
        }
        for task in ("codegen", "codesum")
    },
    "hardware": {"device": "cpu"},
    "tables": {"select": "test"},
}  # fmt: skip


def preflight(config: dict[str, Any]) -> list[str]:
    """What preflight finds wrong with the model of a study."""
    from mixmerge.config.load import parse_config
    from mixmerge.preflight.findings import Area, Context
    from mixmerge.preflight.models import check_models
    from mixmerge.study.plan import Study

    study = Study(parse_config(config, "study.yaml"))
    area = Area("models")
    check_models(Context("study.yaml", study, Path(), lambda *_: {}), area)
    return area.errors


class Jobs:
    """The stages' jobs, in order; each says what is wrong with its result, or nothing."""

    def __init__(self) -> None:
        from mixmerge.artifacts.manifest import write_manifest
        from mixmerge.core.io import write_jsonl
        from model_table.tiny import rows

        write_jsonl(Path("set/train.jsonl"), rows(24))
        write_jsonl(Path("set/validation.jsonl"), rows(6, 30))
        write_manifest(Path("set"), "rows")
        prompts = [row["messages"][:1] for row in rows(4, 60)]
        items = [{"id": str(i), "messages": m, "reference": "x"} for i, m in enumerate(prompts)]
        write_jsonl(Path("suite/items.jsonl"), items)
        write_manifest(Path("suite"), "suite")

    def snapshot(self) -> str:
        """Publish the base."""
        from mixmerge.checkpoint.settings import LocalCheckpoint
        from mixmerge.checkpoint.snapshot import snapshot

        snapshot("tiny", LocalCheckpoint(kind="local", path=Path("source")), Path("base"))
        return ""

    def packed(self) -> str:
        """Train on packed rows."""
        return _trained("packed", packing=True)

    def unpacked(self) -> str:
        """Train on padded rows."""
        return _trained("unpacked", packing=False, learning_rate=2e-3)

    def lora(self) -> str:
        """Train adapters, which are folded."""
        return _trained("lora", packing=True, lora=_LORA)

    def linear(self) -> str:
        """Merge the two specialists by their mean."""
        import torch

        _merged("linear")
        base, a, b, made = (_tensors(name) for name in ("base", "packed", "unpacked", "linear"))
        if made.keys() != base.keys():
            return f"holds other tensors than the base: {min(made.keys() ^ base.keys())}"
        expected = {name: 0.3 * a[name] + 0.7 * b[name] for name in made}
        for name, tensor in made.items():
            if not torch.allclose(tensor, expected[name], rtol=1e-5, atol=1e-6):
                return f"{name} is not the mean of the models"
        return _unlike(_loss("linear"), _loss("linear"))

    def ties(self) -> str:
        """Merge them by TIES."""
        _merged("ties", model_parameters={"density": 0.5})
        return _unlike(_loss("ties"), _loss("ties"))

    def statistics(self) -> str:
        """Compare the specialists' updates layer by layer."""
        from mixmerge.weights.statistics import layer_distances, update_agreement

        variants = {name: Path(name) for name in ("packed", "unpacked")}
        agreement = update_agreement(Path("base"), variants)["pairs"][0]["total"]["pearson"]
        moved = layer_distances(Path("base"), Path("packed"))["total"]["l2"]
        return "" if agreement and moved else f"moved by {moved}, agreement {agreement}"

    def generation(self) -> str:
        """Complete prompts with the base, and a merge where there is one."""
        from mixmerge.evaluate.generation import generate
        from mixmerge.evaluate.settings import GenerateSettings

        settings = {"decoding": {"engine": "transformers", "batch_size": 4}}
        settings["suites"] = {"own": {"max_new_tokens": 8}}
        for name in ("base", "ties"):
            if Path(name).exists():
                suites, out = {"own": Path("suite")}, Path(f"completions-{name}")
                chosen = GenerateSettings.model_validate(settings)
                generate(Path(name), suites, out, Path("scratch"), chosen)
        return ""


def _trained(name: str, **settings: Any) -> str:
    """Train a specialist; says where its loss is not that of the training."""
    from mixmerge.core.io import read_json
    from mixmerge.sft.job import Job
    from mixmerge.sft.stage import fine_tune

    job = {"base": "base", "data": "set", "out": name, "scratch": f"scratch-{name}", "seed": 1}
    fine_tune(Job.model_validate({**job, "settings": {**_SFT, **settings}}))
    return _unlike(read_json(Path(name, "training.json"))["validation"][-1]["loss"], _loss(name))


def _unlike(mine: float, own: float) -> str:
    return "" if abs(mine - own) < _SAME else f"validation loss {mine:.6f}, by itself {own:.6f}"


def _loss(name: str) -> float:
    """A checkpoint's validation loss by transformers alone: example by example, eager."""
    import torch
    from transformers import AutoModelForCausalLM

    from mixmerge.core.io import read_jsonl
    from mixmerge.sft.encoding import load_encoder

    encoder, total, count = load_encoder(Path("base")), 0.0, 0
    model = AutoModelForCausalLM.from_pretrained(name, attn_implementation="eager").eval()
    for row in read_jsonl(Path("set/validation.jsonl")):
        ids, labels = encoder.encode(row["messages"], "row")
        with torch.no_grad():
            scores = model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
        learnt = [place for place, label in enumerate(labels[1:]) if label != -100]
        total -= sum(scores[place, labels[place + 1]].item() for place in learnt)
        count += len(learnt)
    return total / count


def _merged(method: str, **more: Any) -> None:
    from mixmerge.merge.execution import merge
    from mixmerge.merge.recipe import render_recipe
    from mixmerge.merge.settings import RecipeSettings

    settings = {"method": method, "dtype": "float32", "base": "base", **more}
    settings["specialists"] = {"codegen": "packed", "codesum": "unpacked"}
    settings["weights"] = {"codegen": 0.3, "codesum": 0.7}
    recipe = Path(f"{method}.yaml")
    recipe.write_text(render_recipe(RecipeSettings.model_validate(settings)))
    merge(recipe, Path(method), seed=1, shard_bytes=60_000)


def _tensors(name: str) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {k: v for file in Path(name).glob("*.safetensors") for k, v in load_file(file).items()}
