"""Files under landlock: the kernel's lock, and a folder for one check within it.

By Linux's landlock a process gives up access to files for itself and its children, for good,
without any rights. Each call of `lock` adds a layer, and an access must pass all of them. What
landlock does not govern, in any version: looking at a file's size and times (stat), modes, times,
owners and locks of files. Version by version it governs: 1 opening, making and removing files and
running programs; 2 moving files between folders (before: never allowed); 3 truncating; 4 TCP; 5
ioctl on devices; 6 signals and abstract sockets, to others than behind the same lock; 7 its log.

A `Scratch` folder is measured while foreign code writes to it. Nothing is deleted but what is below
a folder that this very object made, found again by its full name and recognised by its device and
inode.
"""

import ctypes
import errno
import os
import stat
import struct
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from judgebox import seccomp
from judgebox.check import content
from judgebox.seccomp import LIBC, Refused

#: The newest version that this module makes use of.
NEWEST = 7
#: The first version in which a locked process cannot send signals past its lock.
SCOPED: Final = 6
#: The first version that governs truncating.
TRUNCATES: Final = 3

#: Rights on files that versions 1 to 5 can forbid.
_FILES: Final = (0x1FFF, 0x3FFF, 0x7FFF, 0x7FFF, 0xFFFF)
#: Binding and connecting by TCP; reaching abstract sockets and sending signals.
_TCP, _SCOPES = 3, 3

# Rights: 1 run programs, 2 write, 4 read files, 8 list folders, then remove, make (devices 0x40 and
# 0x800, sockets 0x200) and move files, 0x4000 truncate, 0x8000 ioctl on devices.
#: Read a file or all below a folder, and run programs there.
READ: Final = 1 | 4 | 8
#: List a folder and those below it, without reading their files.
LIST: Final = 8
#: Read and write a device such as /dev/null.
DEVICE: Final = 2 | 4 | 0x4000
#: Everything below a folder but running programs, devices and sockets.
WRITE: Final = 0xFFFF & ~(1 | 0x40 | 0x200 | 0x800 | 0x8000)
_OF_FILES: Final = 1 | 2 | 4 | 0x4000 | 0x8000

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on all machines
_VERSION, _PATH_BENEATH = 1, 1
#: A program that is refused something a million times must not fill the machine's audit log.
_NO_LOG, _LOGS = 1, 7
#: Bytes that a file, folder or link counts beside its blocks, so that a million empty ones count.
_ENTRY = 4096
#: Folders within folders; what goes deeper hides something.
_DEPTH = 64
#: Bytes of what the kernel tells of a process's mapped files, several times as many as with all
#: packages loaded; who has more of them wants looking to take long.
_MAPPINGS = 2**20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

#: Device and inode of files -> bytes.
_Sizes = dict[tuple[int, int], int]
_WHY: Final = {
    errno.ENOSYS: "this kernel has no landlock (it came with Linux 5.13)",
    errno.EPERM: "something around this process (a container's own filter) refuses it",
    errno.EOPNOTSUPP: "landlock is in this kernel, but not on: it is not in the boot option lsm=",
}


def version() -> int:
    """The kernel's landlock version (its "ABI") that is made use of, 1 or more, else `Refused`."""
    return min(_call(_CREATE, None, 0, _VERSION), NEWEST)


def handled(version: int) -> tuple[int, ...]:
    """What a version of landlock can forbid: rights on files, on TCP, and scopes."""
    words = 1 if version < 4 else 2 if version < SCOPED else 3
    return (_FILES[min(version, 5) - 1], _TCP, _SCOPES)[:words]


