"""What there is outside the box to be found, reached or harmed: one secret in many places."""

import ctypes
import os
import secrets
import selectors
import socket
import subprocess
import sys
import threading
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_libc = ctypes.CDLL(None, use_errno=True)
_libc.shmat.restype = ctypes.c_void_p

#: Name of the variable in which the scorer and the canary process carry the secret.
VARIABLE = "JUDGEBOX_HOSTILE_SECRET"

# Holds the secret in its memory, says where, and says it again for every line that it is sent.
_CANARY = f"""
import ctypes, os, sys
held = ctypes.create_string_buffer(os.environ["{VARIABLE}"].encode())
ctypes.CDLL(None).prctl(0x59616d61, -1, 0, 0, 0)
print(ctypes.addressof(held), flush=True)
for line in sys.stdin:
    print(held.value.decode(), flush=True)
"""


class World(AbstractContextManager["World"]):
    """The canaries; `told` fills their names into a program, `harm` says what became of them."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.secret = str(secrets.randbelow(9 * 10**9) + 10**9)
        self.mark = "hx" + secrets.token_hex(5)
        self.folder = folder
        self.reached: list[str] = []
        self._repository = repository
        self._stack = ExitStack()
        self._names: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self._files()
            self._process()
            self._listeners()
            self._memory()
            self._keys()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def told(self, text: str, suite: str) -> str:
        """A program's text with the canaries' names in place of the marks ``@@NAME@@``."""
        names = self._names | {
            "MARK": self.mark,
            "SHORT": self.mark[2:6],
            "SECRET_VARIABLE": VARIABLE,
            "SUITE": str(self.folder / "suites" / suite),
            "TRUTH": str(self.folder / "truth" / suite),
            "COMPLETIONS": str(self.folder / "completions"),
            "RESULTS": str(self.folder / "scores"),
            "REPOSITORY": str(self._repository),
            "SITE": str(next(p for p in map(Path, sys.path) if p.name == "site-packages")),
            "HOME": str(Path.home()),
        }
        for name, value in names.items():
            text = text.replace(f"@@{name}@@", value)
        if "@@" in text:
            raise ValueError(f"unknown mark in {text}")
        return text

    def number(self, name: str) -> int:
        """The number of a name that `told` fills in."""
        return int(self._names[name])

    def harm(self) -> list[str]:
        """What is not as it was; empty where no program got out."""
        found = [f"connected: {name}" for name in self.reached]
        outside = self.folder / "outside"
        seen = {path.name: path.lstat() for path in outside.iterdir()}
        if set(seen) != {"present.txt"}:
            found.append(f"files in the folder outside: {sorted(seen)}")
        present = outside / "present.txt"
        if not present.exists() or present.read_text() != "present" or _meta(present) != self._meta:
            found.append("the file outside was changed")
        places = [Path(place) for place in ("/", "/tmp", "/dev/shm", "/var/tmp", "/run", "/mnt")]
        places += [Path.home(), Path.cwd(), self._repository, self.folder]
        places += [self.folder / name for name in ("scores", "completions", "private")]
        for place in {place.resolve() for place in places if place.is_dir()}:
            found += [f"left: {path}" for path in place.iterdir() if self.mark in path.name]
        if self.mark in Path("/proc/self/mountinfo").read_text():
            found.append("mounted")
        found += self._harm_to_process()
        found += self._harm_to_queues()
        if _kernel() != self._kernel:
            found.append("settings of the kernel")
        return found

    def _files(self) -> None:
        for name in ("private", "outside"):
            (self.folder / name).mkdir()
        secret = self.folder / "private" / "secret.txt"
        secret.write_text(self.secret)
        present = self.folder / "outside" / "present.txt"
        present.write_text("present")
        self._meta = _meta(present)
        self._kernel = _kernel()
        self._names |= {"SECRET_FILE": str(secret), "OUTSIDE": str(present.parent)}

    def _process(self) -> None:
        self._canary = subprocess.Popen(
            [sys.executable, "-I", "-c", _CANARY, f"{VARIABLE}={self.secret}"],
            env={VARIABLE: self.secret},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._stack.callback(self._canary.communicate)
        assert self._canary.stdout is not None
        address = self._canary.stdout.readline().strip()
        self._priority = os.getpriority(os.PRIO_PROCESS, self._canary.pid)
        self._names |= {"CANARY_PID": str(self._canary.pid), "CANARY_ADDRESS": address}

    def _harm_to_process(self) -> list[str]:
        process = self._canary
        if process.poll() is not None:
            return [f"the process outside ended ({process.returncode})"]
        state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2][0]
        if state in "tT" or os.getpriority(os.PRIO_PROCESS, process.pid) != self._priority:
            return [f"the process outside was stopped or slowed ({state})"]
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        said = process.stdout.readline().strip()
        return [] if said == self.secret else ["the process outside lost its memory"]

    def _listeners(self) -> None:
        chosen = selectors.DefaultSelector()
        unix = str(self.folder / "private" / "s")
        abstract = f"hostile-{secrets.token_hex(4)}"
        tcp, tcp6, udp = (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), socket.SOCK_DGRAM
        for name, family, kind, address in (
            ("TCP_PORT", tcp[0], socket.SOCK_STREAM, (tcp[1], 0)),
            ("TCP6_PORT", tcp6[0], socket.SOCK_STREAM, (tcp6[1], 0)),
            ("UDP_PORT", tcp[0], udp, (tcp[1], 0)),
            ("UNIX_PATH", socket.AF_UNIX, socket.SOCK_STREAM, unix),
            ("ABSTRACT", socket.AF_UNIX, socket.SOCK_STREAM, f"\0{abstract}"),
        ):
            self._names[name] = {"UNIX_PATH": unix, "ABSTRACT": abstract}.get(name, "9")
            with suppress(OSError if name == "TCP6_PORT" else ()):  # a machine without IPv6
                line = self._stack.enter_context(socket.socket(family, kind))
                line.bind(address)
                if kind == socket.SOCK_STREAM:
                    line.listen()
                if name.endswith("PORT"):
                    self._names[name] = str(line.getsockname()[1])
                chosen.register(line, selectors.EVENT_READ, name)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._names |= {"FREE_PORT": str(free.getsockname()[1]), "ADDRESS": "127.1"}
        ended = threading.Event()
        thread = threading.Thread(target=self._serve, args=(chosen, ended))
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(ended.set)

    def _serve(self, chosen: selectors.BaseSelector, ended: threading.Event) -> None:
        while not ended.is_set():
            for key, _ in chosen.select(0.2):
                line = key.fileobj
                assert isinstance(line, socket.socket)
                self.reached.append(str(key.data))
                if line.type == socket.SOCK_DGRAM:
                    _, sender = line.recvfrom(4096)
                    line.sendto(self.secret.encode(), sender)
                else:
                    with line.accept()[0] as caller, suppress(OSError):
                        caller.sendall(self.secret.encode())

    def _memory(self) -> None:
        """A segment and a queue of System V, a file in /dev/shm; each is removed by its own id."""
        key, queue_key, new = (secrets.randbelow(2**30) + 1 for _ in range(3))
        segment = _libc.shmget(key, 4096, 0o1666)
        self._stack.callback(_libc.shmctl, segment, 0, None)
        ctypes.memmove(_libc.shmat(segment, None, 0), self.secret.encode(), 10)
        self._queue = _libc.msgget(queue_key, 0o1666)
        self._stack.callback(_libc.msgctl, self._queue, 0, None)
        _libc.msgsnd(self._queue, (1).to_bytes(8, "little") + self.secret.encode(), 10, 0)
        name = f"hostile-{secrets.token_hex(4)}"
        shared = Path("/dev/shm", name)
        shared.write_text(self.secret)
        self._stack.callback(shared.unlink, missing_ok=True)
        self._names |= {"SHM_KEY": str(key), "SHM_ID": str(segment), "SHM_NAME": name}
        self._names |= {"MSG_KEY": str(queue_key), "MSG_ID": str(self._queue), "NEW_KEY": str(new)}

    def _harm_to_queues(self) -> list[str]:
        found = []
        new = self.number("NEW_KEY")
        made = (_libc.shmget(new, 0, 0), _libc.semget(new, 0, 0), _libc.msgget(new, 0))
        if made != (-1, -1, -1):
            found.append(f"a segment, semaphore or queue of System V: {made}")
        buffer = ctypes.create_string_buffer(64)
        # No message of a type but 1; IPC_NOWAIT | MSG_EXCEPT.
        if _libc.msgrcv(self._queue, buffer, 48, 1, 0o4000 | 0o20000) >= 0:
            found.append("a message in the queue")
        if _libc.syscall(240, self.mark.encode(), 0, 0, None) >= 0:
            found.append("a queue of POSIX")
        return found

    def _keys(self) -> None:
        name = f"hostile-{secrets.token_hex(4)}"
        key = _libc.syscall(248, b"user", name.encode(), self.secret.encode(), 10, -3)
        if key > 0:
            _libc.syscall(250, 5, key, 0x3F3F3F3F)
            self._stack.callback(_libc.syscall, 250, 3, key)
        self._names |= {"KEY_NAME": name, "KEY_ID": str(max(key, 0))}


def _meta(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return (found.st_mode, found.st_uid, found.st_nlink, found.st_mtime_ns, len(os.listxattr(path)))


def _kernel() -> list[str]:
    names = ("kernel/core_pattern", "kernel/hostname", "vm/overcommit_memory")
    return [Path("/proc/sys", name).read_text() for name in names]
