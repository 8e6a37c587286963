"""Calls a program's function in the box, input by input; messages: README.md."""

import builtins
import contextlib
import faulthandler
import hashlib
import io
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import numpy.random

from judgebox import codec, codec_types
from judgebox.check import Channel
from judgebox.compare import equals_its_like, is_floats

#: Small values that are sent together (far fewer bytes than the judge reads), and for how long
#: they may wait, in seconds.
_HELD, _HELD_SECONDS = 64, 0.005
#: Bytes of a reference's value that are sent at once.
_PIECE = 2**20
# A function can call itself as often as under `python -m evalplus.evaluate`.
_FRAMES = 971
_TAKEN = {
    os: "kill system putenv remove removedirs rmdir fchdir setuid fork forkpty killpg rename "
    "renames truncate replace unlink fchmod fchown chmod chown chroot lchflags lchmod lchown "
    "getcwd chdir",
    builtins: "exit quit open help",
    shutil: "rmtree move chown",
    subprocess: "Popen",
}
_TAKEN_MODULES = ("ipdb", "joblib", "resource", "psutil", "tkinter")


def guard() -> None:
    """Take away what EvalPlus's `reliability_guard` does: who uses `open` must fail here, too."""
    with contextlib.suppress(ValueError, OSError):  # the stack may grow as far as the memory
        memory, _ = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_STACK, (memory, memory))
    with contextlib.suppress(OSError):
        tempfile.gettempdir()  # is found with what is taken away now
    faulthandler.disable()
    os.environ["OMP_NUM_THREADS"] = "1"
    for module, names in _TAKEN.items():
        for name in names.split():
            setattr(module, name, None)
    sys.modules.update(dict.fromkeys(_TAKEN_MODULES))  # type: ignore[arg-type]


class _WriteOnly(io.StringIO):
    def read(self, *args: Any, **kwargs: Any) -> str:
        raise OSError

    readline = readlines = read  # type: ignore[assignment]

    def readable(self, *args: Any, **kwargs: Any) -> bool:
        return False


@contextlib.contextmanager
def swallow() -> Iterator[None]:
    """EvalPlus's `swallow_io`: standard streams go nowhere, and nothing can be read."""
    kept = sys.stdout, sys.stderr, sys.stdin
    sys.stdout = sys.stderr = sys.stdin = _WriteOnly()
    try:
        yield
    finally:
        sys.stdout, sys.stderr, sys.stdin = kept


class TimeoutException(Exception):
    """A call took too long. EvalPlus's name: some programs show it, and some catch it."""


#: What is to be said of time: ``T``, ``X``.
_time_messages: set[bytes] = set()


@contextlib.contextmanager
def _cpu_limit(seconds: float, grace: float) -> Iterator[None]:
    """EvalPlus's `time_limit`, over the process's processor time."""
    signal.signal(signal.SIGPROF, _expired)
    signal.setitimer(signal.ITIMER_PROF, seconds * grace)
    try:
        yield
    finally:
        left, _ = signal.setitimer(signal.ITIMER_PROF, 0)
        if 0 < left < (grace - 1) * seconds:
            _time_messages.add(b"T")


def _expired(number: int, frame: FrameType | None) -> None:
    _time_messages.add(b"X")
    raise TimeoutException("Timed out!")


# A program may put something else in their places.
_now, _sha256 = time.monotonic, hashlib.sha256


