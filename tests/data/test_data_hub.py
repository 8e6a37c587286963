"""Data sets from a hub, also hostile ones: the real client libraries against a server of ours."""

import io
import json
import os
import pickle
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fixtures.data import Bomb
from fixtures.hub_server import TOKEN, Hub, Repository, serving
from mixmerge.core.io import read_json

pytestmark = pytest.mark.slow

#: Fetches the source of each line that it reads: importing `datasets` takes seconds.
DRIVER = """
import json, sys
from pathlib import Path
from mixmerge.data.settings import Source
from mixmerge.data.sources import fetch
from mixmerge.core.errors import UserError
from mixmerge.core.section import validated
for line in sys.stdin:
    source, out = json.loads(line)
    try:
        fetch("code", validated(Source, source, "sources.code"), Path(out))
        message = ""
    except UserError as error:
        message = str(error)
    print("RESULT" + json.dumps(message), flush=True)
"""

Fetched = tuple[str, list[dict[str, Any]] | None]


class Fetching:
    """A process that fetches from a hub, with a cache of its own."""

    def __init__(self, hub: Hub, home: Path, **environment: str) -> None:
        self.home = home
        env = {**os.environ, **hub.environment(home), **environment}
        streams = {"stdin": PIPE, "stdout": PIPE, "stderr": DEVNULL}
        self.process = Popen([sys.executable, "-c", DRIVER], env=env, text=True, **streams)

    def fetch(self, out: Path, **source: Any) -> Fetched:
        """The message, and the rows that stand at ``out`` then."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([{"kind": "hub", **source}, str(out)]) + "\n")
        self.process.stdin.flush()
        line = next(line for line in self.process.stdout if line.startswith("RESULT"))
        path = out / "rows.jsonl"
        rows = [json.loads(row) for row in path.open()] if path.exists() else None
        return json.loads(line[6:]), rows

    def close(self) -> None:
        self.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serving() as hub:
        yield hub


@pytest.fixture(scope="module")
def online(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fetching]:
    fetching = Fetching(hub, tmp_path_factory.mktemp("hub") / "home")
    yield fetching
    fetching.close()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "sources" / "code"


def table(rows: list[dict[str, Any]] | pa.Table, **options: Any) -> bytes:
    data = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows) if isinstance(rows, list) else rows, data, **options)
    return data.getvalue()


def card(**configs: dict[str, str]) -> bytes:
    """A data set's card: configuration -> split -> path."""
    entries = [
        {"config_name": name, "data_files": [{"split": s, "path": p} for s, p in files.items()]}
        for name, files in configs.items()
    ]
    return f"---\n{json.dumps({'configs': entries})}\n---\n".encode()


def rows_of(language: str, split: str, count: int = 3) -> list[dict[str, Any]]:
    code = "int f() { return 1; }" if language == "java" else "def f():\n    return 1"
    text = f"{language} {split}."
    return [{"id": n, "language": language, "code": code, "docstring": text} for n in range(count)]


def languages() -> dict[str, bytes]:
    """Parquet files as google/code_x_glue_ct_code_to_text has them."""
    pairs = [(name, split) for name in ("java", "python") for split in ("train", "test")]
    files = {f"{n}/{s}-00000-of-00001.parquet": table(rows_of(n, s)) for n, s in pairs}
    paths = {name: {split: f"{name}/{split}-*" for _, split in pairs} for name, _ in pairs}
    return {**files, "README.md": card(**paths)}


def test_subsets_and_splits_in_order_and_again_without_a_network(
    hub: Hub, online: Fetching, out: Path
) -> None:
    name = "someone/code_to_text"
    commit = hub.repository("datasets", name).commit(languages())
    given = {"id": name, "revision": commit, "subsets": ["python", "java"]}
    both = [*rows_of("python", "train"), *rows_of("java", "train")]
    assert online.fetch(out, **given) == ("", both)
    test = online.fetch(out, **given | {"split": "test", "subsets": ["java"]})
    assert test == ("", rows_of("java", "test"))
    two = rows_of("python", "test", 2)
    assert online.fetch(out, **given, split="test", limit=2) == ("", two)
    message, rows = online.fetch(out, **given | {"subsets": ["python", "ruby"]})
    assert message.startswith(f"sources.code: {name}@{commit}, subset 'ruby', split 'train': can")
    assert "'java', 'python'" in message and rows == two
    message, rows = online.fetch(out, **given, split="dev")
    assert "split 'dev'" in message and "test" in message and rows == two
    assert message.endswith("; mend `subsets` or `split`")
    assert [*out.parent.glob("*")] == [out]
    assert read_json(out / "provenance.json")["settings"]["commit"] == commit

    offline = Fetching(hub, online.home, HF_HUB_OFFLINE="1")
    hub.requests.clear()
    assert offline.fetch(out, **given) == ("", both) and not hub.requests
    # The library would hand out the other commit's rows, with a warning among many.
    message, _ = offline.fetch(out, **given | {"revision": "0" * 40})
    assert f"{name}@{'0' * 40} is not in the cache" in message
    assert f"which holds commit {commit}" in message
    message, _ = offline.fetch(out, id="no-such-owner/no-such-set", revision=commit)
    assert message.startswith(f"sources.code: no-such-owner/no-such-set@{commit}, subset 'default'")
    assert "unset HF_HUB_OFFLINE" in message
    offline.close()


