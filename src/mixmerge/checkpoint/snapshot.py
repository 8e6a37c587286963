"""Base checkpoints: a pinned snapshot of the hub, or a directory of this machine."""

import hashlib
import os
import shutil
from fnmatch import fnmatch
from pathlib import Path

from mixmerge.checkpoint.checks import check_finite
from mixmerge.checkpoint.index import INDEX, SINGLE, read_index
from mixmerge.checkpoint.seal import SIDE_FILES, copy_side_files, seal
from mixmerge.checkpoint.stream import weight_files
from mixmerge.config.models import HubModel, LocalModel
from mixmerge.errors import UserError
from mixmerge.files import read_json, replace_dir, write_json


def snapshot(settings: HubModel | LocalModel, out: Path) -> None:
    """Publish a base checkpoint at ``out``, checked, with its manifest.

    What was downloaded before an interruption is kept in a hidden directory beside ``out`` and is
    not fetched again.

    Args:
        settings: the model's section of the config.
        out: target directory; replaced as a whole when everything is there.

    Raises:
        UserError: the source cannot be had, or is not a whole checkpoint with a chat template.
    """
    if isinstance(settings, HubModel):
        source = {"kind": "hub", "id": settings.id, "revision": settings.revision}
    else:
        source = {"kind": "local", "path": settings.path.as_posix()}
    # Half a download is resumed only by the same source, so its name holds the source.
    key = hashlib.sha256(repr(sorted(source.items())).encode()).hexdigest()[:12]
    scratch = out.with_name(f".{out.name}.{key}.snapshot")
    scratch.mkdir(parents=True, exist_ok=True)
    if isinstance(settings, HubModel):
        download(settings, scratch)
    else:
        copy_checkpoint(settings.path, scratch)
    inputs = []
    if settings.chat_template is not None:
        install_chat_template(settings.chat_template, scratch)
        inputs.append(settings.chat_template)
    check_finite(scratch)
    seal(scratch, inputs=inputs, settings=source, seed=None, packages=["huggingface_hub"])
    replace_dir(scratch, out)


def download(model: HubModel, target: Path) -> None:
    """Fetch a pinned revision's safetensors weights, config and tokenizer into ``target``.

    Raises:
        UserError: unknown repository or revision, no access, or no connection.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where = f"https://huggingface.co/{model.id}"
    patterns = [*SIDE_FILES, SINGLE, INDEX, "model-*-of-*.safetensors"]
    if model.trust_remote_code:
        patterns.append("*.py")
    try:
        # Asked first, because without a connection snapshot_download takes what an earlier,
        # interrupted call left in the directory for the whole repository.
        listed = HfApi().model_info(model.id, revision=model.revision).siblings or []
        snapshot_download(
            model.id, revision=model.revision, local_dir=target, allow_patterns=patterns
        )
    except GatedRepoError:
        raise UserError(
            f"{where}: the repository is gated; accept its terms in the browser and log in with "
            "`hf auth login`, or download it by hand and configure the model as kind 'local'"
        ) from None
    except RevisionNotFoundError:
        raise UserError(
            f"{where}: has no revision {model.revision!r}; see {where}/commits for its commits"
        ) from None
    except (RepositoryNotFoundError, HFValidationError):
        raise UserError(
            f"{where}: no such repository, or a private one; check the model's `id`"
        ) from None
    except HfHubHTTPError as error:
        raise UserError(f"{where}: the hub refused ({_first_line(error)})") from None
    except Exception as error:
        # Everything else is the way there: proxies, TLS, name service, a full disk. Its classes
        # belong to the HTTP library of the day.
        raise UserError(
            f"{where}: could not be fetched ({type(error).__name__}: {_first_line(error)}); run "
            "this rule where the internet is (what was fetched so far is kept), or download the "
            "model by hand and configure it as kind 'local'"
        ) from None
    for file in listed:
        name = file.rfilename
        wanted = any(fnmatch(name, pattern) for pattern in patterns)
        if wanted and not (target / name).exists():
            raise UserError(f"{where}: {name} was not fetched; run this rule again")
    # The bookkeeping of the download holds times of day; it is no part of the checkpoint.
    shutil.rmtree(target / ".cache", ignore_errors=True)


def copy_checkpoint(source: Path, target: Path) -> None:
    """Copy a local checkpoint's known files into ``target``: hard links where possible.

    Raises:
        UserError: the directory holds no whole safetensors checkpoint.
    """
    index = read_index(source)
    for stale in target.iterdir():
        stale.unlink()
    for file in weight_files(index):
        _link_or_copy(file.resolve(), target / file.name)
    if (source / INDEX).exists():
        shutil.copyfile(source / INDEX, target / INDEX)
    copy_side_files(source, target)


def install_chat_template(template: Path, directory: Path) -> None:
    """Replace a checkpoint's chat template by a Jinja file.

    Raises:
        UserError: the file is missing or names no message.
    """
    try:
        text = template.read_text(encoding="utf-8")
    except OSError:
        raise UserError(f"{template}: file not found; it is a model's `chat_template`") from None
    if "messages" not in text:
        raise UserError(f"{template}: is no chat template: it never mentions `messages`")
    # One place only: what is left elsewhere would speak against the new one.
    (directory / "chat_template.json").unlink(missing_ok=True)
    config = directory / "tokenizer_config.json"
    if config.exists():
        content = read_json(config)
        if content.pop("chat_template", None) is not None:
            write_json(config, content)
    (directory / "chat_template.jinja").write_text(text, encoding="utf-8")


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
