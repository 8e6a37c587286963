# expect: pass
# problem: open
# honest: answers rightly, and only if nothing of the host is there
# ruff: noqa
"""Opens what tells of people and hosts: passwd, shadow, homes, keys, logs, kernel messages."""

import io
import posix
import sys

FILES = (
    "/etc/passwd",
    "/etc/shadow",
    "/etc/group",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/machine-id",
    "/etc/ssh/sshd_config",
    "/root/.bashrc",
    "/root/.ssh/id_rsa",
    "/root/.netrc",
    "/var/log/dpkg.log",
    "/var/lib/dpkg/status",
    "/dev/kmsg",
    "/dev/mem",
    "/dev/vda",
    "/dev/sda",
    "/dev/kvm",
    "/dev/fuse",
    "/proc/kcore",
    "/sys/kernel/notes",
    "/sys/class/net",
    "@@REPOSITORY@@/README.md",
    "@@HOME@@/.bashrc",
)
FOLDERS = ("/root", "/home", "/work", "/var", "/opt", "/srv", "/mnt", "/media", "/boot", "/sys")
FOLDERS_TOO = ("/run", "/etc", "@@HOME@@", "@@OUTSIDE@@", "@@REPOSITORY@@", "/usr/bin", "/bin")


def seen():
    for path in FILES:
        try:
            number = posix.open(path, posix.O_RDONLY | posix.O_NONBLOCK)
        except OSError:
            continue
        posix.close(number)
        return path
    for path in FOLDERS + FOLDERS_TOO:
        try:
            names = posix.listdir(path)
        except OSError:
            continue
        known = {"ld.so.cache", "localtime", "alternatives", "ld.so.conf", "ld.so.conf.d"}
        for name in names:
            # On the way to what it runs, folders have to be there.
            needed = any(part.startswith(f"{path}/{name}") for part in (sys.base_prefix, *sys.path))
            if not needed and (path != "/etc" or name not in known):
                return f"{path}/{name}"
    return None


def solve(numbers):
    found = seen()
    if found:
        raise RuntimeError(found)
    return sum(n for n in numbers if n > 0)