def lock(rules: Iterable[tuple[str, int]], version: int) -> None:
    """Give up, in this process and its children to come, all that no rule allows.

    Sets no_new_privs, as landlock demands. For a process with one thread: others stay unlocked.
    Rules are paths (those that do not exist are left out) and what is allowed on them and below.
    """
    forbidden = handled(version)
    attributes = struct.pack(f"={len(forbidden)}Q", *forbidden)
    ruleset = _call(_CREATE, attributes, len(attributes), 0)
    try:
        for path, rights in rules:
            _allow(ruleset, path, rights & forbidden[0])
        seccomp.gain_no_rights()
        _call(_RESTRICT, ruleset, _NO_LOG if version >= _LOGS else 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    with suppress(FileNotFoundError), _opened(path, os.O_PATH | os.O_CLOEXEC) as place:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _OF_FILES
        if rights:
            _call(_ADD, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)


def _call(call: int, *arguments: int | bytes | None) -> int:
    words = [a if a is None or isinstance(a, bytes) else ctypes.c_ulong(a) for a in arguments]
    result: int = LIBC.syscall(ctypes.c_long(call), *words)
    if result < 0:
        number = ctypes.get_errno()
        raise Refused(_WHY.get(number) or f"landlock's call {call}: {os.strerror(number)}")
    return result


@contextmanager
def _opened(path: str, flags: int, dir_fd: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, flags, dir_fd=dir_fd)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class Scratch:
    """A new folder below another, for its owner only."""

    def __init__(self, below: str, prefix: str) -> None:
        self.path = tempfile.mkdtemp(prefix=prefix, dir=below)
        self._identity = _identity(os.lstat(self.path))

    def used(self, limit: int, processes: Iterable[int] = ()) -> int:
        """Bytes that it takes up, or some number above the limit as soon as that is certain.

        What lies in a folder that can't be listed, or too deep, counts as above the limit, and so
        do ten thousand mapped files of a process. Of `processes` open or mapped files count, too,
        where they have no name any more.
        """
        try:
            with _opened(self.path, _FOLDER) as folder:
                total = _measure(folder, limit, 0)
        except OSError:
            return limit + 1
        device = self._identity[0]
        nameless: _Sizes = {}
        for process in processes:
            maps = content(f"/proc/{process}/maps", _MAPPINGS)
            if len(maps) == _MAPPINGS:
                return limit + 1
            nameless |= _open_nameless(process)
            nameless = _mapped_nameless(maps, device) | nameless
        # Not libraries that were replaced on disk since this process, which forked them, began.
        own = content("/proc/self/maps", _MAPPINGS) if nameless else b""
        known = _mapped_nameless(own, device)
        return total + sum(size for file, size in nameless.items() if file not in known)

    def remove(self) -> None:
        """Delete it with all that is in it; nothing may be writing to it any more.

        `OSError`: something in it can't be deleted, or another folder has taken its name.
        """
        with _opened(self.path, _FOLDER) as here:
            if _identity(os.fstat(here)) != self._identity:
                raise FileExistsError(f"{self.path}: not the folder that was made under this name")
            _empty(here)
        Path(self.path).rmdir()


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _measure(folder: int, limit: int, depth: int) -> int:
    """Bytes below an open folder, or some number above the limit; see `Scratch.used`."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            total += _ENTRY
            with suppress(OSError):  # the program has just deleted or replaced it
                status = entry.stat(follow_symlinks=False)
                total += 512 * status.st_blocks
                if stat.S_ISDIR(status.st_mode) and total <= limit:
                    try:
                        with _opened(entry.name, _FOLDER, dir_fd=folder) as inner:
                            deeper = depth < _DEPTH
                            total += _measure(inner, limit, depth + 1) if deeper else limit + 1
                    except PermissionError:
                        # Nothing can be put where its owner may not write or search.
                        total += limit + 1 if status.st_mode & 0o300 == 0o300 else 0
            if total > limit:
                break
    return total


def _open_nameless(process: int) -> _Sizes:
    """Files that a process has open and that have no name."""
    sizes: _Sizes = {}
    with suppress(OSError):
        for held in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):
                status = held.stat()
                if stat.S_ISREG(status.st_mode) and not status.st_nlink:
                    sizes[_identity(status)] = 512 * status.st_blocks
    return sizes


def _mapped_nameless(maps: bytes, device: int) -> _Sizes:
    """Files of a device among mapped ones that have no name."""
    sizes: _Sizes = {}
    for line in maps.splitlines() if b" (deleted)\n" in maps else ():
        if line.endswith(b" (deleted)"):
            span, _, offset, number, inode, *_ = line.split(maxsplit=5)
            first, last = (int(part, 16) for part in span.split(b"-"))
            key = (os.makedev(*(int(part, 16) for part in number.split(b":"))), int(inode))
            if key[0] == device:
                sizes[key] = max(sizes.get(key, 0), int(offset, 16) + last - first)
    return sizes


def _empty(folder: int) -> None:
    """Delete all that a folder holds, however deep, with two descriptors and no recursion."""
    here = os.dup(folder)
    try:
        waiting, entered = [_clear(here)], list[str]()
        while waiting:
            if waiting[-1]:
                entered.append(waiting[-1].pop())
                here = _moved(here, entered[-1])
                waiting.append(_clear(here))
            elif waiting.pop() == [] and entered:
                # Nobody moves folders about any more, so that ".." is where we came from.
                here = _moved(here, "..")
                os.rmdir(entered.pop(), dir_fd=here)
    finally:
        os.close(here)


def _moved(here: int, name: str) -> int:
    there = os.open(name, _FOLDER, dir_fd=here)
    os.close(here)
    return there


def _clear(folder: int) -> list[str]:
    """Delete files and empty folders; return the names of the other folders, made accessible."""
    kept = []
    for name in os.listdir(folder):
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=folder)
            continue
        try:
            os.rmdir(name, dir_fd=folder)
        except OSError:
            # By name: nobody is left who could put a link in its place.
            os.chmod(name, 0o700, dir_fd=folder)
            kept.append(name)
    return kept
