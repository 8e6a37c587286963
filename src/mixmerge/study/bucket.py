"""The S3 bucket behind Snakemake's storage plugin: is it there, and what is on it.

Imported only where a study names a bucket: boto3 takes its time to load.
"""

from collections.abc import Callable
from typing import Any

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from snakemake_interface_storage_plugins.io import Mtime
from snakemake_storage_plugin_s3 import StorageObject

from mixmerge.core.errors import UserError

#: Answers for which the keys are to blame.
_REFUSED = {"400", "401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}


def check_bucket(prefix: str, settings: Any) -> None:
    """Ask the bucket whether it is there and may be listed, before anything is computed for it.

    Args:
        prefix: ``s3://bucket/path``.
        settings: the S3 plugin's settings, from the command line or the environment; None where
            there are none.

    Raises:
        UserError: no server, no keys, keys that are refused, or no such bucket.
    """

    def given(name: str) -> Any:
        return getattr(settings, name, None)

    where = f"storage: {prefix}"
    bucket, _, path = prefix.removeprefix("s3://").partition("/")
    try:
        client = Session().client(
            "s3",
            endpoint_url=given("endpoint_url"),
            region_name=given("region"),
            aws_access_key_id=given("access_key"),
            aws_secret_access_key=given("secret_key"),
            aws_session_token=given("token"),
            config=Config(
                connect_timeout=10,
                read_timeout=20,
                retries={"max_attempts": 2, "mode": "standard"},
                signature_version=given("signature_version"),
            ),
        )
        client.list_objects_v2(Bucket=bucket, Prefix=path, MaxKeys=1)
    except NoCredentialsError:
        raise UserError(
            f"{where}: no keys for the bucket; export SNAKEMAKE_STORAGE_S3_ACCESS_KEY and "
            "SNAKEMAKE_STORAGE_S3_SECRET_KEY, or write them to ~/.aws/credentials"
        ) from None
    except ClientError as error:
        raise UserError(f"{where}: {_meaning(error, bucket)}") from None
    except (BotoCoreError, ValueError) as error:
        server = given("endpoint_url") or "AWS"
        raise UserError(
            f"{where}: no answer from the server ({server}): {error}; mend "
            "SNAKEMAKE_STORAGE_S3_ENDPOINT_URL, or leave storage out to work on the file system"
        ) from None


def _meaning(error: ClientError, bucket: str) -> str:
    """What a server's refusal means, and the way out."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in ("404", "NoSuchBucket"):
        return f"there is no bucket {bucket!r}; make it, or mend its name"
    if code in ("301", "PermanentRedirect"):
        return "the bucket lies in another region; name it with --storage-s3-region"
    if code in _REFUSED:
        return (
            f"the server refuses these keys, or refuses them this bucket ({code}); mend "
            "SNAKEMAKE_STORAGE_S3_ACCESS_KEY and SNAKEMAKE_STORAGE_S3_SECRET_KEY"
        )
    return f"the server says: {error}"


class Listed(StorageObject):  # type: ignore[misc]
    """An object of a bucket that is listed once, where the plugin asks three times an object.

    The plugin (0.3.6) lists the folder of the first object it is asked for and no other: what is
    not there costs three requests a file, thousands for a study.
    """

    folder: str

    async def inventory(self, cache: Any) -> None:
        """Fill Snakemake's cache with all objects below `folder`; any other is absent."""
        parent = self.get_inventory_parent()
        if parent in cache.exists_in_storage.has_inventory:
            return
        for found in self.s3bucket().objects.filter(Prefix=self.folder):
            key = self.cache_key(f"{self.bucket}/{found.key}")
            cache.exists_in_storage[key] = True
            cache.mtime[key] = Mtime(storage=found.last_modified.timestamp())
            cache.size[key] = found.size
        cache.exists_in_storage.has_inventory.add(parent)


def listing(storage: Callable[..., str], prefix: str) -> None:
    """Let Snakemake's provider of a bucket list what lies below ``prefix`` at once.

    Args:
        storage: Snakemake's ``storage.s3``.
        prefix: ``s3://bucket/path``; nothing else on that bucket may be asked for.
    """
    flagged: Any = storage(f"{prefix}/listing")
    given = flagged.flags["storage_object"]
    kind = type("Listed", (Listed,), {"folder": given.key.removesuffix("listing")})
    given.provider.get_storage_object_cls = lambda: kind
