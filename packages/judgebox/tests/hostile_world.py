"""What there is outside the box to be found, reached or harmed: one secret in many places.

A command's processes are watched, too: what they hold, how long they live, what is left.
"""

import ctypes
import os
import secrets
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_SUBREAPER = 36


@dataclass
class Seen:
    """What was seen while the command ran."""

    status: int = -1
    largest: int = 0  # peak resident memory of the largest process outside the boxes, in bytes
    #: Process that named itself (pid, name) -> seconds that it had lived when it was last seen.
    lives: dict[tuple[int, str], float] = field(default_factory=dict)
    reached: list[str] = field(default_factory=list)  # listeners in a box, from outside
    left: list[str] = field(default_factory=list)  # processes after the command had ended


def run(
    command: list[str], environment: dict[str, str], log: Path, named: str, port: int, abstract: str
) -> Seen:
    """Run a command and watch all that comes of it.

    Processes that lose their parent become children of this one. Names that hostile ones give
    themselves begin with `named`; at `port` and an `abstract` socket they try to listen.
    """
    seen = Seen()
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    before = set(_below())
    ended = threading.Event()

    def watch() -> None:
        here = Path("/proc/self/ns/pid").stat().st_ino
        addresses = ((socket.AF_INET, ("127.0.0.1", port)), (socket.AF_UNIX, f"\0{abstract}"))
        while not ended.wait(0.1):
            for process in set(_below()) - before:
                with suppress(OSError, UnicodeDecodeError, psutil.Error):
                    _look(process, seen, named, here)
            for family, address in addresses:
                with suppress(OSError), socket.socket(family) as line:
                    line.settimeout(0.05)
                    line.connect(address)  # type: ignore[arg-type]
                    seen.reached.append(str(address))

    with log.open("wb") as out, ThreadPoolExecutor(1) as threads:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
        watching = threads.submit(watch)
        try:
            seen.status = process.wait(timeout=3600)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            ended.set()
        watching.result()
    until = time.monotonic() + 20
    while (left := _living(before)) and time.monotonic() < until:
        time.sleep(0.05)
    seen.left = list(map(str, left))
    ctypes.CDLL(None).prctl(_SUBREAPER, 0, 0, 0, 0)
    return seen


def _look(process: psutil.Process, seen: Seen, named: str, here: int) -> None:
    name = Path(f"/proc/{process.pid}/comm").read_text().strip()
    if name.startswith(named):
        seen.lives[process.pid, name] = time.time() - process.create_time()
    if Path(f"/proc/{process.pid}/ns/pid").stat().st_ino == here:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        status = dict(line.split(":", 1) for line in lines)
        if status["Seccomp"].strip() == "0":
            seen.largest = max(seen.largest, 1024 * int(status.get("VmHWM", "0").split()[0]))


def _below() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _living(before: set[psutil.Process]) -> list[psutil.Process]:
    """What runs on, without what has ended and waits for its parent (reaped here if it is ours)."""
    left = []
    for process in set(_below()) - before:
        with suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)
        with suppress(psutil.Error):
            if process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                left.append(process)
    return left


_libc = ctypes.CDLL(None, use_errno=True)
_libc.shmat.restype = ctypes.c_void_p

#: Name of the variable in which the scorer and the canary process carry the secret.
VARIABLE = "JUDGEBOX_HOSTILE_SECRET"
REPOSITORY = Path(__file__).parents[1]

# Holds the secret in its memory, says where, and says it again for every line that it is sent.
_CANARY = f"""
import ctypes, os, sys
held = ctypes.create_string_buffer(os.environ["{VARIABLE}"].encode())
ctypes.CDLL(None).prctl(0x59616d61, -1, 0, 0, 0)
print(ctypes.addressof(held), flush=True)
for line in sys.stdin:
    print(held.value.decode(), flush=True)
"""
_KERNEL = [Path("/proc/sys/kernel", name) for name in ("core_pattern", "hostname")]


