"""What a process that renders templates gives up, for good, before the first of them."""

import os
import resource
from contextlib import suppress
from pathlib import Path

from judgebox import landlock, seccomp


def lock_in(memory_bytes: int) -> None:
    """Give up files, network and other processes, and memory beyond what is in use and a bound.

    Landlock and seccomp hold where the kernel has them, were Jinja's own sandbox to fail.
    """
    used = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    # Before the filter, which freezes it. Not 0: a program that dumps are piped to would start.
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    with suppress(seccomp.Refused):
        # Before the limits: to lock itself in takes a descriptor.
        landlock.lock([], landlock.version())
        seccomp.install(seccomp.Profile(signals_to=os.getpid()))
    resource.setrlimit(resource.RLIMIT_AS, (used + memory_bytes,) * 2)
    for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE):
        resource.setrlimit(kind, (0, 0))
