"""A hub on this machine: enough of huggingface.co's HTTP interface for its real client libraries.

Repositories are held as commits (name -> bytes) and branches; `HF_ENDPOINT` points the client at
`Hub.endpoint`. Large files are handed out by another host, as by the real one's CDN, which refuses
requests that carry the token. What is left out: Xet storage.
"""

import contextlib
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_ThisOneIsAllowed"
#: Files of these kinds are in Git LFS: the hub gives their SHA-256.
LARGE = (".safetensors", ".parquet", ".bin")
_API = re.compile(
    r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/([^/]+)/?(.*))?"
)
_FILE = re.compile(r"/(cdn/)?(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


@dataclass
class Repository:
    """One repository: its commits and where its branches stand."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    gated: bool = False

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Add a commit, move a branch to it, and return its 40 hexadecimal digits."""
        digest = hashlib.sha1(f"{len(self.commits)}".encode())
        for name in sorted(files):
            digest.update(name.encode() + b"\0" + files[name])
        self.commits[digest.hexdigest()] = files
        self.branches[branch] = digest.hexdigest()
        return digest.hexdigest()


@dataclass
class Hub:
    """The server's state; tests change it while it runs."""

    endpoint: str = ""
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """(method, path, Range header or ""), in order."""
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """File -> after how many bytes its next transfers are cut off, first to last."""
    pause: float = 0.0
    """Seconds of sleep after each piece sent."""
    piece: int = 1 << 16
    """Bytes sent at once."""
    flips: set[str] = field(default_factory=set)
    """Files whose last byte arrives with its bits turned."""

    def repository(self, kind: str, name: str) -> Repository:
        """The repository of that kind (``models``, ``datasets``) and name, made if need be."""
        return self.repositories.setdefault((kind, name), Repository())

    def transfers(self, file: str) -> list[str]:
        """The Range headers of all downloads of a file so far, redirects not counted."""
        found = [r for r in self.requests if r[0] == "GET" and r[1].endswith(file)]
        return [r for _, path, r in found if path.startswith("/cdn/") or not file.endswith(LARGE)]

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """What points a client at this hub, with a cache of its own."""
        own = {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
        return own | ({"HF_TOKEN": token} if token else {})


def files_of(directory: Path) -> dict[str, bytes]:
    """A directory's files as a commit holds them."""
    found = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in found}


def oid(data: bytes) -> str:
    """Git's name of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, self.headers.get("Range", "")))
        if found := _API.fullmatch(path):
            kind, name, what, revision, below = found.groups()
            if (repo := self._repository(kind, name)) and (sha := self._sha(repo, revision)):
                self._api(repo, name, sha, what, below or "")
        elif found := _FILE.fullmatch(path):
            cdn, prefix, name, revision, file = found.groups()
            repo = self._repository("datasets" if prefix else "models", name)
            if repo and (sha := self._sha(repo, revision)):
                if cdn and self.headers.get("Authorization"):
                    self._refuse(400, "", "Only one auth mechanism allowed")
                else:
                    self._file(repo, sha, file, bool(cdn))
        else:
            self._refuse(404, "", "Sorry, we can't find the page you are looking for.")

    do_HEAD = do_GET = do_POST = _answer

    def _repository(self, kind: str, name: str) -> Repository | None:
        repo = self.hub.repositories.get((kind, name))
        if repo is None:
            # The real one does not tell strangers whether a repository exists.
            self._refuse(401, "RepoNotFound", "Repository not found")
        return repo

    def _sha(self, repo: Repository, revision: str | None) -> str | None:
        sha = repo.branches.get(revision or "main", revision)
        if sha not in repo.commits:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return sha

    def _refuse(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message} if code else {}
        self._json({"error": message}, status, headers)

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self._head(status, len(data), {"Content-Type": "application/json", **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(data)

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _api(self, repo: Repository, name: str, sha: str, what: str | None, below: str) -> None:
        files = repo.commits[sha]
        if what == "paths-info":
            form = json.loads(self.body) if self.body.startswith(b"{") else {}
            wanted = form.get("paths") or re.findall(r"paths=([^&]+)", self.body.decode())
            names = [unquote(path) for path in wanted]
            self._json(
                _entries({n: d for n, d in files.items() if n in names}, "", True)
                + [
                    {"type": "directory", "path": n, "oid": "0" * 40, "size": 0}
                    for n in names
                    if any(f.startswith(f"{n}/") for f in files)
                ]
            )
        elif what == "tree":
            inside = {n: d for n, d in files.items() if not below or n.startswith(f"{below}/")}
            if below and not inside:
                self._refuse(404, "EntryNotFound", f"{below} does not exist on {sha}")
            else:
                self._json(_entries(inside, below, "recursive=true" in self.path.lower()))
        else:
            siblings = [
                {"rfilename": e["path"], "size": e["size"], "blobId": e["oid"], "lfs": e.get("lfs")}
                for e in _entries(files, "", True)
            ]
            info = {"_id": "0", "id": name, "modelId": name, "sha": sha, "private": False}
            more = {"gated": "auto" if repo.gated else False, "disabled": False, "tags": []}
            self._json({**info, **more, "downloads": 0, "likes": 0, "siblings": siblings})

    def _file(self, repo: Repository, sha: str, file: str, cdn: bool) -> None:
        if repo.gated and not cdn and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(401, "GatedRepo", "Access to this repository is restricted.")
            return
        data = repo.commits[sha].get(file)
        if data is None:
            self._refuse(404, "EntryNotFound", f"{file} does not exist on {sha}")
            return
        headers = {"X-Repo-Commit": sha, "ETag": f'"{oid(data)}"', "Accept-Ranges": "bytes"}
        if file.endswith(LARGE):
            digest = hashlib.sha256(data).hexdigest()
            headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(data))}
            if not cdn:
                elsewhere = self.hub.endpoint.replace("127.0.0.1", "localhost")
                self._head(302, 0, {**headers, "Location": f"{elsewhere}/cdn{self.path}"})
                return
            headers["ETag"] = f'"{digest}"'
        if file in self.hub.flips:
            data = data[:-1] + bytes([data[-1] ^ 0xFF])
        start, end, status = 0, len(data), 200
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, status = int(found[1]), 206
            end = min(end, int(found[2]) + 1) if found[2] else end
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        self._head(status, end - start, headers)
        if self.command == "GET":
            self._send(file, data[start:end])

    def _send(self, file: str, data: bytes) -> None:
        cuts = self.hub.cuts.get(file)
        stop = cuts.pop(0) if cuts else None
        with contextlib.suppress(ConnectionError):
            for place in range(0, len(data[:stop]), self.hub.piece):
                self.wfile.write(data[:stop][place : place + self.hub.piece])
                self.wfile.flush()
                time.sleep(self.hub.pause)
        if stop is not None:
            self.close_connection = True


def _entries(files: dict[str, bytes], below: str, recursive: bool) -> list[dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = {}
    start = len(below) + 1 if below else 0
    for name, data in files.items():
        if not recursive and "/" in name[start:]:
            folder = name[: name.index("/", start)]
            entries[folder] = {"type": "directory", "path": folder, "oid": "0" * 40, "size": 0}
            continue
        entries[name] = {"type": "file", "path": name, "oid": oid(data), "size": len(data)}
        if name.endswith(LARGE):
            digest = hashlib.sha256(data).hexdigest()
            large = {"oid": digest, "sha256": digest, "size": len(data), "pointerSize": 130}
            entries[name]["lfs"] = large
    return list(entries.values())


@contextlib.contextmanager
def serving() -> Iterator[Hub]:
    """Run a hub in a thread of this process, on a free port of the loopback interface."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
