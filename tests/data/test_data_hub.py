"""Data sets from a hub: the real client libraries against a server of ours."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.hub_server import TOKEN, Hub, serving
from hub_material import left_beside, message_of
from mixmerge.core.io import read_json

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROOT = Path(__file__).parents[2]
ID = "someone/code_to_text"
#: Fetches one source after another in one process: importing `datasets` takes seconds.
DRIVER = """
import json, sys
from pathlib import Path
from mixmerge.data.settings import Source
from mixmerge.data.sources import fetch
from mixmerge.core.errors import UserError
from mixmerge.core.section import validated
out = Path(sys.argv[1])
for given in json.loads(sys.argv[2]):
    try:
        fetch("code", validated(Source, given, "sources.code"), out)
        said = ""
    except UserError as error:
        said = str(error)
    rows = [json.loads(line) for line in (out / "rows.jsonl").open()] if out.exists() else None
    print("RESULT" + json.dumps([said, rows]), flush=True)
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as hub:
        yield hub


def row(language: str, split: str, number: int) -> dict[str, Any]:
    code = "int f() { return 1; }" if language == "java" else "def f():\n    return 1"
    said = f"{language} {split} {number}."
    return {"id": number, "language": language, "code": code, "docstring": said}


def repository(rows: int = 3) -> dict[str, bytes]:
    """Parquet files as google/code_x_glue_ct_code_to_text has them."""
    files, configs = {}, ""
    for language in ("java", "python"):
        configs += f"- config_name: {language}\n  data_files:\n"
        for split in ("train", "test"):
            data = io.BytesIO()
            table = [row(language, split, n) for n in range(rows)]
            pq.write_table(pa.Table.from_pylist(table), data)
            files[f"{language}/{split}-00000-of-00001.parquet"] = data.getvalue()
            configs += f"  - split: {split}\n    path: {language}/{split}-*\n"
    return {**files, "README.md": f"---\nconfigs:\n{configs}---\n".encode()}


def source(revision: str, **settings: Any) -> dict[str, Any]:
    return {
        "kind": "hub",
        "id": ID,
        "revision": revision,
        "subsets": ["python", "java"],
        **settings,
    }


class Fetching:
    """The driver, and the rule's script, with a cache and a target of their own."""

    def __init__(self, root: Path, hub: Hub, **environment: str) -> None:
        self.out = root / "sources" / "code"
        self.environment = {**os.environ, **hub.environment(root / "home"), **environment}

    def each(self, *given: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]] | None]]:
        """The message and the rows there after fetching each source."""
        command = [sys.executable, "-c", DRIVER, str(self.out), json.dumps(given)]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        results = [line[6:] for line in done.stdout.splitlines() if line.startswith("RESULT")]
        assert len(results) == len(given)
        return [tuple(json.loads(line)) for line in results]

    def script(self, given: dict[str, Any]) -> str:
        """Run the rule's script; returns its one message, or nothing if it ended well."""
        script = str(ROOT / "workflow/scripts/fetch.py")
        arguments = ["--source", "code", "--settings", json.dumps(given), "--out", str(self.out)]
        return message_of([sys.executable, "-P", script, *arguments], self.environment)

    def left(self) -> list[str]:
        """What stands where sources do."""
        return left_beside(self.out)


@pytest.mark.slow
def test_subsets_and_splits_in_order_and_again_without_a_network(hub: Hub, tmp_path: Path) -> None:
    commit = hub.repository("datasets", ID).commit(repository())
    fetching = Fetching(tmp_path, hub)
    both, test, few, subset, split = fetching.each(
        source(commit),
        source(commit, split="test", subsets=["java"]),
        source(commit, split="test", limit=2),
        source(commit, subsets=["python", "ruby"]),
        source(commit, split="dev"),
    )
    wanted = [row(language, "train", n) for language in ("python", "java") for n in range(3)]
    assert both == ("", wanted)
    assert test == ("", [row("java", "test", n) for n in range(3)])
    two = [row("python", "test", n) for n in range(2)]
    assert few == ("", two)
    pinned = f"{ID}@{commit}"
    assert subset[0].startswith(f"sources.code.subsets: 'ruby' is no subset of {pinned}")
    assert "'java', 'python'" in subset[0] and subset[1] == two
    assert split[0].startswith(f"sources.code.split: {pinned} has no split 'dev'")
    assert "test" in split[0] and split[1] == two
    assert fetching.left() == ["code"]
    assert read_json(fetching.out / "provenance.json")["settings"]["commit"] == commit
    offline = Fetching(tmp_path, hub, HF_HUB_OFFLINE="1")
    hub.requests.clear()
    never = {"kind": "hub", "id": "no-such-owner/no-such-set", "revision": commit}
    cached, unknown, absent = offline.each(source(commit), source("0" * 40), never)
    assert cached == ("", wanted) and not hub.requests
    # The library would hand out the other commit's rows, with a warning among many.
    assert f"{ID}@{'0' * 40} is not in the cache" in unknown[0]
    assert f"which holds commit {commit}" in unknown[0]
    assert absent[0].startswith(f"sources.code: no-such-owner/no-such-set@{commit} is not in the")
    assert "unset HF_HUB_OFFLINE" in absent[0]


