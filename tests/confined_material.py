"""What the tests of seccomp and of the landlock backend share: calls that must be refused."""

#: System calls that no filter lets through: name -> numbers on x86_64 and aarch64 (None: none).
#: With -1 for all arguments each of them does nothing even where it is let through.
REFUSED: dict[str, tuple[int, int | None]] = {
    # sockets
    "socket": (41, 198),
    "connect": (42, 203),
    "accept": (43, 202),
    "accept4": (288, 242),
    "bind": (49, 200),
    "listen": (50, 201),
    "setsockopt": (54, 208),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "sendmmsg": (307, 269),
    "recvmmsg": (299, 243),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "get_robust_list": (274, 100),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    # namespaces and mounts
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    # memory and messages outside of all accounts
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "mq_timedsend": (242, 182),
    "mq_timedreceive": (243, 183),
    "mq_notify": (244, 184),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "vmsplice": (278, 75),
    "splice": (275, 76),
    "tee": (276, 77),
    "sendfile": (40, 71),
    "remap_file_pages": (216, 234),
    "mbind": (237, 235),
    # the kernel's less trodden paths
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_setup": (206, 0),
    "io_submit": (209, 2),
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "seccomp": (317, 277),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
    "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "execveat": (322, 281),
    "personality": (135, 92),
    # the machine
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "syslog": (103, 116),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "uselib": (134, None),
    "sync": (162, 81),
    "syncfs": (306, 267),
    # who one is
    "setuid": (105, 146),
    "setgid": (106, 144),
    "setreuid": (113, 145),
    "setregid": (114, 143),
    "setresuid": (117, 147),
    "setresgid": (119, 149),
    "setfsuid": (122, 151),
    "setfsgid": (123, 152),
    "setgroups": (116, 159),
    "capset": (126, 91),
}

#: Namespaces that clone could make, and the one flag that would give a child to someone else.
CLONE_FLAGS = {
    "CLONE_NEWTIME": 0x80,
    "CLONE_PARENT": 0x8000,
    "CLONE_NEWNS": 0x20000,
    "CLONE_NEWCGROUP": 0x2000000,
    "CLONE_NEWUTS": 0x4000000,
    "CLONE_NEWIPC": 0x8000000,
    "CLONE_NEWUSER": 0x10000000,
    "CLONE_NEWPID": 0x20000000,
    "CLONE_NEWNET": 0x40000000,
}

#: A program that makes raw system calls; needs REFUSED, CLONE and COLUMN (0: x86_64, 1: aarch64)
#: and leaves the error numbers in FOUND (0: it worked).
RAW_CALLS = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)

def raw(number, *arguments):
    words = [ctypes.c_ulong(word & (2**64 - 1)) for word in arguments]
    result = libc.syscall(ctypes.c_long(number), *words)
    return result, (ctypes.get_errno() if result == -1 else 0)

FOUND = {}
for name, numbers in REFUSED.items():
    if numbers[COLUMN] is not None:
        FOUND[name] = raw(numbers[COLUMN], *[-1] * 6)[1]
FOUND["msgget"] = raw((68, 186)[COLUMN], 0x6d69786d, 0)[1]
for name, flag in CLONE.items():
    pid, FOUND[name] = raw((56, 220)[COLUMN], flag | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    if pid > 0 and name != "CLONE_PARENT":
        os.waitpid(pid, 0x40000000)  # __WALL
arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17)
pid, FOUND["clone3"] = raw(435, ctypes.addressof(arguments), 88)
if pid == 0:
    os._exit(0)
FOUND["openat2"] = raw(437, -1, -1, -1, -1)[1]
FOUND["a call of tomorrow"] = raw(451, -1, -1, -1, -1)[1]
FOUND["x32 getpid"] = raw(0x40000000 | 39)[1] if COLUMN == 0 else errno.ENOSYS
FOUND["shared anonymous memory"] = raw((9, 222)[COLUMN], 0, 4096, 3, 0x21, -1, 0)[1]
FOUND["prlimit of another"] = raw((302, 261)[COLUMN], os.getppid(), 0, 0, 0)[1]
FOUND["prctl PDEATHSIG"] = raw((157, 167)[COLUMN], 1, 9, 0, 0, 0)[1]
FOUND["prctl SUBREAPER"] = raw((157, 167)[COLUMN], 36, 1, 0, 0, 0)[1]
FOUND["fcntl F_SETOWN"] = raw((72, 25)[COLUMN], 0, 8, os.getpid())[1]
FOUND["fcntl F_SETSIG"] = raw((72, 25)[COLUMN], 0, 10, 9)[1]
FOUND["a pair of datagram sockets"] = raw((53, 199)[COLUMN], 1, 2, 0, -1)[1]
FOUND["a pair of internet sockets"] = raw((53, 199)[COLUMN], 2, 1, 0, -1)[1]
FOUND["a device"] = raw((259, 33)[COLUMN], -100, -1, 0o020600, 0x103)[1]
FOUND["ioctl TIOCSTI"] = raw((16, 29)[COLUMN], 0, 0x5412, -1)[1]
FOUND["ioctl FIOSETOWN"] = raw((16, 29)[COLUMN], 0, 0x8901, -1)[1]
"""


def expected(found: dict[str, int]) -> dict[str, int]:
    """The error numbers that RAW_CALLS must have found: EPERM, but for a few."""
    import errno

    answers = dict.fromkeys(found, errno.EPERM)
    for name in ("clone3", "openat2", "a call of tomorrow", "x32 getpid"):
        answers[name] = errno.ENOSYS
    for name in ("ioctl TIOCSTI", "ioctl FIOSETOWN"):
        answers[name] = errno.EOPNOTSUPP
    return answers
