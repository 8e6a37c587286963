"""One file out of a wheel: fetched by pip, once, under whatever name pip takes."""

import zipfile
from pathlib import Path

import pytest

from mixmerge.core.errors import UserError
from offline_sources.wheels import fetch_wheel, wheel_member


def wheel(folder: Path, files: dict[str, bytes]) -> Path:
    """A minimal wheel that pip accepts."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tiny_model-1.0-py3-none-any.whl"
    info = {
        "tiny_model-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-model\n"
        b"Version: 1.0\nRequires-Dist: no-such-package-anywhere\n",
        "tiny_model-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n",
        "tiny_model-1.0.dist-info/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**files, **info}.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip looks nowhere but into this directory."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    (tmp_path / "links").mkdir()
    return tmp_path / "links"


def test_a_wheel_is_fetched_once_without_what_it_requires(offline: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    source = wheel(offline, {"tiny_model/a.gguf": b"GGUF-a", "tiny_model/b.bin": b"b"})
    found = wheel_member("tiny-model", "1.0", "*.gguf", scratch)
    assert found.read_bytes() == b"GGUF-a"
    source.unlink()
    assert wheel_member("tiny-model", "1.0", "*.gguf", scratch) == found
    with pytest.raises(UserError, match=r"file: 0 files of tiny-model==1\.0 match '\*\.txt'"):
        wheel_member("tiny-model", "1.0", "*.txt", scratch)
    with pytest.raises(UserError, match=r"file: 2 files .* match 'tiny_model/\*'"):
        wheel_member("tiny-model", "1.0", "tiny_model/*", scratch)


def test_a_wheel_that_cannot_be_had_names_the_ways_out(offline: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere==9\.9 cannot be fetched .* under `path`"):
        fetch_wheel("nowhere", "9.9", tmp_path / "scratch")
    wheel(tmp_path / "scratch", {}).write_bytes(b"half a download")
    with pytest.raises(UserError, match=r"broken wheel .* deleted, run again"):
        wheel_member("tiny-model", "1.0", "*.gguf", tmp_path / "scratch")
    assert not list((tmp_path / "scratch").glob("*.whl"))
    # Names are checked before they are shown or matched.
    wheel(tmp_path / "scratch", {"tiny_model/\x1b[31m": b""})
    with pytest.raises(UserError, match=r"broken wheel .* deleted, run again"):
        wheel_member("tiny-model", "1.0", "*.gguf", tmp_path / "scratch")
    wheel(tmp_path / "scratch", {"tiny_model/": b"", "./tiny_model/a": b"GGUF-a"})
    found = wheel_member("tiny-model", "1.0", "tiny_model/*", tmp_path / "scratch")
    assert found.read_bytes() == b"GGUF-a"


@pytest.mark.parametrize(("name", "version"), [("tiny_model", "1"), ("Tiny.Model", "1.0.0")])
def test_a_package_may_be_named_as_pip_takes_it(
    offline: Path, tmp_path: Path, name: str, version: str
) -> None:
    """pip fetched it, and then it was not found under the name that the config gives."""
    wheel(offline, {"tiny_model/a.gguf": b"GGUF-a"})
    found = fetch_wheel(name, version, tmp_path / "scratch")
    assert found.name == "tiny_model-1.0-py3-none-any.whl"
    (offline / found.name).unlink()
    assert fetch_wheel(name, version, tmp_path / "scratch") == found