def test_an_id_or_a_revision_that_does_not_exist_or_has_moved(hub: Hub, tmp_path: Path) -> None:
    fetching = Fetching(tmp_path, hub)
    said = fetching.script(source("0" * 40))
    page = f"{hub.endpoint}/datasets/{ID}"
    assert said.startswith(f"error: sources.code.id: '{ID}' is not on the hub ({page}), or is priv")
    repo = hub.repository("datasets", ID)
    first = repo.commit(repository())
    said = fetching.script(source("0" * 40))
    assert said.startswith(f"error: sources.code.revision: {page} has no revision '0000")
    said = fetching.script(source("main"))
    assert said.startswith("error: sources.code: hub: revision: 'main' is no commit")
    assert fetching.left() == []
    # As a job leaves it that read the branch before it moved.
    fetching.out.mkdir(parents=True)
    settings = source("main", allow_moving=True, commit=first)
    (fetching.out / "provenance.json").write_text(json.dumps({"settings": settings}))
    second = repo.commit(repository(4))
    said = fetching.script(source("main", allow_moving=True))
    assert said.startswith(f"error: sources.code.revision: 'main' of {ID} has moved")
    assert first in said and second in said
    assert not any("resolve" in path for _, path, _ in hub.requests)
    assert [path.name for path in fetching.out.iterdir()] == ["provenance.json"]
    # The test split of another commit than the training split's would be a mixture of two.
    beside = fetching.out.rename(fetching.out.with_name("train"))
    said = fetching.script(source("main", allow_moving=True))
    assert f"it stood at commit {first} when {beside} was made" in said
    assert fetching.left() == ["train"]


def test_no_network_is_one_message(hub: Hub, tmp_path: Path) -> None:
    said = Fetching(tmp_path, hub, HF_ENDPOINT="http://127.0.0.1:9").script(source("0" * 40))
    assert said.startswith("error: sources.code: http://127.0.0.1:9/datasets/someone/code_to_text")
    assert "could not be fetched (ConnectError" in said and "kind 'local'" in said
    assert Fetching(tmp_path, hub).left() == []


@pytest.mark.slow
def test_a_gated_set_wants_a_token_and_a_cut_connection_goes_on(hub: Hub, tmp_path: Path) -> None:
    repo = hub.repository("datasets", ID)
    repo.gated = True
    # Noise does not compress: more than the client's library hands on at once.
    table = pa.table({"code": [os.urandom(6 << 20).hex() for _ in range(2)]})
    data = io.BytesIO()
    pq.write_table(table, data, compression="none", use_dictionary=False)
    file = "python/train-00000-of-00001.parquet"
    commit = repo.commit({file: data.getvalue(), "README.md": b"---\n---\n"})
    given = source(commit, subsets=["default"])
    said = Fetching(tmp_path, hub).script(given)
    assert said.startswith(f"error: sources.code.id: {ID} is gated or private"), said
    assert "`hf auth login`, or set HF_TOKEN" in said
    fetching = Fetching(tmp_path, hub, HF_TOKEN=TOKEN)
    assert fetching.left() == []
    hub.cuts[file] = [0] * 7
    said = fetching.script(given)
    assert said.startswith(f"error: sources.code: {ID}@{commit} could not be fetched (peer closed")
    assert fetching.left() == []
    hub.cuts[file] = [12 << 20]
    assert fetching.script(given) == ""
    assert hub.transfers(file)[-2:] == ["", f"bytes={10 << 20}-"]
    codes = [json.loads(line)["code"] for line in (fetching.out / "rows.jsonl").open()]
    assert codes == table["code"].to_pylist()
