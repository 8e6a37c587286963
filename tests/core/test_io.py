import platform
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from mixmerge.artifacts.manifest import publish, read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_dir, atomic_open, read_json, read_jsonl, write_jsonl


def test_a_failed_write_leaves_the_old_file_and_no_scratch(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_open(path) as file:
        file.write("new")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_directory_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "d"
    with atomic_dir(path) as scratch:
        (scratch / "one").write_text("1")
    with pytest.raises(RuntimeError), atomic_dir(path) as scratch:
        (scratch / "two").write_text("2")
        raise RuntimeError
    assert [p.name for p in path.iterdir()] == ["one"]
    with atomic_dir(path) as scratch:
        (scratch / "three").write_text("3")
    assert [p.name for p in path.iterdir()] == ["three"]
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_what_a_killed_process_left_is_cleaned_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "d"
    program = (
        "import os, sys, pathlib\n"
        "from mixmerge.core.io import atomic_dir\n"
        "with atomic_dir(pathlib.Path(sys.argv[1])) as scratch:\n"
        "    (scratch / 'half').write_text('x')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert not path.exists()
    assert len(list(tmp_path.iterdir())) == 1
    with atomic_dir(path) as scratch:
        (scratch / "whole").write_text("x")
    assert [p.name for p in tmp_path.iterdir()] == ["d"]
    assert [p.name for p in path.iterdir()] == ["whole"]


def test_what_another_user_writes_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / f".a.{platform.node()}.4000000.tmp"
    scratch.write_text("half")
    monkeypatch.setattr("os.kill", Mock(side_effect=PermissionError))
    with atomic_open(tmp_path / "a"):
        pass
    assert scratch.exists()


def test_jsonl_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert write_jsonl(path, ({"n": n, "text": "ä\n"} for n in range(3))) == 3
    assert [row["n"] for row in read_jsonl(path)] == [0, 1, 2]
    path.write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(UserError, match=r"rows.jsonl:2: not valid JSON"):
        list(read_jsonl(path))
    path.write_text('{"a": 1}\n[1]\n')
    with pytest.raises(UserError, match=r"rows.jsonl:2: expected a JSON object, found list"):
        list(read_jsonl(path))
    path.write_text('{"a": ')
    with pytest.raises(UserError, match=r"rows.jsonl:1: not valid JSON"):
        read_json(path)


def test_manifest_is_a_function_of_the_content(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        folder, settings = tmp_path / name, {"name": name}
        with publish(folder, "rows", inputs=[], settings=settings, packages=["numpy"]) as made:
            (made.path / "deep").mkdir()
            for file in sorted(("deep/b", "a"), reverse=name == "one"):
                (made.path / file).write_text(file)
            made.facts["rows"] = 2
        texts.append((folder / "manifest.json").read_bytes())
    assert texts[0] == texts[1]
    assert read_manifest(folder, "rows")["facts"] == {"rows": 2}
