"""A bucket in the config: what is on it, and what is said where it fails."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.s3_server import BUCKET, Server
from fixtures.studies import shipped, study_of
from mixmerge.core.errors import UserError
from mixmerge.study.storage import ResultStore, check_bucket, listed_object

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


def test_without_a_bucket_nothing_is_elsewhere() -> None:
    store = ResultStore(study_of(shipped()), str)
    root = "results/demo"
    assert str(store.root) == root
    assert store.file("tables", "x.csv", keep=True) == f"{root}/tables/x.csv"
    for made in (True, False):
        assert store.files("scores", "m", "v", made) == [f"{root}/scores/m/v/manifest.json"]
    assert store.summary("m", "v") == f"{root}/scores/m/v/manifest.json"
    assert store.provenance() == []


def settings(server: Server, **changed: Any) -> Any:
    """The plugin's settings."""
    from snakemake_storage_plugin_s3 import StorageProviderSettings

    names = ("endpoint_url", "access_key", "secret_key")
    given = dict(zip(names, (server.endpoint, server.key, server.secret), strict=True))
    return StorageProviderSettings(**(given | changed))


def check(prefix: str, given: Any) -> None:
    check_bucket(prefix, {"s3": SimpleNamespace(get_settings=lambda tag: given)})


def test_a_bucket_that_answers_is_fine(server: Server) -> None:
    check(f"s3://{BUCKET}/not/there/yet", settings(server))


@pytest.mark.parametrize(
    ("bucket", "changed", "message"),
    [
        ("gone/x", {}, "(NoSuchBucket)"),
        (BUCKET, {"access_key": "AKIAWRONG"}, "(InvalidAccessKeyId)"),
        (BUCKET, {"secret_key": "wrong"}, "(SignatureDoesNotMatch)"),
        (BUCKET, {"access_key": None, "secret_key": None}, "Unable to locate credentials"),
        (BUCKET, {"endpoint_url": "http://127.0.0.1:1"}, "http://127.0.0.1:1: Could not connect"),
        (BUCKET, {"endpoint_url": "no url"}, "no url: Invalid endpoint"),
    ],
)
def test_a_bucket_that_fails_is_named_and_its_keys_are_not_shown(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bucket: str,
    changed: dict[str, Any],
    message: str,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(UserError) as caught:
        check(f"s3://{bucket}", settings(server, **changed))
    text = str(caught.value)
    assert text.startswith(f"storage: s3://{bucket}: ") and message in text and "\n" not in text
    assert "(SNAKEMAKE_STORAGE_S3_ACCESS_KEY and _SECRET_KEY" in text
    for secret in (server.key, server.secret, "AKIAWRONG"):
        assert secret not in text


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
    found = listed_object("here/")(
        query=f"s3://{BUCKET}/here/7.json", keep_local=False, retrieve=True, provider=provider
    )
    cache = IOCache(max_wait_time=10)
    asyncio.run(found.inventory(cache))
    assert sum(cache.exists_in_storage.values()) == 12
    assert cache.size[f"local/{BUCKET}/here/11.json"] == 11
    assert cache.mtime[f"local/{BUCKET}/here/7.json"].storage() > 0
    assert f"local/{BUCKET}/elsewhere/0.json" not in cache.exists_in_storage
    assert found.get_inventory_parent() in cache.exists_in_storage.has_inventory
    found.s3bucket = None  # it is not listed again
    asyncio.run(found.inventory(cache))
