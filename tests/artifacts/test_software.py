"""Which libraries count for a stage, and that their versions are part of its rule's `code`."""

import itertools
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from mixmerge.artifacts import fingerprint


def distribution(target: Path, name: str, version: str) -> None:
    """Installed metadata of a distribution, as pip leaves it."""
    folder = target / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory whose distributions are found before the environment's own."""
    monkeypatch.syspath_prepend(tmp_path)
    fingerprint._installed.cache_clear()
    yield tmp_path
    fingerprint._installed.cache_clear()


def script(folder: Path, *modules: str) -> Path:
    path = folder / "stage.py"
    path.write_text("".join(f"import {module}\n" for module in modules))
    return path


@pytest.mark.parametrize(
    ("modules", "names"),
    [
        (["transformers", "pydantic", "tqdm"], ["safetensors", "tokenizers", "transformers"]),
        (["yaml", "rouge_score"], ["nltk", "numpy", "pyyaml", "rouge-score"]),
        (["tree_sitter_java"], ["tree-sitter-java"]),
        (["json", "os.path", "collections.abc"], []),
    ],
)
def test_what_a_library_computes_with_counts_and_what_changes_no_result_does_not(
    tmp_path: Path, modules: list[str], names: list[str]
) -> None:
    assert list(fingerprint.software(script(tmp_path, *modules))) == names


def test_the_builds_own_part_of_a_version_does_not_count(elsewhere: Path) -> None:
    distribution(elsewhere, "torch", "9.1.2+cu128")
    assert fingerprint.software(script(elsewhere, "torch"))["torch"] == "9.1.2"


def test_an_optional_library_counts_once_it_is_there(elsewhere: Path) -> None:
    path = script(elsewhere, "vllm_of_nobody")
    assert fingerprint.software(path) == {}
    distribution(elsewhere, "vllm_of_nobody", "3.0")
    fingerprint._installed.cache_clear()
    assert fingerprint.software(path) == {"vllm-of-nobody": "3.0"}


def test_pinned_versions_stand_in_for_installed_ones(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("# made by make lock\nNumPy==1.0  # why\nrouge_score==2.0+x\n--hash=abc\n")
    pinned = fingerprint.read_lock(lock)
    path = script(tmp_path, "numpy", "rouge_score", "torch")
    assert fingerprint.software(path, pinned) == {"numpy": "1.0", "rouge-score": "2.0"}


@pytest.mark.parametrize(
    ("library", "changed", "kept"),
    [
        ("sacrebleu", "score.py", "generate.py"),
        ("trl", "sft.py", "merge.py"),
        ("mergekit", "merge.py", "sft.py"),
        ("accelerate", "sft.py", "score.py"),
    ],
)
def test_a_version_changes_the_code_of_its_stage_alone(
    root: Path, elsewhere: Path, library: str, changed: str, kept: str
) -> None:
    scripts = root / "workflow/scripts"
    before = {name: fingerprint.stage_code(scripts / name) for name in (changed, kept)}
    distribution(elsewhere, library, "99.0")
    fingerprint._installed.cache_clear()
    assert f" {library} 99.0" in fingerprint.stage_code(scripts / changed)
    assert fingerprint.stage_code(scripts / changed) != before[changed]
    assert fingerprint.stage_code(scripts / kept) == before[kept]


def test_every_import_of_every_stage_is_known_by_its_distributions_name(root: Path) -> None:
    """A module whose distribution has another name would be taken for one that is not there."""
    owners = packages_distributions()
    for script in sorted((root / "workflow/scripts").glob("*.py")):
        for module in fingerprint.third_party(script):
            names = {name.lower().replace("_", "-") for name in owners.get(module, [])}
            found = fingerprint.TABLE["distributions"].get(module, module.replace("_", "-"))
            assert not names or found in names, f"{script}: {module} is installed by {names}"


def test_what_libraries_compute_with_is_in_the_lock(root: Path) -> None:
    lock = fingerprint.read_lock(root / "envs/requirements.lock")
    computes_with = fingerprint.TABLE["computes_with"]
    named = {*computes_with, *itertools.chain(*computes_with.values())}
    assert named <= lock.keys()