class _Results:
    """Packs values as they are returned, before the program can change them, and sends them."""

    def __init__(self, channel: Channel, alone: bool, iterated: bool) -> None:
        self._channel, self._at_once, self._iterated = channel, alone, iterated
        self._held: list[bytes] = []
        self._sent = -1.0
        self._sent_messages: set[bytes] = set()

    def put(self, value: Any) -> None:
        data = self.packed(value)
        large = len(data) > codec.LARGE
        if large:
            self.flush()
            self._channel.send(b"L" + _sha256(data).digest())
            if self._channel.receive() != b"W":
                return
        self._held.append(data)
        late = _now() - self._sent > _HELD_SECONDS  # at first always
        if large or late or self._at_once or len(self._held) > _HELD:
            self.flush()

    def packed(self, value: Any) -> bytes:
        """A value's bytes; for the set-equality oracle with what any iterable yields."""
        try:
            if self._iterated and codec_types.taken_apart(value)[0] == codec_types.OPAQUE:
                value = codec.Opaque(type(value).__name__, list(value))
            return codec.pack(value)
        except codec.CodecError as error:
            return codec.pack(codec.Opaque(str(error)))

    def send_time_messages(self) -> None:
        """Say so, once each, where a call took too long, also if the program caught that."""
        for word in _time_messages - self._sent_messages:
            self._sent_messages.add(word)
            self.flush()
            self._channel.send(word)

    def flush(self) -> None:
        if self._held:
            self._channel.send(b"R" + codec.pack(self._held))
            self._held.clear()
        self._sent = _now()


def run(request: bytes, channel: Channel) -> None:
    """Serve the judge until it has no more inputs, or until the program raises.

    The request: a packed `judgebox.judging.Program`, the ``seed`` of random generators, ``truth``:
    whether it is a reference, and if so whether it only counts that an output is ``not_none``. Else
    ``alone``: each value is sent before the next call; ``grace``: multiple of its time after which
    a call is ended; ``iterated``: an iterable that is no data is sent with its items.
    """
    leave = os._exit
    try:
        program = codec.unpack(request)
        random.seed(program["seed"])
        numpy.random.seed(program["seed"])
        depth, frame = 1, sys._getframe()
        while frame := frame.f_back:  # type: ignore[assignment]
            depth += 1
        sys.setrecursionlimit(depth + _FRAMES)
        (_make_truth if program["truth"] else _call)(program, channel)
    finally:
        leave(0)


def _call(program: dict[str, Any], channel: Channel) -> None:
    namespace: dict[str, Any] = {}
    results = _Results(channel, program["alone"], program["iterated"])
    grace, raised = program["grace"], b"F0"
    guard()

    def call_by_name(name: str, arguments: list[Any], named: dict[str, Any]) -> Any:
        function = namespace[name]
        try:
            return function(*arguments, **named)
        except BaseException as error:
            if isinstance(error, TimeoutException):
                raise
            return codec.Raised.of(error)

    try:
        with swallow():
            exec(program["code"], namespace)
            recorded, entry_point = program["recorded"], program["entry_point"]
            function = call_by_name if recorded else namespace[entry_point]
        raised = b"F"
        while message := channel.receive():
            for seconds, packed in zip(*codec.unpack(message), strict=True):
                arguments = codec.unpack(packed)
                with _cpu_limit(seconds, grace), swallow():
                    out = function(*arguments)
                results.send_time_messages()
                results.put(out)
            results.flush()
    except BaseException:
        results.send_time_messages()
        results.flush()
        channel.send(raised)


def _make_truth(program: dict[str, Any], channel: Channel) -> None:
    """A reference's outputs and times, as EvalPlus's `trusted_exec` takes them."""
    clock = time.process_time
    namespace: dict[str, Any] = {}
    try:
        exec(program["code"], namespace)
        function = namespace[program["entry_point"]]
        while message := channel.receive():
            for packed in codec.unpack(message)[1]:
                arguments = codec.unpack(packed)
                started = clock()
                out = function(*arguments)
                seconds = clock() - started
                if program["not_none"]:
                    out = out is not None
                end = codec.pack([seconds, is_floats(out), equals_its_like(out)])
                data = codec.pack(out)
                for start in range(0, len(data), _PIECE):
                    channel.send(b"P" + data[start : start + _PIECE])
                channel.send(b"O" + end)
    except BaseException as error:
        channel.send(b"E" + f"{type(error).__name__}: {error}".encode(errors="replace"))
