"""The libraries a stage computes with, and their versions: inputs of its rule, as its code is.

A stage depends on the distributions that its first-party modules import, anywhere, and on the few
that those compute with. What cannot change a result is left out, so that an upgrade of it retrains
nothing.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

#: Modules that a distribution of another name installs.
_DISTRIBUTIONS = {"yaml": "pyyaml"}

#: Imported, but unable to change a result: checks of settings, progress bars, and what carries
#: bytes over the network that a pinned revision or a checksum fixes.
_BYSTANDERS = {"huggingface-hub", "httpx2", "pydantic", "tqdm"}

#: What a library computes with, where our code does not import that itself. One level, and only
#: what holds numerics or turns text into numbers: an upgrade of anything deeper re-runs nothing.
_COMPUTES_WITH = {
    "datasets": ("pyarrow",),  # storage of the tokenised rows
    "evalplus": ("numpy",),  # comparison of outputs within a tolerance
    "mergekit": ("safetensors", "torch", "transformers"),  # tensors; architectures
    "rouge-score": ("nltk", "numpy"),  # stemming; scores
    "scipy": ("numpy",),  # tests and intervals
    "statsmodels": ("numpy", "scipy"),  # likewise
    "transformers": ("safetensors", "tokenizers"),  # weights; token ids
    "trl": ("accelerate", "datasets", "transformers"),  # the training loop is transformers'
}


def libraries(modules: Iterable[str]) -> list[str]:
    """Distributions whose versions matter to code that imports some third-party modules.

    Args:
        modules: top-level names, such as ``torch`` or ``yaml``.

    Returns:
        Normalised names (lower case, hyphens), sorted; installed or not.
    """
    found: set[str] = set()
    for module in modules:
        name = _DISTRIBUTIONS.get(module, module.lower().replace("_", "-"))
        found |= {name, *_COMPUTES_WITH.get(name, ())}
    return sorted(found - _BYSTANDERS)


def versions(names: Iterable[str], pinned: Mapping[str, str] | None = None) -> dict[str, str]:
    """Public versions of distributions; without the build's own part, such as ``+cpu``.

    Args:
        names: as `libraries` returns them. One that is not there is left out: what is optional
            takes part once it is installed.
        pinned: versions to answer from, in place of the installed ones.
    """
    found = {}
    for name in names:
        known = pinned.get(name) if pinned is not None else _installed(name)
        if known is not None:
            found[name] = known.partition("+")[0]
    return found


def read_lock(path: Path) -> dict[str, str]:
    """Name -> version of a requirements file whose lines are ``name==version``."""
    pins = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, found, pin = line.partition("#")[0].partition("==")
        if found:
            pins[name.strip().lower().replace("_", "-")] = pin.strip()
    return pins


@cache
def _installed(name: str) -> str | None:
    """The version in this environment; a look-up takes about half a millisecond."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
