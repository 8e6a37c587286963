"""Where generations, scores and tables stand, if not with everything else."""

from typing import Annotated

from pydantic import AfterValidator

#: Characters that Snakemake or S3 read as something else than themselves.
_UNSAFE = set('{}*?#%"\\ ')


def _bucket(prefix: str) -> str:
    scheme, separator, place = prefix.partition("://")
    if not separator or scheme != "s3":
        raise ValueError(f"{prefix!r} is no bucket; write s3://bucket or s3://bucket/path")
    parts = place.rstrip("/").split("/")
    if not all(parts) or {".", ".."} & set(parts) or _UNSAFE & set(prefix):
        raise ValueError(
            f"{prefix!r}: write s3://bucket or s3://bucket/path, the path of plain names"
        )
    return f"s3://{'/'.join(parts)}"


#: A bucket, or a path in one, without a slash at its end.
BucketPrefix = Annotated[str, AfterValidator(_bucket)]
