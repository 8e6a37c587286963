"""What counts of the code that a stage runs, and of the libraries that it computes with."""

import itertools
import shutil
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from mixmerge.artifacts import fingerprint as module

Forget = Callable[[], None]
Fresh = Callable[[Path], str]


@pytest.fixture
def fresh(forget: Forget) -> Fresh:
    """The fingerprint of a tree's script as its files are now."""

    def computed(tree: Path) -> str:
        forget()
        return module.fingerprint(tree / "script.py")

    return computed


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget: Forget) -> Path:
    """A small first-party package and a script that uses a part of it."""
    package = tmp_path / "src" / "mixmerge"
    (package / "stage").mkdir(parents=True)
    for path, text in {
        "__init__.py": '"""Doc."""\n',
        "stage/__init__.py": "",
        "stage/used.py": "def f(x):\n    from mixmerge import deep\n    return deep.g(x)\n",
        "deep.py": "def g(x):\n    return x + 1\n",
        "unused.py": "y = 1\n",
        "../../script.py": "from mixmerge.stage.used import f\nprint(f(1))\n",
    }.items():
        (package / path).write_text(text)
    monkeypatch.setattr(module, "ROOTS", [tmp_path / "src", tmp_path / "packages/box/src"])
    return tmp_path


def test_comments_docstrings_and_touch_do_not_count(tree: Path, fresh: Fresh) -> None:
    before = fresh(tree)
    path = tree / "src/mixmerge/deep.py"
    path.write_text('"""Module."""\n\n\ndef g(x):\n    "doc"\n    # why\n    return (x + 1)\n')
    assert fresh(tree) == before
    path.touch()
    (tree / "src/mixmerge/unused.py").write_text("y = 2\n")
    assert fresh(tree) == before


@pytest.mark.parametrize(
    ("file", "reached_by"),
    [
        ("script.py", ""),
        ("src/mixmerge/deep.py", ""),
        ("src/mixmerge/__init__.py", ""),
        ("src/mixmerge/program.py", "COMMAND = ['-m', 'mixmerge.program']\n"),
        ("packages/box/src/box/__init__.py", "import box\n"),
        ("src/mixmerge/stage/table.tsv", ""),
    ],
)
def test_what_a_stage_reaches_counts(tree: Path, fresh: Fresh, file: str, reached_by: str) -> None:
    """Modules however deep, programs, libraries of the repository, data files beside modules."""
    path, deep = tree / file, tree / "src/mixmerge/deep.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    deep.write_text(reached_by + deep.read_text())
    before = fresh(tree)
    assert module.software(tree / "script.py") == {}, "all of it is ours"
    path.write_text(path.read_text() + "\nz = 3\n")
    assert fresh(tree) != before


def test_moving_the_repository_changes_nothing(
    tree: Path, fresh: Fresh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fresh(tree)
    other = tmp_path / "elsewhere"
    shutil.copytree(tree / "src", other / "src")
    shutil.copy(tree / "script.py", other / "script.py")
    monkeypatch.setattr(module, "ROOTS", [other / "src"])
    assert fresh(other) == before


def test_what_counts_of_the_stages(root: Path) -> None:
    """A stage that imported the study's root section would re-run for any config code."""
    machinery = {f"mixmerge.artifacts.{name}" for name in ("record", "integrity", "fingerprint")}
    machinery |= {"mixmerge.core.parent_watchdog", "mixmerge.core.redaction"}
    machinery |= {"mixmerge.checkpoint.jail"}
    scripts = {path.name: path for path in (root / "workflow/scripts").glob("*.py")}
    for name in scripts.keys() - {"summary.py", "preflight.py", "verify.py"}:  # no stages
        assert "mixmerge.config.study" not in module._modules(scripts[name], frozenset()), name
        assert not module._modules(scripts[name], module._MACHINERY).keys() & machinery, name
    # All stages import the package itself: a table beside it would count for each of them. One
    # beside the suites' settings would count for completions, too.
    assert not module._tables(root / "src/mixmerge")
    assert not module._tables(root / "src/mixmerge/evaluate")
    # What renders chats counts; what confines it does not.
    modules = module._modules(scripts["sft.py"], module._MACHINERY).keys()
    assert "mixmerge.checkpoint.chat_process" in modules
    assert not modules & {"judgebox.landlock", "judgebox.seccomp"}


def distribution(target: Path, name: str, version: str) -> None:
    """Installed metadata of a distribution, as pip leaves it."""
    folder = target / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget: Forget) -> Path:
    """A directory whose distributions are found before the environment's own."""
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    return tmp_path


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
    assert list(module.software(script(tmp_path, *modules))) == names


def test_an_optional_library_counts_once_it_is_there_and_not_its_builds_own_part(
    elsewhere: Path,
) -> None:
    path = script(elsewhere, "vllm_of_nobody")
    assert module.software(path) == {}
    distribution(elsewhere, "vllm_of_nobody", "3.0+cu128")
    module._installed.cache_clear()
    assert module.software(path) == {"vllm-of-nobody": "3.0"}


def test_pinned_versions_stand_in_for_installed_ones(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("# made by make lock\nNumPy==1.0  # why\nrouge_score==2.0+x\n--hash=abc\n")
    pinned = module.read_lock(lock)
    path = script(tmp_path, "numpy", "rouge_score", "torch")
    assert module.software(path, pinned) == {"numpy": "1.0", "rouge-score": "2.0"}


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
    before = {name: module.stage_code(scripts / name) for name in (changed, kept)}
    distribution(elsewhere, library, "99.0")
    module._installed.cache_clear()
    assert f" {library} 99.0" in module.stage_code(scripts / changed)
    assert module.stage_code(scripts / changed) != before[changed]
    assert module.stage_code(scripts / kept) == before[kept]


def test_every_import_of_every_stage_is_known_by_its_distributions_name(root: Path) -> None:
    """A module whose distribution has another name would be taken for one that is not there."""
    owners = packages_distributions()
    for script in sorted((root / "workflow/scripts").glob("*.py")):
        for name in module.third_party(script):
            installers = {owner.lower().replace("_", "-") for owner in owners.get(name, [])}
            known = module.TABLE["distributions"].get(name, name.replace("_", "-"))
            assert not installers or known in installers, f"{script}: {name}: {installers}"


def test_what_libraries_compute_with_is_in_the_lock(root: Path) -> None:
    lock = module.read_lock(root / "envs/requirements.lock")
    computes_with = module.TABLE["computes_with"]
    named = {*computes_with, *itertools.chain(*computes_with.values())}
    assert named <= lock.keys()
