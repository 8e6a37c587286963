"""Numbers of the system calls that a filter names, on x86_64 and aarch64.

From Linux's ``arch/x86/entry/syscalls/syscall_64.tbl`` and ``include/uapi/asm-generic/unistd.h``
(aarch64 has the generic numbers; ``-``: this machine has no such call, its libc uses a newer one).
What is not here no sandboxed process needs: the filter refuses it without knowing its name.
"""

from typing import Final, Literal

Machine = Literal["x86_64", "aarch64"]

#: Files that are open, memory.
_FILES = """
read 0 63, write 1 64, close 3 57, lseek 8 62, readv 19 65, writev 20 66, pread64 17 67,
pwrite64 18 68, preadv 295 69, pwritev 296 70, preadv2 327 286, pwritev2 328 287,
copy_file_range 326 285, fallocate 285 47, ftruncate 77 46, fsync 74 82, fdatasync 75 83,
fadvise64 221 223, readahead 187 213, flock 73 32, fcntl 72 25, ioctl 16 29, dup 32 23, dup2 33 -,
dup3 292 24, pipe 22 -, pipe2 293 59, close_range 436 436, fstat 5 80, fstatfs 138 44,
getdents 78 -, getdents64 217 61, fchdir 81 50, mmap 9 222, mprotect 10 226, munmap 11 215,
brk 12 214, mremap 25 216, msync 26 227, madvise 28 233, membarrier 324 283,
get_mempolicy 239 236, poll 7 -, ppoll 271 73, select 23 -, pselect6 270 72, epoll_create 213 -,
epoll_create1 291 20, epoll_ctl 233 21, epoll_wait 232 -, epoll_pwait 281 22,
epoll_pwait2 441 441, eventfd 284 -, eventfd2 290 19, signalfd 282 -, signalfd4 289 74,
timerfd_create 283 85, timerfd_settime 286 86, timerfd_gettime 287 87
"""

#: Files by their names.
_PATHS = """
open 2 -, openat 257 56, openat2 437 437, creat 85 -, stat 4 -, lstat 6 -, newfstatat 262 79,
statx 332 291, statfs 137 43, access 21 -, faccessat 269 48, faccessat2 439 439, readlink 89 -,
readlinkat 267 78, getcwd 79 17, chdir 80 49, umask 95 166, mkdir 83 -, mkdirat 258 34,
rmdir 84 -, unlink 87 -, unlinkat 263 35, rename 82 -, renameat 264 38, renameat2 316 276,
link 86 -, linkat 265 37, symlink 88 -, symlinkat 266 36, mknod 133 -, mknodat 259 33,
truncate 76 45, chmod 90 -, fchmod 91 52, fchmodat 268 53, utime 132 -, utimes 235 -,
futimesat 261 -, utimensat 280 88, chown 92 -, fchown 93 55, lchown 94 -, fchownat 260 54,
setxattr 188 5, lsetxattr 189 6, fsetxattr 190 7, getxattr 191 8, lgetxattr 192 9,
fgetxattr 193 10, listxattr 194 11, llistxattr 195 12, flistxattr 196 13, removexattr 197 14,
lremovexattr 198 15, fremovexattr 199 16
"""

#: Processes, threads, signals.
_PROCESSES = """
clone 56 220, clone3 435 435, fork 57 -, vfork 58 -, execve 59 221, exit 60 93, exit_group 231 94,
wait4 61 260, waitid 247 95, kill 62 129, tgkill 234 131, tkill 200 130, setsid 112 157,
setpgid 109 154, prctl 157 167, arch_prctl 158 -, set_tid_address 218 96, set_robust_list 273 99,
rseq 334 293, futex 202 98, futex_waitv 449 449, rt_sigaction 13 134, rt_sigprocmask 14 135,
rt_sigreturn 15 139, rt_sigpending 127 136, rt_sigtimedwait 128 137, rt_sigsuspend 130 133,
sigaltstack 131 132, pause 34 -, restart_syscall 219 128, getpid 39 172, getppid 110 173,
gettid 186 178, getpgid 121 155, getpgrp 111 -, getsid 124 156, getuid 102 174, geteuid 107 175,
getgid 104 176, getegid 108 177, getresuid 118 148, getresgid 120 150, getgroups 115 158,
capget 125 90, capset 126 91, getrlimit 97 163, setrlimit 160 164, prlimit64 302 261,
getrusage 98 165, getpriority 140 141, sched_yield 24 124, sched_getaffinity 204 123,
sched_setaffinity 203 122, sched_getparam 143 121, sched_getscheduler 145 120,
sched_get_priority_max 146 125, sched_get_priority_min 147 126, sched_rr_get_interval 148 127,
pidfd_open 434 434, pidfd_send_signal 424 424
"""

#: Time, the machine, sockets, locks on oneself.
_REST = """
nanosleep 35 101, clock_nanosleep 230 115, clock_gettime 228 113, clock_getres 229 114,
gettimeofday 96 169, time 201 -, times 100 153, alarm 37 -, getitimer 36 102, setitimer 38 103,
timer_create 222 107, timer_settime 223 110, timer_gettime 224 108, timer_getoverrun 225 109,
timer_delete 226 111, sysinfo 99 179, uname 63 160, getrandom 318 278, getcpu 309 168,
socketpair 53 199, sendto 44 206, recvfrom 45 207, sendmsg 46 211, recvmsg 47 212,
shutdown 48 210, getsockname 51 204, getpeername 52 205, getsockopt 55 209, seccomp 317 277,
landlock_create_ruleset 444 444, landlock_add_rule 445 445, landlock_restrict_self 446 446
"""

#: Calls up to this number existed when the list was made; what is newer "does not exist".
NEWEST: Final = 450


def _column(column: int) -> dict[str, int]:
    rows = (row.split() for row in ",".join((_FILES, _PATHS, _PROCESSES, _REST)).split(","))
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


NUMBERS: Final[dict[Machine, dict[str, int]]] = {"x86_64": _column(1), "aarch64": _column(2)}

#: ``AUDIT_ARCH_*`` of linux/audit.h: what a filter sees as the machine of a call.
AUDIT: Final[dict[Machine, int]] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
