"""What a process that renders templates gives up, for good, before the first of them."""

import os
import resource
from pathlib import Path

from judgebox import landlock, seccomp


def lock_in(memory_bytes: int) -> None:
    """Give up files, network and other processes, and memory beyond a bound.

    Landlock and seccomp hold where the kernel has them: were Jinja's own sandbox to fail, there
    would be nothing to reach. The limits hold everywhere.

    Args:
        memory_bytes: of address space, beside what is in use.
    """
    used = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    # Before the filter, which freezes it. Not 0: a program that dumps are piped to would start.
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    try:
        # Before the limits: to lock itself in takes a descriptor.
        landlock.lock([], landlock.version())
        seccomp.install(seccomp.Profile(signals_to=os.getpid()))
    except seccomp.Refused:
        pass
    bounds = {
        resource.RLIMIT_AS: used + memory_bytes,
        resource.RLIMIT_NOFILE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_FSIZE: 0,
    }
    for kind, bound in bounds.items():
        resource.setrlimit(kind, (bound, bound))
