"""EvalPlus's released files: where they are, and which release a file really is.

A file's name says little: tag v0.1.10 of the release repository holds the data of v0.1.9, and
`get_human_eval_plus(version=...)` of EvalPlus 0.3.1 ignores the version. So a file is known by the
MD5 of its content, which is also what EvalPlus prints as a result's ``hash``.
"""

import gzip
import hashlib
import io
import os
import urllib.request
import zlib
from pathlib import Path

from mixmerge.core.archives import Bounds, gunzip
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_open

#: A suite's name in the config -> the name of EvalPlus's file.
FILES = {"humaneval": "HumanEvalPlus", "mbpp": "MbppPlus"}

#: What a release may unpack to; the largest known has 12 MB.
_BOUNDS = Bounds(bytes=1 << 30)

#: MD5 of a released file's content (not of its gzip wrapper) -> suite and version.
KNOWN = {
    "fe585eb4df8c88d844eeb463ea4d0302": ("humaneval", "v0.1.10"),
    "ebe95df0d5220f00cedd6f4bddea35e4": ("mbpp", "v0.1.0"),
    "ee43ecabebf20deef4bb776a405ac5b1": ("mbpp", "v0.2.0"),
}


def released_path(suite: str, version: str | None) -> Path:
    """A released file: the override path of EvalPlus's own variable, its cache, or a download.

    Args:
        suite: ``humaneval`` or ``mbpp``.
        version: such as ``v0.1.10``; None for EvalPlus's default.

    Raises:
        UserError: no such file, or it can't be downloaded.
    """
    variable = _variable(suite)
    override = os.environ.get(variable)
    if override:
        path = Path(override)
        if not path.is_file():
            raise UserError(f"{variable}: {path}: file not found; mend or unset the variable")
        return path
    from evalplus.data.humaneval import HUMANEVAL_PLUS_VERSION
    from evalplus.data.mbpp import MBPP_PLUS_VERSION
    from evalplus.data.utils import get_dataset_metadata

    default = HUMANEVAL_PLUS_VERSION if suite == "humaneval" else MBPP_PLUS_VERSION
    url, cached = get_dataset_metadata(FILES[suite], version or default, False)
    path = Path(cached)
    if not path.exists():
        _download(url, path, variable)
    return path


def check_release(path: Path, md5: str, suite: str | None, version: str | None) -> str | None:
    """Hold a file's content against the release that the config asks for.

    Args:
        path: the file, for messages.
        md5: of its content.
        suite: ``humaneval`` or ``mbpp``; None for a file of one's own.
        version: the release wanted; None for whatever the file is.

    Returns:
        The release that the file is, such as ``HumanEvalPlus v0.1.10``; None where it is none
        that is known here.

    Raises:
        UserError: the file is another release or suite, or its release was edited.
    """
    found = KNOWN.get(md5)
    release = f"{FILES[found[0]]} {found[1]}" if found else None
    if found and suite and found[0] != suite:
        raise UserError(f"{path}: is {release}, not the suite {suite!r}; {_way_out(suite, path)}")
    if version is None or (found and found[1] == version):
        return release
    if found:
        raise UserError(
            f"{path}: is {release}, not version {version!r}; {_way_out(found[0], path)}, "
            f"or set the suite's `version` to {found[1]}"
        )
    known = {version: md5 for md5, (of, version) in KNOWN.items() if of == suite}
    if suite is None:
        raise UserError(
            f"{path}: version {version!r} cannot be checked, for the file is no release of "
            f"EvalPlus known here (MD5 {md5}); leave `version` out for a file of your own"
        )
    if version in known:
        raise UserError(
            f"{path}: is not {FILES[suite]} {version}: the MD5 of its content is {md5}, the "
            f"release's {known[version]}; {_way_out(suite, path)}, or leave `version` out to use "
            "this file as it is"
        )
    raise UserError(
        f"{path}: version {version!r} of {FILES[suite]} is not known here, so that the file (MD5 "
        f"{md5}) cannot be checked; take {' or '.join(sorted(known))}, or leave `version` out to "
        "use this file as it is"
    )


def md5_of(path: Path) -> str:
    """MD5 of a file's content, unpacked where its name ends in ``.gz``.

    Raises:
        UserError: not a whole gzip file, or unreadable.
    """
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({error}); fetch it again") from None
    return digest.hexdigest()


def _variable(suite: str) -> str:
    return f"{suite.upper()}_OVERRIDE_PATH"


def _way_out(suite: str, path: Path) -> str:
    variable = _variable(suite)
    if os.environ.get(variable):
        return f"let {variable} name the right file, or unset it"
    return f"delete {path} to have it downloaded again, or set {variable} to the right file"


def _download(url: str, path: Path, variable: str) -> None:
    """Fetch and unpack a release, atomically (EvalPlus's own download leaves halves behind)."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            packed = answer.read(_BOUNDS.bytes)
        data = gunzip(io.BytesIO(packed), url, len(packed), _BOUNDS)
    except OSError as error:
        raise UserError(
            f"{url}: cannot be downloaded ({error}); check the network and the suite's `version`, "
            f"or download it elsewhere and set {variable} to the .jsonl(.gz) file"
        ) from None
    with atomic_open(path, "wb") as file:
        file.write(data)
