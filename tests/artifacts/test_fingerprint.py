"""What counts of the code that a stage runs."""

import shutil
from collections.abc import Callable
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


@pytest.mark.parametrize("name", ["script.py", "src/mixmerge/deep.py", "src/mixmerge/__init__.py"])
def test_code_counts_however_deep_it_is_imported(tree: Path, name: str, fresh: Fresh) -> None:
    before = fresh(tree)
    path = tree / name
    path.write_text(path.read_text() + "\nz = 3\n")
    assert fresh(tree) != before


def test_a_program_that_a_module_starts_counts(tree: Path, fresh: Fresh) -> None:
    program = tree / "src/mixmerge/program.py"
    program.write_text("print(1)\n")
    deep = tree / "src/mixmerge/deep.py"
    deep.write_text("COMMAND = ['-m', 'mixmerge.program']\n\n\n" + deep.read_text())
    before = fresh(tree)
    program.write_text("print(2)\n")
    assert fresh(tree) != before


def test_a_library_of_the_repository_counts(tree: Path, fresh: Fresh) -> None:
    library = tree / "packages/box/src/box"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("size = 1\n")
    deep = tree / "src/mixmerge/deep.py"
    deep.write_text("import box\n\n\n" + deep.read_text())
    before = fresh(tree)
    assert module.software(tree / "script.py") == {}, "it is ours, not a distribution's"
    (library / "__init__.py").write_text("size = 2\n")
    assert fresh(tree) != before


def test_data_files_beside_a_module_count(tree: Path, fresh: Fresh) -> None:
    table = tree / "src/mixmerge/stage/table.tsv"
    table.write_text("a\t1\n")
    before = fresh(tree)
    table.write_text("a\t2\n")
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
        assert "mixmerge.config.study" not in module._modules(
            scripts[name], left_out=frozenset()
        ), name
        assert not module._modules(scripts[name]).keys() & machinery, name
    # All stages import the package itself: a table beside it would count for each of them.
    assert not module._tables(root / "src/mixmerge")
    # What renders chats counts; what confines it does not.
    modules = module._modules(scripts["sft.py"]).keys()
    assert "mixmerge.checkpoint.chat_process" in modules
    assert not modules & {"judgebox.landlock", "judgebox.seccomp"}
