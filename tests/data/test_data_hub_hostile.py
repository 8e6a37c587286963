"""Data sets of the hub made to do harm: cards that point elsewhere, scripts, other formats."""

import io
import json
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from test_data_hub import ID, Fetching, source
from test_data_sources import Bomb

from fixtures.hub_server import Hub, serving

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as hub:
        yield hub


def table(text: str) -> bytes:
    data = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{"a": text}]), data)
    return data.getvalue()


def card(path: str) -> bytes:
    head = "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: "
    return f"{head}{json.dumps(path)}\n---\n".encode()


@pytest.mark.slow
def test_a_data_sets_card_points_nowhere_else(hub: Hub, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jsonl"
    secret.write_text('{"a": "of this machine"}\n')
    repository = hub.repository("datasets", ID)
    other = hub.repository("datasets", "someone/other").commit({"x.parquet": table("other")})
    commits = [
        repository.commit({"train.parquet": table("mine"), "README.md": card(path)})
        for path in (
            "train.parquet",
            str(secret),
            f"file://{secret}",
            "../../../../../../../../.." + str(secret),
            f"{hub.endpoint}/datasets/someone/other/resolve/{other}/x.parquet",
            f"hf://datasets/someone/other@{other}/x.parquet",
        )
    ]
    fetching = Fetching(tmp_path, hub)
    found = fetching.each(*(source(commit, subsets=["default"]) for commit in commits))
    assert found[0] == ("", [{"a": "mine"}])
    for said, rows in found[1:]:
        assert said.startswith("sources.code"), said
        assert rows == [{"a": "mine"}]  # what was there before
    for number in (1, 2, 4, 5):
        assert f"Data files don't belong to {ID}" in found[number][0]
    assert "of this machine" not in json.dumps(found)


@pytest.mark.slow
def test_scripts_and_formats_that_are_programs(hub: Hub, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    script = f"open({str(canary)!r}, 'w')\nimport datasets\n".encode()
    repository = hub.repository("datasets", ID)
    name = ID.split("/")[1]
    commits = [
        repository.commit(files)
        for files in (
            {f"{name}.py": script},
            {f"{name}.py": script, "train.jsonl": b'{"a": 1}\n'},
            {"train.pkl": pickle.dumps(Bomb(canary))},
            {"train.tar": b"no tar", "README.md": card("train.tar")},
            {"train.xml": b"<a/>", "README.md": card("train.xml")},
        )
    ]
    fetching = Fetching(tmp_path, hub)
    found = fetching.each(*(source(commit, subsets=["default"]) for commit in commits))
    assert not canary.exists()
    for number, (said, _) in enumerate(found):
        # A script beside data is not run, and the data are read without it, or all is refused.
        assert said.startswith("sources.code") or number == 1, found
    assert "only tables are (" in found[3][0] and "only tables are (" in found[4][0]


@pytest.mark.slow
def test_arrays_and_archives_of_pickles_are_told_of_as_such(hub: Hub, tmp_path: Path) -> None:
    """`datasets` falls back to another commit that it holds, which sounded like a lost network."""
    canary = tmp_path / "canary"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("train.pkl", pickle.dumps(Bomb(canary)))
    array = io.BytesIO()
    np.save(array, np.array([Bomb(canary)], dtype=object), allow_pickle=True)
    repository = hub.repository("datasets", ID)
    good = repository.commit({"train.parquet": table("mine")})
    bad = [
        repository.commit(files)
        for files in ({"train.zip": packed.getvalue()}, {"train.npy": array.getvalue()})
    ]
    commits = [bad[0], good, *bad]  # first without, then with a commit in the cache
    fetching = Fetching(tmp_path, hub)
    found = fetching.each(*(source(commit, subsets=["default"]) for commit in commits))
    assert not canary.exists()
    assert found[0][0].startswith("sources.code: ") and "cannot be read" in found[0][0]
    assert found[1] == ("", [{"a": "mine"}])
    for said, _ in found[2:]:
        assert "holds no files that are read as tables (arrow, csv, json, parquet, text)" in said
        assert "use a source of kind `local`" in said
    times = pa.table({"a": pa.array([10**13], pa.timestamp("s"))})
    data = io.BytesIO()
    pq.write_table(times, data)
    late = repository.commit({"train.parquet": data.getvalue()})
    ((said, _),) = fetching.each(source(late, subsets=["default"]))
    assert "cannot be read: date value out of range" in said
