"""Where a study's results stand: below its root, or some of them on an S3 bucket.

What is on the bucket reaches jobs as local copies that Snakemake's storage plugin keeps. The bucket
knows objects: there every file of a directory is named, where here its manifest stands for all.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST, PROVENANCE
from mixmerge.core.errors import UserError, one_line
from mixmerge.study.plan import Study

#: Summary of a checkpoint's scores; `mixmerge.report.results` reads it.
_SCORES = "scores.json"


class ResultStore:
    """Paths of the results that a bucket can hold: completions, scores, tables.

    Where the config names one they are ``remote``, and jobs find local copies below ``root``.
    """

    def __init__(self, study: Study, on_bucket: Callable[..., str]) -> None:
        """Take the study's paths, or those of Snakemake's ``storage.s3``."""
        self._study, self._on_bucket = study, on_bucket
        self.remote = study.config.storage is not None
        self._prefix = f"{study.config.storage}/{study.config.study}"
        if self.remote:
            flagged: Any = on_bucket(f"{self._prefix}/listing")
            first = flagged.flags["storage_object"]
            listed = listed_object(first.key.removesuffix("listing"))
            first.provider.get_storage_object_cls = lambda: listed
        self.root = Path(self.file(MANIFEST)).parent

    def file(self, *parts: str, keep: bool = False) -> str:
        """A file to be named in a rule; with ``keep`` its local copy stays when the run is over."""
        if not self.remote:
            return self._study.path(*parts)
        return self._on_bucket("/".join([self._prefix, *parts]), keep_local=keep or None)

    def files(self, kind: str, model: str, variant: str, made: bool = False) -> list[str]:
        """The files of a checkpoint's ``completions`` or ``scores``, the manifest first.

        As outputs (``made``) with their provenance, which no rule depends on.
        """
        names = [MANIFEST]
        if self.remote:
            names += [_SCORES] if kind == "scores" else []
            names += [f"{suite}.jsonl" for suite in self._study.config.suites]
            names += [PROVENANCE] if made else []
        return [self.file(kind, model, variant, name) for name in names]

    def summary(self, model: str, variant: str) -> str:
        """What tables read of a checkpoint's scores."""
        return self.file("scores", model, variant, _SCORES if self.remote else MANIFEST)

    def provenance(self) -> list[str]:
        """How completions and scores came about, where it does not lie at hand: for costs."""
        return [
            self.file(kind, *pair, PROVENANCE)
            for kind in ("completions", "scores")
            for pair in (self._study.checkpoints() if self.remote else ())
        ]


def check_bucket(prefix: str, settings: Mapping[str, Any]) -> None:
    """Ask the bucket whether it is there and may be listed, before anything is computed for it.

    ``settings`` are Snakemake's ``workflow.storage_provider_settings``. Raises a UserError where
    there is no server, no such bucket, or no keys that are taken.
    """
    import boto3  # it takes its time to load
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from snakemake_storage_plugin_s3 import StorageProviderSettings

    s3 = settings.get("s3")
    options = (s3 and s3.get_settings(None)) or StorageProviderSettings()
    bucket, _, path = prefix.removeprefix("s3://").partition("/")
    patience = Config(
        connect_timeout=10,
        read_timeout=20,
        retries={"max_attempts": 2, "mode": "standard"},
        signature_version=options.signature_version,
    )
    try:
        client = boto3.client(
            "s3",
            endpoint_url=options.endpoint_url,
            region_name=options.region,
            aws_access_key_id=options.access_key,
            aws_secret_access_key=options.secret_key,
            aws_session_token=options.token,
            config=patience,
        )
        client.list_objects_v2(Bucket=bucket, Prefix=path, MaxKeys=1)
    except (BotoCoreError, ClientError, ValueError) as error:
        variable = "SNAKEMAKE_STORAGE_S3"
        raise UserError(
            f"storage: {prefix}: {options.endpoint_url or 'AWS'}: {one_line(error)}; mend the "
            f"bucket's name, its server ({variable}_ENDPOINT_URL), its region "
            f"(--storage-s3-region) or its keys ({variable}_ACCESS_KEY and _SECRET_KEY, or "
            "~/.aws/credentials), or leave storage out to work on the file system"
        ) from None


def listed_object(folder: str) -> type[Any]:
    """The class of objects of a bucket that are listed once.

    The plugin (0.3.6) asks thrice for each file that is not there, thousands of times for a study.
    """
    from snakemake_interface_storage_plugins.io import Mtime
    from snakemake_storage_plugin_s3 import StorageObject

    class Listed(StorageObject):  # type: ignore[misc]
        async def inventory(self, cache: Any) -> None:
            """Fill Snakemake's cache with all objects below the folder; any other is absent."""
            parent = self.get_inventory_parent()
            if parent in cache.exists_in_storage.has_inventory:
                return
            for item in self.s3bucket().objects.filter(Prefix=folder):
                key = self.cache_key(f"{self.bucket}/{item.key}")
                cache.exists_in_storage[key] = True
                cache.mtime[key] = Mtime(storage=item.last_modified.timestamp())
                cache.size[key] = item.size
            cache.exists_in_storage.has_inventory.add(parent)

    return Listed
