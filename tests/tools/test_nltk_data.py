"""Fetching nltk's data: from this machine, from package registries, and when there is none."""

import shutil
import zipfile
from pathlib import Path

import nltk
import pytest

from fixtures.code_suites import nltk_data
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from offline_sources import nltk_packages
from offline_sources.nltk_data import Unavailable, fetch_nltk_data, run_command
from offline_sources.nltk_packages import FALLBACKS


def test_nothing_to_be_had_gets_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No data here, no network for nltk (a dead proxy), no apt-get."""
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "none")])
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(UserError) as caught:
        fetch_nltk_data(tmp_path / "out", FALLBACKS)
    message = str(caught.value)
    assert message.startswith("nltk data: wordnet is not to be had here")
    assert "this machine: corpora/wordnet is not in any of" in message
    assert "apt-get is not installed" in message
    assert "python -m nltk.downloader -d DIR wordnet" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_from_the_registries_and_then_from_this_machine(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME", raising=False)
    try:
        first = nltk_data(root, tmp_path)
    except UserError as error:
        pytest.skip(f"no registry to be reached, NOT TESTED: {error}")
    read_manifest(first, "nltk_data")
    assert "Princeton" in (first / "corpora/wordnet/LICENSE").read_text(encoding="utf-8")
    assert (first / "tokenizers/punkt_tab/README").exists()

    # Data present on the machine, zipped as nltk's own server gives it.
    present = tmp_path / "present"
    (present / "corpora").mkdir(parents=True)
    with zipfile.ZipFile(present / "corpora/wordnet.zip", "w") as archive:
        for path in sorted((first / "corpora/wordnet").iterdir()):
            archive.write(path, f"wordnet/{path.name}")
    shutil.copytree(first / "tokenizers", present / "tokenizers")
    monkeypatch.setattr(nltk.data, "path", [str(present)])
    fetch_nltk_data(tmp_path / "second", FALLBACKS)
    found = read_json(tmp_path / "second/provenance.json")["settings"]["found"]
    assert found == {"wordnet": "this machine", "punkt_tab": "this machine"}
    assert (tmp_path / "second/manifest.json").read_bytes() == (
        first / "manifest.json"
    ).read_bytes()

    # A broken copy is refused, not published.
    (present / "corpora/wordnet.zip").unlink()
    (present / "corpora/wordnet").mkdir()
    (present / "corpora/wordnet/lexnames").write_text("")
    with pytest.raises(UserError, match="what was found does not work"):
        fetch_nltk_data(tmp_path / "third", FALLBACKS)
    assert not (tmp_path / "third").exists()


def test_a_command_that_hangs_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="sleep gave no answer in 0 s"):
        run_command(["sleep", "5"], tmp_path, 0.1)


def test_lexnames_are_read_off_the_manual_page() -> None:
    page = "00\tadj.all\tall adjective clusters\n18\tnoun.person  \tnouns denoting people\n"
    assert nltk_packages._LEXNAME.findall(page) == [
        ("00", "adj.all", "adj"),
        ("18", "noun.person", "noun"),
    ]
