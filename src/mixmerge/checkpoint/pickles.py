"""Weights that are pickles: told by their names and first bytes, refused, never opened.

To unpickle a file is to run whatever program it holds. Nothing here or below does that: not to look
inside, not to convert, not with a restricted unpickler.
"""

from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

#: Names of files that torch, JAX or scikit-learn write with pickle: weights, adapters, optimizers.
PATTERNS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.joblib", "*.dill")

#: How a pickle begins, and how the zip does in which torch keeps one since 2020.
_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def pickled(names: Iterable[str]) -> list[str]:
    """Those of some file names that stand for pickles, weights of whole models first."""
    found = [name for name in names if any(fnmatch(name.lower(), p) for p in PATTERNS)]
    return sorted(found, key=lambda name: (_rank(name), name))


def _rank(name: str) -> int:
    leaf = PurePosixPath(name).name.lower()
    starts = ("pytorch_model", "model", "consolidated", "adapter_model")
    return next((i for i, start in enumerate(starts) if leaf.startswith(start)), len(starts))


def looks_pickled(start: bytes) -> bool:
    """Whether a file that begins like this is a pickle or torch's zip of one, whatever its name."""
    return start.startswith(_STARTS)


def refusal(where: str, name: str) -> str:
    """The one message about a checkpoint that only pickles hold.

    Args:
        where: the directory, or the config's field and the repository.
        name: the first of the files.
    """
    way = (
        "choose a revision with safetensors, or convert it once where it can do no harm (a "
        "container without network and without your files): "
        "python -c \"from transformers import AutoModelForCausalLM as M; M.from_pretrained('IN', "
        "use_safetensors=False).save_pretrained('OUT')\", copy the tokenizer's files and "
        "generation_config.json to OUT, and use kind 'local' with path OUT"
    )
    leaf = PurePosixPath(name).name
    if leaf.startswith("adapter_model"):
        way = "merge the adapter into its base model, save that with save_pretrained, and name it"
    elif leaf.startswith("consolidated"):
        way = (
            "take the repository that its authors publish for transformers, or convert it with the "
            "model family's own script where it can do no harm, and name the safetensors' directory"
        )
    elif Path(leaf).stem in ("optimizer", "scheduler", "rng_state", "training_args"):
        way = "it is what a training left behind, and no model; name the model's own directory"
    return (
        f"{where} holds no safetensors weights, only pickles ({name}), and a pickle may run any "
        f"code when it is read, so it is never opened here; {way}"
    )
