"""Repositories of the Hugging Face hub: pinned to a commit, downloaded so that nothing is lost.

The client library throws away what an interrupted download brought. Here it is kept as
``NAME.part``, goes on by a range request, and is compared with the hub's checksum.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from tqdm import tqdm

from mixmerge.artifacts.manifest import PROVENANCE
from mixmerge.core.errors import UserError, one_line
from mixmerge.core.io import read_json, sha256
from mixmerge.core.section import is_commit


def resolve(
    kind: Literal["model", "dataset"], id: str, revision: str, where: str, out: Path
) -> Any:
    """Ask the hub which commit a revision is and what it holds: its ``ModelInfo``.

    ``where`` is the config's section, for messages. What stands at ``out``, where the job
    publishes, or beside it says where a tag stood before: all splits of a study are of one commit.
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
            "was asked for; HF_ENDPOINT names a faulty mirror"
        )
    for path in sorted(out.parent.glob(f"[!.]*/{PROVENANCE}")):
        made = read_json(path).get("settings")
        made = made if isinstance(made, dict) else {}
        is_same = (made.get("id"), made.get("revision")) == (id, revision)
        if is_same and made.get("commit", info.sha) != info.sha:
            raise UserError(
                f"{where}.revision: {revision!r} of {id} has moved: it stood at commit "
                f"{made['commit']} when {path.parent} was made, and stands at {info.sha} now; "
                "write one of the two as `revision`: the first keeps the study as it is"
            )
    return info


def check_endpoint() -> None:
    """Check that ``HF_ENDPOINT``, where it is set, is a URL; the library says so in a traceback."""
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    with suppress(ValueError):
        parts = urlsplit(endpoint)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return
    problem = f"{endpoint!r} is no URL of a hub; write https://host, or unset it"
    raise UserError(f"HF_ENDPOINT: {problem}")


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

    ``repository`` is what `resolve` gave; ``target`` is for this commit's files alone, and others
    than match the glob ``patterns`` are deleted there.
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
    login = "log in with `hf auth login` (or set HF_TOKEN)"
    by_hand = "download the files by hand and use kind 'local'"
    try:
        yield
        return
    except errors.GatedRepoError:
        message = f".id: {page} is gated; accept its terms in the browser and {login}, or {by_hand}"
    except errors.RevisionNotFoundError:
        message = f".revision: {page} has no revision {revision!r}; see {page}/commits/main"
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        message = (
            f".id: {id!r} is not on the hub ({page}), or is private; mend the name, or {login}"
        )
    except errors.HfHubHTTPError as error:
        message = f": {page} was refused ({one_line(error, 300)})"
    except errors.OfflineModeIsEnabled:
        message = f": HF_HUB_OFFLINE forbids it to fetch {id}@{revision}; unset it, or {by_hand}"
    except (HTTPError, OSError) as error:
        message = (
            f": {page} could not be fetched ({type(error).__name__}: {one_line(error, 300)}); "
            "check the network and HF_ENDPOINT, and run this rule where the internet is (what was "
            f"fetched so far is kept), or {by_hand}"
        )
    raise UserError(where + message)
