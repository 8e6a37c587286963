"""A bucket in the config: what is on it, and what is said where it fails."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.s3_server import BUCKET, Server
from fixtures.studies import shipped, study_of
from mixmerge.core.errors import UserError
from mixmerge.study.storage import ResultStore, check_bucket, listed_object


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


def test_without_a_bucket_nothing_is_elsewhere() -> None:
    store = ResultStore(study_of(shipped()))
    root = "results/demo"
    assert str(store.root) == root
    assert store.file("tables", "x.csv", keep=True) == f"{root}/tables/x.csv"
    for files in (store.directory, store.content):
        assert files("scores", "m", "v") == [f"{root}/scores/m/v/manifest.json"]
    assert store.summary("m", "v") == f"{root}/scores/m/v/manifest.json"
    assert store.provenance() == []


def settings(server: Server, **changed: Any) -> Any:
    from snakemake_storage_plugin_s3 import StorageProviderSettings

    given = {
        "endpoint_url": server.endpoint,
        "access_key": server.key,
        "secret_key": server.secret,
    }
    return StorageProviderSettings(**(given | changed))


def refusal(prefix: str, given: Any) -> str:
    with pytest.raises(UserError) as caught:
        check_bucket(prefix, given)
    message = str(caught.value)
    assert message.startswith(f"storage: {prefix}: ")
    assert "\n" not in message
    return message


def test_a_bucket_that_answers_is_fine(server: Server) -> None:
    check_bucket(f"s3://{BUCKET}/not/there/yet", settings(server))


def test_a_missing_bucket_is_named(server: Server) -> None:
    assert "there is no bucket 'gone'; make it" in refusal("s3://gone/x", settings(server))


@pytest.mark.parametrize("changed", [{"access_key": "AKIAWRONG"}, {"secret_key": "wrong"}])
def test_wrong_keys_are_named_but_not_shown(server: Server, changed: dict[str, str]) -> None:
    message = refusal(f"s3://{BUCKET}", settings(server, **changed))
    assert "the server refuses these keys" in message
    assert "SNAKEMAKE_STORAGE_S3_SECRET_KEY" in message
    for secret in (server.key, server.secret, *changed.values()):
        assert secret not in message


def test_no_keys_at_all(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    message = refusal(f"s3://{BUCKET}", settings(server, access_key=None, secret_key=None))
    assert "no keys for the bucket; export SNAKEMAKE_STORAGE_S3_ACCESS_KEY" in message


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "no url at all"])
def test_no_server_at_all(server: Server, endpoint: str) -> None:
    message = refusal(f"s3://{BUCKET}", settings(server, endpoint_url=endpoint))
    assert f"no answer from the server ({endpoint})" in message


def test_one_listing_tells_what_is_there_and_what_is_not(server: Server) -> None:
    """Snakemake's own cache, filled by our object: no request for any single file."""
    from snakemake.io import IOCache
    from snakemake_storage_plugin_s3 import StorageProvider

    for number in range(12):
        server.s3.put_object(Bucket=BUCKET, Key=f"here/{number}.json", Body=b"x" * number)
    server.s3.put_object(Bucket=BUCKET, Key="elsewhere/0.json", Body=b"")
    provider = StorageProvider(
        logger=None, local_prefix=Path("local"), settings=settings(server), retrieve=True
    )
    kind = listed_object("here/")
    found = kind(
        query=f"s3://{BUCKET}/here/7.json", keep_local=False, retrieve=True, provider=provider
    )
    cache = IOCache(max_wait_time=10)
    asyncio.run(found.inventory(cache))
    assert sum(cache.exists_in_storage.values()) == 12
    assert cache.size[f"local/{BUCKET}/here/11.json"] == 11
    assert cache.mtime[f"local/{BUCKET}/here/7.json"].storage() > 0
    assert f"local/{BUCKET}/elsewhere/0.json" not in cache.exists_in_storage
    assert found.get_inventory_parent() in cache.exists_in_storage.has_inventory
