"""Tokens, passwords and keys stay out of everything that is written.

They come by the environment and by URLs that libraries quote. Messages, what a job prints and
provenance pass through `redacted`; a config with one is refused, as Snakemake copies settings.
"""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, TextIO
from urllib.parse import quote, unquote

_HIDDEN = "***"
#: Shorter values are words, such as `true`, that stand everywhere.
_SHORTEST = 6

_IN_URL = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]{0,30}://)([^\s/?#'\"<>]+)(?=@)")
_IN_QUERY = re.compile(
    r"(?i)([?&;][\w.-]*(?:token|signature|secret|passw(?:or)?d|credential|api[_-]?key"
    r"|access[_-]?key|\bsig)=)[^&\s'\"<>]+"
)
#: As a mapping, a list of pairs or a line of HTTP, of text or of bytes.
_IN_HEADER = re.compile(
    r"(?i)(authorization(?:['\"]\s*,|['\"]?\s*[:=])\s*(?:b(?=['\"]))?['\"]?)(\w+\s+)?[^\s'\",}]+"
)
#: What the tokens of Hugging Face, GitHub, GitLab, Slack, AWS, Google, package indexes and model
#: vendors look like, and signed ones of any service. Tight, as a config that holds one is refused:
#: `sk-` is Slovak too, and `hf_` begins many a name.
_TOKENS = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{22,}|glpat-[\w-]{16,}"
    r"|xox[abeoprs]-\d[\w-]{12,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{35}|npm_[A-Za-z0-9]{36}"
    r"|pypi-[\w-]{50,}|sk-[A-Za-z0-9]{32,}|sk-(?:proj|svcacct|admin|ant|or)-[\w-]{32,}"
    r"|(?:hf_(?:oauth|jwt)_)?eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?)"
)
#: Names of variables that hold a secret, such as PGPASSWORD, but for those that name its place or
#: say something about it.
_NAMED = re.compile(
    r"(?!.*\b(?:PATH|FILE|DIR|HOME|SOCK|SOCKET|HELPER|TYPE|EXPIRATION|EXPIRY|TTL|LENGTH|LIMIT)\b)"
    r"(?:.*\b(?:PASS|PWD|PAT|PASSPHRASE|CREDENTIALS?|\w*(?:TOKEN|SECRET|PASSWORD|PASSWD))\b"
    r"|(?=.*\bKEY\b).*\b(?:API|ACCESS|ACCOUNT|PRIVATE|SIGNING|STORAGE)\b"
    r"|(?=.*\bCONNECTION\b).*\bSTRING\b)"
)


def redacted(text: str) -> str:
    """The text with ``***`` for each secret.

    Those are what stands before ``@`` in a URL, parameters and headers that are named as one, what
    looks like a vendor's token, and the secrets of this process's variables.
    """
    for secret in _environment():
        text = text.replace(secret, _HIDDEN)
    for pattern in (_IN_URL, _IN_QUERY, _IN_HEADER):
        text = pattern.sub(rf"\1{_HIDDEN}", text)
    return _TOKENS.sub(_HIDDEN, text)


def redacted_value(value: Any) -> Any:
    """A JSON value with `redacted` texts; keys stay."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {key: redacted_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted_value(item) for item in value]
    return value


def exposed(value: Any, place: str = "") -> Iterator[str]:
    """Places in a config, such as ``sources.mine.path``, whose value holds a secret."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from exposed(item, f"{place}.{key}".removeprefix("."))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from exposed(item, f"{place}[{number}]")
    elif isinstance(value, str) and redacted(value) != value:
        yield place


def _environment() -> list[str]:
    """Secrets in this process's variables, the longest first."""
    secrets = {secret for name, value in os.environ.items() for secret in _secrets(name, value)}
    # A proxy's URL may name its user alone, whose name stands in every path of a home.
    secrets -= {os.environ.get("USER", ""), os.environ.get("LOGNAME", "")}
    return sorted(secrets, key=len, reverse=True)


@lru_cache(maxsize=10_000)
def _secrets(name: str, value: str) -> tuple[str, ...]:
    """What of a variable is secret: mostly nothing."""
    secrets: set[str] = set()
    if _NAMED.match(re.sub("[-_]", " ", name.upper())) and not value.startswith("/"):
        secrets |= {value, value.strip()}
    for scheme, user in _IN_URL.findall(value):
        # Of `user:password` the password; a token may stand alone before the @, except for ssh,
        # which knows none.
        first, _, password = user.partition(":")
        secret = password or ("" if "ssh" in scheme.lower() else first)
        secrets |= {secret, unquote(secret)}
    # As messages quote it, as JSON writes it, as a URL does.
    for plain in list(secrets):
        secrets |= {repr(plain)[1:-1], json.dumps(plain)[1:-1], quote(plain, safe="")}
    return tuple(plain for plain in secrets if len(plain) >= _SHORTEST)


class _Redacting:
    """A text stream that writes what it is given, `redacted`; all else is the stream's."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._stream.write(redacted(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        self.write("".join(lines))


def guard_output() -> None:
    """Let nothing that Python prints from now on hold a secret: tracebacks, warnings, logs.

    Call it before libraries are imported, some of which keep the stream that they find. What C code
    or other programs write to the descriptors is not seen.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, _Redacting):
            setattr(sys, name, _Redacting(stream))
