"""Repositories of the Hugging Face hub: pinned to a commit, downloaded so that nothing is lost.

The client library starts a file again from its first byte when a download was interrupted, which
with shards of gigabytes may mean that it never ends. Here what has arrived is kept beside the file
as ``NAME.part``, goes on by a range request in the next process, and is compared with the checksum
that the hub lists before it gets its name.

The library is imported late: it reads its variables only then, and takes a second.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from tqdm import tqdm

from mixmerge.artifacts.manifest import PROVENANCE
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, sha256
from mixmerge.core.section import is_commit


def resolve(
    kind: Literal["model", "dataset"], id: str, revision: str, where: str, out: Path
) -> Any:
    """Ask the hub which commit a revision is and what it holds: its ``ModelInfo``.

    Args:
        kind: what sort of repository.
        id: its name, ``owner/name``.
        revision: commit, tag or branch.
        where: the config's section, such as ``models.qwen``, for messages.
        out: where the job publishes; what stands there or beside it says which commit a tag or
            branch stood at before: all splits of a study are of one commit.
    """
    check_endpoint()
    from huggingface_hub import HfApi

    with _hub_errors(kind, id, revision, where):
        # Sizes and checksums cost the hub time; data sets are left to their own library.
        sizes = kind == "model"
        info = HfApi().repo_info(id, repo_type=kind, revision=revision, files_metadata=sizes)
    if is_commit(revision) and info.sha != revision:
        raise UserError(
            f"{where}.revision: the hub answers with commit {info.sha} of {id} where {revision} "
            "was asked for; mend HF_ENDPOINT, which names a faulty mirror"
        )
    for path in sorted(out.parent.glob(f"[!.]*/{PROVENANCE}")):
        made = read_json(path).get("settings")
        if not isinstance(made, dict) or (made.get("id"), made.get("revision")) != (id, revision):
            continue
        if (before := made.get("commit", info.sha)) != info.sha:
            raise UserError(
                f"{where}.revision: {revision!r} of {id} has moved: it stood at commit {before} "
                f"when {path.parent} was made, and stands at {info.sha} now. Write a commit as "
                "`revision`: the first keeps the study as it is, the second takes what is new"
            )
    return info


def check_endpoint() -> None:
    """Check that ``HF_ENDPOINT``, where it is set, is a URL; the library says so in a traceback."""
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        parts = urlsplit(endpoint)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise UserError(
            f"HF_ENDPOINT: {endpoint!r} is no URL of a hub; write https://host, or unset it"
        )


def matching(repository: Any, patterns: list[str]) -> list[Any]:
    """The files at a repository's top whose names match one of the patterns.

    A checkpoint needs none in folders, and a name with slashes could lead out of the target.
    """
    return [
        file
        for file in repository.siblings or ()
        if file.rfilename.isprintable() and "/" not in file.rfilename
        if any(fnmatch(file.rfilename, pattern) for pattern in patterns)
    ]


def download(repository: Any, patterns: list[str], target: Path, where: str) -> None:
    """Fetch a model's files into ``target``, going on where an earlier call stopped.

    Args:
        repository: what `resolve` gave.
        patterns: glob patterns over names; other files are not fetched, and deleted if there.
        target: a directory for this commit's files alone.
        where: the config's section, for messages.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers
    from huggingface_hub.utils.sha import git_hash

    id, commit, wanted = repository.id, repository.sha, matching(repository, patterns)
    sizes = {file.rfilename: file.size or 0 for file in wanted}
    for path in target.iterdir():
        if path.name.removesuffix(".part") not in sizes:
            path.unlink()
    with tqdm(total=sum(sizes.values()), unit="B", unit_scale=True, mininterval=1, desc=id) as bar:
        for file, (name, size) in zip(wanted, sizes.items(), strict=True):
            done, part = target / name, target / f"{name}.part"
            if done.exists() and done.stat().st_size == size:
                bar.update(size)
                continue
            if part.exists() and part.stat().st_size > size:
                part.unlink()
            with _hub_errors("model", id, commit, where), part.open("ab") as stream:
                bar.update(stream.tell())
                http_get(
                    hf_hub_url(id, name, revision=commit),
                    stream,
                    resume_size=stream.tell(),
                    headers=build_hf_headers(),
                    expected_size=size,
                    displayed_filename=name,
                    _tqdm_bar=bar,
                )
            listed = file.lfs.sha256 if file.lfs else file.blob_id
            if listed != (sha256(part) if file.lfs else git_hash(part.read_bytes())):
                part.unlink()
                raise UserError(
                    f"{where}: {name} of {id}@{commit} arrived damaged (its checksum is not "
                    f"{listed}) and was deleted; run this rule again"
                )
            part.rename(done)


@contextmanager
def _hub_errors(kind: str, id: str, revision: str, where: str) -> Iterator[None]:
    """Turn what the hub's client raises into one message with the way out."""
    from httpx2 import HTTPError
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{id}"
    try:
        yield
        return
    except errors.GatedRepoError:
        message = (
            f".id: {page} is gated; accept its terms in the browser and log in with `hf auth "
            "login` (or set HF_TOKEN), or download it by hand and use kind 'local'"
        )
    except errors.RevisionNotFoundError:
        message = f".revision: {page} has no revision {revision!r}; see {page}/commits/main"
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        message = (
            f".id: {id!r} is not on the hub ({page}), or is private; mend the name, or log in with "
            "`hf auth login` (or set HF_TOKEN)"
        )
    except errors.HfHubHTTPError as error:
        message = f": {page} was refused ({_first_line(error)})"
    except errors.OfflineModeIsEnabled:
        message = (
            f": {id}@{revision} is to be fetched, but HF_HUB_OFFLINE forbids it; unset it for this "
            "rule, or download the files by hand and use kind 'local'"
        )
    except (HTTPError, OSError) as error:
        message = (
            f": {page} could not be fetched ({type(error).__name__}: {_first_line(error)}); check "
            "the network and HF_ENDPOINT, and run this rule where the internet is (what was "
            "fetched so far is kept), or download the files by hand and use kind 'local'"
        )
    raise UserError(where + message)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