def test_splits_of_a_branch_that_moves_are_of_one_commit(
    hub: Hub, online: Fetching, out: Path
) -> None:
    name = "someone/moving"
    repository = hub.repository("datasets", name)
    first = repository.commit({"train.jsonl": b'{"a": 1}\n'})
    moving = {"id": name, "revision": "main", "allow_moving": True}
    assert online.fetch(out, **moving) == ("", [{"a": 1}])
    second = repository.commit({"train.jsonl": b'{"a": 2}\n'})
    before = (out / "provenance.json").read_bytes()
    message, _ = online.fetch(out, **moving)
    assert message.startswith(f"sources.code.revision: 'main' of {name} has moved")
    assert first in message and second in message
    assert (out / "provenance.json").read_bytes() == before
    # The test split of another commit than the training split's would be a mixture of two.
    beside = out.rename(out.with_name("train"))
    message, _ = online.fetch(out, **moving)
    assert f"it stood at commit {first} when {beside} was made" in message
    assert [*out.parent.glob("*")] == [beside]


def test_a_gated_set_wants_a_token_and_a_cut_connection_goes_on(
    hub: Hub, online: Fetching, out: Path, tmp_path: Path
) -> None:
    name = "someone/gated"
    repository = hub.repository("datasets", name)
    repository.gated = True
    # Noise does not compress: more than the client's library hands on at once.
    noise = [{"code": os.urandom(6 << 20).hex()} for _ in range(2)]
    file = "python/train-00000-of-00001.parquet"
    data = table(noise, compression="none", use_dictionary=False)
    given = {"id": name, "revision": repository.commit({file: data, "README.md": b"---\n---\n"})}
    message, _ = online.fetch(out, **given)
    assert message.startswith(f"sources.code: {name}@"), message
    assert "it is gated or private" in message and "`hf auth login`, or set HF_TOKEN" in message
    allowed = Fetching(hub, tmp_path / "home", HF_TOKEN=TOKEN)
    hub.cuts[file] = [0] * 7
    message, _ = allowed.fetch(out, **given)
    assert message.startswith(f"sources.code: {name}@{given['revision']}, subset 'default'")
    assert "peer closed" in message and "run this rule again (files" in message
    assert not [*out.parent.glob("*")]
    hub.cuts[file] = [12 << 20]
    assert allowed.fetch(out, **given) == ("", noise)
    assert hub.transfers(file)[-2:] == ["", f"bytes={10 << 20}-"]
    allowed.close()


def fetch_each(
    online: Fetching, out: Path, repository: Repository, name: str, commits: list[dict[str, bytes]]
) -> list[Fetched]:
    """Commit and fetch, one after another."""
    revisions = [repository.commit(files) for files in commits]
    return [online.fetch(out, id=name, revision=revision) for revision in revisions]


def test_a_data_sets_card_points_nowhere_else(
    hub: Hub, online: Fetching, out: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.jsonl"
    secret.write_text('{"a": "of this machine"}\n')
    name, mine = "someone/pointing", table([{"a": "mine"}])
    other = hub.repository("datasets", "someone/other").commit({"x.parquet": mine})
    paths = [
        "train.parquet",
        str(secret),
        f"file://{secret}",
        "../../../../../../../../.." + str(secret),
        f"{hub.endpoint}/datasets/someone/other/resolve/{other}/x.parquet",
        f"hf://datasets/someone/other@{other}/x.parquet",
    ]
    commits = [
        {"train.parquet": mine, "README.md": card(default={"train": path})} for path in paths
    ]
    results = fetch_each(online, out, hub.repository("datasets", name), name, commits)
    assert results[0] == ("", [{"a": "mine"}])
    for message, rows in results[1:]:
        assert message.startswith("sources.code"), message
        assert rows == [{"a": "mine"}]  # what was there before
    for number in (1, 2, 4, 5):
        assert f"Data files don't belong to {name}" in results[number][0]
    assert "of this machine" not in json.dumps(results)


def test_scripts_pickles_and_formats_that_are_programs(
    hub: Hub, online: Fetching, out: Path, tmp_path: Path
) -> None:
    canary, name = tmp_path / "canary", "someone/programs"
    script = f"open({str(canary)!r}, 'w')\nimport datasets\n".encode()
    packed, array = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("train.pkl", pickle.dumps(Bomb(canary)))
    np.save(array, np.array([Bomb(canary)], dtype=object), allow_pickle=True)
    late = pa.table({"a": pa.array([10**13], pa.timestamp("s"))})
    commits = [
        {"train.zip": packed.getvalue()},  # before there is a commit in the cache
        {"train.parquet": table([{"a": "mine"}])},
        {"train.zip": packed.getvalue(), "x": b""},
        {"train.npy": array.getvalue()},
        {"train.parquet": table(late)},
        {"programs.py": script},
        {"programs.py": script, "train.jsonl": b'{"a": 1}\n'},
        {"train.pkl": pickle.dumps(Bomb(canary))},
        {"train.tar": b"no tar", "README.md": card(default={"train": "train.tar"})},
        {"train.xml": b"<a/>", "README.md": card(default={"train": "train.xml"})},
    ]
    results = fetch_each(online, out, hub.repository("datasets", name), name, commits)
    messages = [message for message, _ in results]
    assert not canary.exists()
    assert messages[0].startswith("sources.code: ") and "cannot be read: " in messages[0]
    assert results[1] == ("", [{"a": "mine"}])
    # `datasets` falls back to another commit that it holds, which sounded like a lost network.
    for message in messages[2:4]:
        assert "holds no files that are read as tables (arrow, csv, json, parquet, text)" in message
        assert message.endswith("use a source of kind `local`")
    assert "cannot be read: date value out of range" in messages[4]
    for number in (5, 7, 8, 9):
        assert messages[number].startswith("sources.code"), results
    # A script beside data is not run, and the data are read without it, or all is refused.
    assert messages[6].startswith("sources.code") or results[6] == ("", [{"a": 1}])
    assert "only tables are (" in messages[8] and "only tables are (" in messages[9]
