import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mixmerge.artifacts import fingerprint as module


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small first-party package and a script that uses a part of it."""
    package = tmp_path / "src" / "mixmerge"
    (package / "stage").mkdir(parents=True)
    (package / "__init__.py").write_text('"""Doc."""\n')
    (package / "stage" / "__init__.py").write_text("")
    (package / "stage" / "used.py").write_text(
        "def f(x):\n    from mixmerge import deep\n    return deep.g(x)\n"
    )
    (package / "deep.py").write_text("def g(x):\n    return x + 1\n")
    (package / "unused.py").write_text("y = 1\n")
    (tmp_path / "script.py").write_text("from mixmerge.stage.used import f\nprint(f(1))\n")
    monkeypatch.setattr(module, "ROOTS", [tmp_path / "src", tmp_path / "packages/box/src"])
    yield tmp_path
    forget()


def forget() -> None:
    """Files are read once a process."""
    for cached in (module._read, module._first_party, module._file, module._packages):
        cached.cache_clear()


def fresh(tree: Path) -> str:
    forget()
    return module.fingerprint(tree / "script.py")


def test_comments_docstrings_and_touch_do_not_count(tree: Path) -> None:
    before = fresh(tree)
    path = tree / "src/mixmerge/deep.py"
    path.write_text('"""Module."""\n\n\ndef g(x):\n    "doc"\n    # why\n    return (x + 1)\n')
    assert fresh(tree) == before
    path.touch()
    (tree / "src/mixmerge/unused.py").write_text("y = 2\n")
    assert fresh(tree) == before


@pytest.mark.parametrize("name", ["script.py", "src/mixmerge/deep.py", "src/mixmerge/__init__.py"])
def test_code_counts_however_deep_it_is_imported(tree: Path, name: str) -> None:
    before = fresh(tree)
    path = tree / name
    path.write_text(path.read_text() + "\nz = 3\n")
    assert fresh(tree) != before


def test_a_program_that_a_module_starts_counts(tree: Path) -> None:
    program = tree / "src/mixmerge/program.py"
    program.write_text("print(1)\n")
    deep = tree / "src/mixmerge/deep.py"
    deep.write_text("COMMAND = ['-m', 'mixmerge.program']\n\n\n" + deep.read_text())
    before = fresh(tree)
    program.write_text("print(2)\n")
    assert fresh(tree) != before


def test_a_library_of_the_repository_counts(tree: Path) -> None:
    library = tree / "packages/box/src/box"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("size = 1\n")
    deep = tree / "src/mixmerge/deep.py"
    deep.write_text("import box\n\n\n" + deep.read_text())
    before = fresh(tree)
    assert module.software(tree / "script.py") == {}, "it is ours, not a distribution's"
    (library / "__init__.py").write_text("size = 2\n")
    assert fresh(tree) != before


def test_data_files_beside_a_module_count(tree: Path) -> None:
    table = tree / "src/mixmerge/stage/table.tsv"
    table.write_text("a\t1\n")
    before = fresh(tree)
    table.write_text("a\t2\n")
    assert fresh(tree) != before


def test_moving_the_repository_changes_nothing(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fresh(tree)
    other = tmp_path / "elsewhere"
    shutil.copytree(tree / "src", other / "src")
    shutil.copy(tree / "script.py", other / "script.py")
    monkeypatch.setattr(module, "ROOTS", [other / "src"])
    assert fresh(other) == before


def test_stages_do_not_depend_on_the_whole_config(root: Path) -> None:
    """A stage that imported the study's root section would re-run for any config code."""
    for script in sorted((root / "workflow/scripts").glob("*.py")):
        if script.name in ("summary.py", "preflight.py", "verify.py"):  # no stages
            continue
        seen: set[str] = set()
        pending = set(module._first_party(script))
        while pending:
            name = pending.pop()
            if name not in seen:
                seen.add(name)
                file = module._file(name)
                pending |= set(module._first_party(file)) if file else set()
        assert "mixmerge.config.study" not in seen, script.name


def test_what_renders_chats_counts_and_what_confines_it_does_not(root: Path) -> None:
    modules = set(module._modules(root / "workflow/scripts/sft.py"))
    assert "mixmerge.checkpoint.chat_process" in modules
    assert not modules & {"mixmerge.checkpoint.jail", "judgebox.landlock", "judgebox.seccomp"}