class World:
    """The canaries; `told` fills their names into a program, `harm` says what became of them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.secret = str(secrets.randbelow(9 * 10**9) + 10**9)
        self.mark = "hx" + secrets.token_hex(5)
        self.reached: list[str] = []
        self.folder, self._stack = folder, stack
        for name in ("private", "outside"):
            (folder / name).mkdir()
        (folder / "private" / "secret.txt").write_text(self.secret)
        self._present = folder / "outside" / "present.txt"
        self._present.write_text("present")
        self._before = self._state()
        self.names = {
            "MARK": self.mark,
            "SHORT": self.mark[2:6],
            "SECRET_VARIABLE": VARIABLE,
            "SECRET_FILE": str(folder / "private" / "secret.txt"),
            "OUTSIDE": str(folder / "outside"),
            "COMPLETIONS": str(folder / "completions"),
            "RESULTS": str(folder / "scores"),
            "REPOSITORY": str(REPOSITORY),
            "SITE": str(next(p for p in map(Path, sys.path) if p.name == "site-packages")),
            "HOME": str(Path.home()),
            "ADDRESS": "127.1",
        }
        self._start_process()
        self._listen()
        self._share_memory()

    def told(self, text: str, suite: str) -> str:
        """A program's text with the canaries' names in place of the marks ``@@NAME@@``."""
        folders = {name: str(self.folder / name.lower() / suite) for name in ("SUITES", "TRUTH")}
        for name, value in (self.names | folders).items():
            text = text.replace(f"@@{name}@@", value)
        if "@@" in text:
            raise ValueError(f"unknown mark in {text}")
        return text

    def harm(self) -> list[str]:
        """What is not as it was; empty where no program got out."""
        found = [f"connected: {name}" for name in self.reached]
        if self._state() != self._before:
            found.append(f"the file outside, its folder or the kernel: {self._state()}")
        places = [Path(place) for place in ("/", "/tmp", "/dev/shm", "/var/tmp", "/run", "/mnt")]
        places += [Path.home(), Path.cwd(), REPOSITORY, self.folder]
        places += [self.folder / name for name in ("scores", "completions", "private")]
        for place in {place.resolve() for place in places if place.is_dir()}:
            found += [f"left: {path}" for path in place.iterdir() if self.mark in path.name]
        if self.mark in Path("/proc/self/mountinfo").read_text():
            found.append("mounted")
        return found + self._harm_to_process() + self._harm_to_queues()

    def _state(self) -> list[object]:
        """What the folder outside holds, and some of the kernel's settings."""
        if not self._present.exists():
            return ["the file outside is gone"]
        status = self._present.stat()
        meta = (status.st_mode, status.st_uid, status.st_nlink, status.st_mtime_ns)
        names = sorted(path.name for path in self._present.parent.iterdir())
        kernel = [path.read_text() for path in _KERNEL]
        return [names, meta, os.listxattr(self._present), self._present.read_text(), *kernel]

    def _start_process(self) -> None:
        self._canary = subprocess.Popen(
            [sys.executable, "-I", "-c", _CANARY, f"{VARIABLE}={self.secret}"],
            env={VARIABLE: self.secret},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._stack.callback(self._canary.communicate)
        assert self._canary.stdout is not None
        self.names["CANARY_ADDRESS"] = self._canary.stdout.readline().strip()
        self.names["CANARY_PID"] = str(self._canary.pid)
        self._priority = os.getpriority(os.PRIO_PROCESS, self._canary.pid)

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
        answer = process.stdout.readline().strip()
        return [] if answer == self.secret else ["the process outside lost its memory"]

    def _listen(self) -> None:
        """Listeners on all kinds of sockets; who calls is noted, and told the secret."""
        lines = selectors.DefaultSelector()
        unix, abstract = str(self.folder / "private" / "s"), f"hostile-{secrets.token_hex(4)}"
        self.names |= {"UNIX_PATH": unix, "ABSTRACT": abstract, "TCP6_PORT": "9"}
        for name, family, kind, address in (
            ("TCP_PORT", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            ("TCP6_PORT", socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0)),
            ("UDP_PORT", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            ("UNIX_PATH", socket.AF_UNIX, socket.SOCK_STREAM, unix),
            ("ABSTRACT", socket.AF_UNIX, socket.SOCK_STREAM, f"\0{abstract}"),
        ):
            with suppress(OSError if name == "TCP6_PORT" else ()):  # a machine without IPv6
                line = self._stack.enter_context(socket.socket(family, kind))
                line.bind(address)
                if kind == socket.SOCK_STREAM:
                    line.listen()
                if name.endswith("PORT"):
                    self.names[name] = str(line.getsockname()[1])
                lines.register(line, selectors.EVENT_READ, name)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.names["FREE_PORT"] = str(free.getsockname()[1])
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                for key, _ in lines.select(0.2):
                    line = key.fileobj
                    assert isinstance(line, socket.socket)
                    self.reached.append(str(key.data))
                    if line.type == socket.SOCK_DGRAM:
                        _, sender = line.recvfrom(4096)
                        line.sendto(self.secret.encode(), sender)
                    else:
                        with line.accept()[0] as caller, suppress(OSError):
                            caller.sendall(self.secret.encode())

        thread = threading.Thread(target=serve)
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(ended.set)

    def _share_memory(self) -> None:
        """A segment and a queue of System V, a file in /dev/shm, a key; removed by their ids."""
        key, queue_key, new = (secrets.randbelow(2**30) + 1 for _ in range(3))
        segment = _libc.shmget(key, 4096, 0o1666)
        self._stack.callback(_libc.shmctl, segment, 0, None)
        ctypes.memmove(_libc.shmat(segment, None, 0), self.secret.encode(), 10)
        self._queue, self._new = _libc.msgget(queue_key, 0o1666), new
        self._stack.callback(_libc.msgctl, self._queue, 0, None)
        _libc.msgsnd(self._queue, (1).to_bytes(8, "little") + self.secret.encode(), 10, 0)
        name = f"hostile-{secrets.token_hex(4)}"
        shared = Path("/dev/shm", name)
        shared.write_text(self.secret)
        self._stack.callback(shared.unlink, missing_ok=True)
        kept = _libc.syscall(248, b"user", name.encode(), self.secret.encode(), 10, -3)
        if kept > 0:
            _libc.syscall(250, 5, kept, 0x3F3F3F3F)
            self._stack.callback(_libc.syscall, 250, 3, kept)
        self.names |= {"SHM_KEY": str(key), "SHM_ID": str(segment), "SHM_NAME": name}
        self.names |= {"MSG_KEY": str(queue_key), "MSG_ID": str(self._queue), "NEW_KEY": str(new)}
        self.names |= {"KEY_NAME": name, "KEY_ID": str(max(kept, 0))}

    def _harm_to_queues(self) -> list[str]:
        found = []
        made = [_libc.shmget(self._new, 0, 0), _libc.semget(self._new, 0, 0)]
        if [*made, _libc.msgget(self._new, 0)] != [-1, -1, -1]:
            found.append(f"a segment, semaphore or queue of System V: {made}")
        buffer = ctypes.create_string_buffer(64)
        # No message of a type but 1; IPC_NOWAIT | MSG_EXCEPT.
        if _libc.msgrcv(self._queue, buffer, 48, 1, 0o4000 | 0o20000) >= 0:
            found.append("a message in the queue")
        if _libc.syscall(240, self.mark.encode(), 0, 0, None) >= 0:
            found.append("a queue of POSIX")
        return found


@contextmanager
def canaries(folder: Path) -> Iterator[World]:
    """A world in a folder, for as long as it is needed."""
    with ExitStack() as stack:
        yield World(folder, stack)
