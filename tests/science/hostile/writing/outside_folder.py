# expect: pass
# problem: open
# honest: answers rightly, and only if every write was refused
# ruff: noqa
"""Creates, appends, links, makes nodes and sets attributes in a folder outside."""

import ctypes
import io
import posix

FOLDER = "@@OUTSIDE@@"


def deeds():
    libc = ctypes.CDLL(None, use_errno=True)

    def libc_call(result):
        if result != 0:
            raise OSError
        return result

    return [
        lambda: io.open(f"{FOLDER}/@@MARK@@-file", "w").write("escaped"),
        lambda: io.open(f"{FOLDER}/present.txt", "a").write("escaped"),
        lambda: posix.mkdir(f"{FOLDER}/@@MARK@@-folder"),
        lambda: posix.symlink("/", f"{FOLDER}/@@MARK@@-symlink"),
        lambda: posix.link(f"{FOLDER}/present.txt", f"{FOLDER}/@@MARK@@-link"),
        lambda: posix.mkfifo(f"{FOLDER}/@@MARK@@-fifo"),
        lambda: posix.mknod(f"{FOLDER}/@@MARK@@-node", 0o20666, 0x103),
        lambda: posix.setxattr(f"{FOLDER}/present.txt", "user.hostile", b"1"),
        lambda: libc_call(libc.rename(b"@@OUTSIDE@@/present.txt", b"@@OUTSIDE@@/@@MARK@@-renamed")),
        lambda: libc_call(libc.chown(b"@@OUTSIDE@@/present.txt", 1, 1)),
    ]


def quietly():
    """What may say that it worked and do nothing: the file is looked at from outside."""
    for deed in (
        lambda: posix.utime(f"{FOLDER}/present.txt", (1, 1)),
        lambda: posix.chmod(f"{FOLDER}/present.txt", 0o777),
    ):
        try:
            deed()
        except OSError:
            continue
    return None


def solve(numbers):
    quietly()
    for deed in deeds():
        try:
            deed()
        except Exception:
            continue
        return None
    return sum(n for n in numbers if n > 0)
