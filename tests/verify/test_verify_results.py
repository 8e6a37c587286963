"""What `snakemake verify` makes of broken manifests, records and lists; whole studies are slow."""

import copy
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.sound_study import CONFIG
from mixmerge.artifacts.integrity import read_sums, write_sums
from mixmerge.artifacts.manifest import MANIFEST, parse_manifest, publish
from mixmerge.config.load import parse_config
from mixmerge.core.errors import UserError
from mixmerge.core.io import write_jsonl
from mixmerge.study.plan import Study
from mixmerge.verify.verify import Verdict, rendered, verify

ROWS = Path("results/checked/data/sources/train")
TASK = Path("results/checked/data/tasks/codegen")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Rows and what was made from them, as their jobs publish them, and a folder of tables."""
    monkeypatch.chdir(tmp_path)
    found = Study(parse_config(copy.deepcopy(CONFIG), "study.yaml"))
    inputs: dict[Path, list[Path]] = {ROWS: [], TASK: [ROWS / MANIFEST]}
    for folder, made_from in inputs.items():
        with publish(folder, "rows", inputs=made_from, settings=None) as made:
            write_jsonl(made.path / "rows.jsonl", [{"id": n} for n in range(9)])
            made.facts["rows"] = 9
    tables = found.root / "tables"
    tables.mkdir()
    for name in ("a.csv", "b.md"):
        (tables / name).write_text(f"{name}\n")
    write_sums(tables.with_name(".tables.sha256"), [tables / "b.md", tables / "a.csv"])
    return found


def fault(study: Study) -> str:
    verdict = verify(study, "-n")
    assert len(verdict.faults) == 1, rendered(verdict, 0)
    return str(verdict.faults[0])


def sound(study: Study) -> Verdict:
    verdict = verify(study, "-n")
    assert not verdict.faults, rendered(verdict, 0)
    return verdict


def test_all_is_sound(study: Study) -> None:
    verdict = sound(study)
    assert not verdict.notes
    assert verdict.sound == {"fetch": 1, "prepare": 1, "tables": 2}
    assert verdict.absent["hold_out"] == 2 and "nltk_data" not in verdict.absent


def test_the_folder_of_results_is_compared_as_it_is_written(study: Study) -> None:
    config = copy.deepcopy(CONFIG) | {"results": "other/../results"}
    Path("other").mkdir()
    (ROWS / MANIFEST).unlink()
    (ROWS / "rows.jsonl").unlink()
    found = fault(Study(parse_config(config, "study.yaml")))
    assert "lost: other results were made from it" in found
    assert "`snakemake -n -- other/../results/checked/data/sources/train/manifest.json`" in found


def keep_times(file: Path, change: Callable[[], object]) -> None:
    before = file.stat()
    change()
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def recount(manifest: Path) -> None:
    manifest.write_text(manifest.read_text().replace('"rows": 9', '"rows": 8'))


def test_facts_of_a_manifest_have_a_witness(study: Study) -> None:
    """No record lies beside it; what was made from it remembers its digest."""
    manifest = ROWS / MANIFEST
    keep_times(manifest, lambda: recount(manifest))
    assert f"{manifest}: is not the manifest that results were made from" in fault(study)
    # A younger one may be a job's that ran again: said, and no fault.
    os.utime(manifest)
    [note] = sound(study).notes
    assert "is younger than the 1 results that were made from another one" in note


Files = dict[str, dict[str, object]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda files: files["rows.jsonl"].update(bytes="12"), "damaged: is no manifest"),
        (lambda files: files["rows.jsonl"].update(sha256=12), "damaged: is no manifest"),
        (lambda files: files["rows.jsonl"].pop("bytes"), "damaged: is no manifest"),
        (lambda files: files["rows.jsonl"].update(bytes=12), "/manifest.json lists 12; delete"),
        (lambda files: files.update({"x" * 300: files["rows.jsonl"]}), "missing, but"),
    ],
)
def test_entries_of_another_type(
    study: Study, change: Callable[[Files], object], words: str
) -> None:
    manifest = TASK / MANIFEST
    content = json.loads(manifest.read_text())
    change(content["files"])
    manifest.write_text(json.dumps(content))
    assert words in fault(study)


def test_names_that_no_file_of_ours_has(study: Study) -> None:
    manifest = TASK / MANIFEST
    whole = manifest.read_text()
    for name in ("", "a\0b", "./a", "a//b", "../a", "/a", "\ud800"):
        content = json.loads(whole)
        content["files"][name] = {"bytes": 1, "sha256": "0" * 64}
        manifest.write_text(json.dumps(content))
        with pytest.raises(UserError, match="names a file elsewhere"):
            parse_manifest(manifest)
        assert "damaged: names a file elsewhere" in fault(study)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_manifest_that_is_no_file(study: Study, make: Callable[[Path], None]) -> None:
    """A pipe would keep its reader waiting."""
    (TASK / MANIFEST).unlink()
    make(TASK / MANIFEST)
    assert f"{TASK / MANIFEST}: is no file (put there by hand)" in fault(study)


def test_symbolic_links(study: Study, tmp_path: Path) -> None:
    rows = TASK / "rows.jsonl"
    rows.rename(tmp_path / "elsewhere")
    rows.symlink_to(tmp_path / "elsewhere")
    found = fault(study)
    assert f"{rows}: is a symbolic link to {tmp_path / 'elsewhere'} (put there by hand)" in found
    # The cheap way out, to the letter.
    subprocess.run(found.split("`")[1].split(), check=True)
    sound(study)
    # A folder on another disk is as good as one here.
    TASK.rename(tmp_path / "moved")
    TASK.symlink_to(tmp_path / "moved")
    sound(study)


def test_what_is_put_there(study: Study) -> None:
    os.mkfifo(TASK / "pipe")
    (TASK / "link").symlink_to("nowhere")
    (TASK / ".nfs0000001").write_text("deleted while it was read")
    verdict = verify(study)
    assert [fault.partition(":")[0] for fault in verdict.faults] == [
        str(TASK / "link"),
        str(TASK / "pipe"),
    ]
    assert all("put there by hand" in fault for fault in verdict.faults)


def test_files_of_the_report(study: Study) -> None:
    table, other = study.root / "tables/a.csv", study.root / "tables/b.md"
    keep_times(table, lambda: table.write_text("A.csv\n"))
    found = fault(study)
    assert (
        f"{table}: rotted" in found and f"delete {table}, then `snakemake -n -- {table}`" in found
    )
    table.write_text("a.csv\n")
    sound(study)
    other.unlink()
    assert f"{other}: missing, but {study.root / '.tables.sha256'} lists it" in fault(study)
    other.symlink_to(table)
    assert f"{other}: is no file" in fault(study)


def test_lists_that_are_damaged(study: Study) -> None:
    sums = study.root / ".tables.sha256"
    assert list(read_sums(sums)) == [study.root / "tables/a.csv", study.root / "tables/b.md"]
    subprocess.run(["sha256sum", "--check", "--quiet", sums.name], cwd=sums.parent, check=True)
    for text in ("x\n", f"{'0' * 64}  /etc/passwd\n", f"{'0' * 64}  ../a\n"):
        sums.write_text(text)
        assert f"{sums}: damaged: line 1 is no SHA-256 and name" in fault(study)
    sums.write_bytes(b"\xff")
    assert f"{sums}: damaged: cannot be read" in fault(study)


def test_a_record_that_is_gone_is_said(study: Study) -> None:
    """It alone tells what the file held."""
    file = study.root / "uncertainty/tied.json"
    file.parent.mkdir()
    file.write_text("{}\n")
    [note] = sound(study).notes
    assert f"{file}: its job's record is gone" in note
    record = {"identity": "{}", "declared": ".", "text": 3, "files": {}, "seconds": 1}
    file.with_name(".tied.json.made").write_text(json.dumps(record))
    assert len(sound(study).notes) == 1
    file.with_name(".tied.json.made").write_text(json.dumps(record | {"text": "{ }\n"}))
    assert f"{file}: is not what its job wrote" in fault(study)
