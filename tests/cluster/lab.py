"""A Slurm of one's own on loopback: munge, MariaDB with slurmdbd, slurmctld, two slurmd with GPUs.

Nodes n1 and n2 (8 processors, 16 GB and 4 GPUs each, as far as Slurm knows) lie on this machine;
the GPUs are device files that do nothing. Partitions: cpu (the default) and gpu on both nodes,
urgent (preempts), scav (is preempted and requeued). It needs root and Debian's packages.
Every process is ended by its own id; nothing outside its directory is touched but the links
/etc/slurm/{slurm,gres,cgroup}.conf, because Snakemake's job steps find Slurm by that path alone.
"""

import fcntl
import os
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

from machine import ETC, MEMORY, free_ports, memory_limits, quiet, remove_cgroups, wait_until

NODES = ("n1", "n2")
_LOCK = Path("/tmp/mixmerge-slurm.lock")


class Lab:
    """One private Slurm; as a context it is up inside and gone after."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.etc, self.run, self.log = root / "etc", root / "run", root / "log"
        self.limits_memory = memory_limits()
        self.environment = {**os.environ, "SLURM_CONF": str(self.etc / "slurm.conf")}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        # By this the processes of our jobs are told from those of another Slurm.
        self.environment["MIXMERGE_LAB"] = str(root)
        self._lock = _LOCK.open("w")
        self._database: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Lab":
        # One lab a machine: a second session of tests waits here.
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            self._configure()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if (self.run / "slurmctld.pid").exists():
            self._cancel_all()
        for name in (*(f"slurmd.{node}" for node in NODES), "slurmctld", "slurmdbd", "munged"):
            self.end(name)
        if self._database:
            self._database.kill()  # nothing in it is needed any more
            self._database.wait()
        for name in ("slurm", "gres", "cgroup"):
            link = ETC / f"{name}.conf"
            if link.is_symlink() and link.readlink() == self.etc / f"{name}.conf":
                link.unlink()
        remove_cgroups(f"mixmerge-{self.root.name}-")
        self._lock.close()

    def call(self, *command: str, check: bool = True) -> str:
        """The output of one of Slurm's commands."""
        result = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        if check and result.returncode:
            raise RuntimeError(f"{' '.join(command)}: {result.stdout}{result.stderr}")
        return result.stdout

    def _cancel_all(self) -> None:
        """Cancel all jobs and wait for their processes: they outlive slurmd."""
        for job in self.queue():
            self.call("scancel", job["id"], check=False)
        try:
            wait_until(lambda: not self.queue(), "all jobs end", 30)
        except TimeoutError:
            for node in NODES:
                self.crash_node(node)

    def queue(self) -> list[dict[str, str]]:
        """Jobs that wait, run or end now, each with id, state, comment (its rule) and node."""
        listed = self.call("squeue", "-h", "-o", "%A|%T|%k|%N", check=False)
        names = ("id", "state", "comment", "node")
        return [dict(zip(names, line.split("|"), strict=True)) for line in listed.splitlines()]

    def records(self, folder: Path) -> list[dict[str, str]]:
        """Slurm's accounting: a row for each time that a job submitted from a folder ran.

        The rows of a job's steps (JobIDRaw 7.batch, 7.0) follow it.
        """
        fields = "JobIDRaw,Comment,Partition,NodeList,ReqTRES,AllocTRES,State,Start,End,Timelimit"
        fields += ",WorkDir"
        listed = self.call("sacct", "-D", "-P", "-n", "-S", "now-1day", "-o", fields)
        rows = [
            dict(zip(fields.split(","), line.split("|"), strict=True))
            for line in listed.splitlines()
        ]
        mine = {row["JobIDRaw"] for row in rows if row["WorkDir"] == str(folder)}
        return [row for row in rows if row["JobIDRaw"].partition(".")[0] in mine]

    def crash_node(self, node: str) -> None:
        """A node's power fails: slurmd and every process of its jobs are gone at once."""
        self.end(f"slurmd.{node}", signal.SIGKILL)
        # Until none is left: what the node was about to start dies with it.
        while victims := self._processes(node):
            for pid in victims:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _processes(self, node: str) -> list[int]:
        """What runs on a node; first the daemons, who would tell slurmctld how the jobs ended."""
        marks = {f"SLURMD_NODENAME={node}".encode(), f"MIXMERGE_LAB={self.root}".encode()}
        log = str(self.log / f"slurmd.{node}.log")
        daemons, jobs = [], []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # ended meanwhile
                if any(str(file.readlink()) == log for file in (entry / "fd").iterdir()):
                    daemons.append(int(entry.name))
                elif marks <= set((entry / "environ").read_bytes().split(b"\0")):
                    jobs.append(int(entry.name))
        return daemons + jobs

    def end(self, name: str, sig: signal.Signals = signal.SIGTERM) -> None:
        """End the daemon of that name (slurmctld, slurmd.n1, ...) and wait until it is gone."""
        file = self.run / f"{name}.pid"
        if not (file.is_file() and file.read_text().strip()):
            return
        pid = int(file.read_text())
        try:
            os.kill(pid, sig)
            wait_until(lambda: not Path(f"/proc/{pid}").exists(), f"{name} ends", 15)
        except ProcessLookupError:
            pass
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
        file.unlink(missing_ok=True)

    def start_controller(self) -> None:
        """Start slurmctld with whatever state the last one saved."""
        self._daemon("slurmctld", "-f", str(self.etc / "slurm.conf"))
        wait_until(lambda: "UP" in self.call("scontrol", "ping", check=False), "slurmctld is up")

    def revive_controller(self) -> None:
        """Start slurmctld again where it crashed, as a cluster's service manager does.

        Slurm 22.05's was seen to end by SIGSEGV while it allocated a job on a node that had just
        come back.
        """
        pid = (self.run / "slurmctld.pid").read_text().strip()
        if not Path(f"/proc/{pid}").exists():
            self.start_controller()

    def start_node(self, node: str) -> None:
        """Start the slurmd of a node."""
        command = ["slurmd", "-f", str(self.etc / "slurm.conf"), "-N", node]
        if self.limits_memory:
            # Nodes must not share a cgroup of the same job: the end of one would look like OOM.
            own = MEMORY / f"mixmerge-{self.root.name}-{node}"
            own.mkdir(exist_ok=True)
            mount = f"mount -t tmpfs none {self.root}/cg && mkdir {self.root}/cg/memory"
            mount += f" && mount -t cgroup -o memory none {self.root}/cg/memory"
            inside = f'mount --make-rprivate / && {mount} && exec "$@"'
            enter = f'echo $$ > {own}/cgroup.procs && exec unshare -m -C bash -c "$0" bash "$@"'
            command = ["bash", "-c", enter, inside, *command]
        self._daemon(*command, log=f"slurmd.{node}.out")

    def _daemon(self, *command: str, log: str | None = None) -> None:
        """Run a program that goes to the background by itself."""
        with (self.log / (log or f"{command[0]}.out")).open("ab") as output:
            subprocess.run(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                check=True,
                timeout=60,
            )

    def _configure(self) -> None:
        for folder in ("etc", "run", "log", "state", "spool/n1", "spool/n2", "dev", "cg", "mysql"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        for folder in (self.root, self.run, self.log):
            folder.chmod(0o755)
        for number in range(4):
            # Slurm wants character devices; these are copies of /dev/null.
            os.mknod(self.root / f"dev/gpu{number}", 0o20666, os.makedev(1, 3))
        key = self.etc / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self.ports = free_ports(("slurmctld", "slurmdbd", "mariadb", *NODES))
        task = "none\nJobAcctGatherParams=OverMemoryKill"
        task = "cgroup" if self.limits_memory else task
        values = {"root": self.root, "host": socket.gethostname().split(".")[0], "task": task}
        for file in (Path(__file__).parent / "etc").glob("*.conf"):
            text = file.read_text(encoding="utf-8").format(**values, **self.ports)
            if file.name == "cgroup.conf" and not self.limits_memory:
                text = text.partition("\n")[0] + "\n"
            (self.etc / file.name).write_text(text, encoding="utf-8")
        (self.etc / "slurmdbd.conf").chmod(0o600)
        ETC.mkdir(exist_ok=True)
        for name in ("slurm", "gres", "cgroup"):
            link = ETC / f"{name}.conf"
            link.unlink(missing_ok=True)
            link.symlink_to(self.etc / f"{name}.conf")

    def _start(self) -> None:
        self._daemon(
            "munged",
            "--force",
            f"--key-file={self.etc}/munge.key",
            f"--socket={self.run}/munge.sock",
            f"--pid-file={self.run}/munged.pid",
            f"--log-file={self.log}/munged.log",
            f"--seed-file={self.root}/state/munge.seed",
        )
        wait_until((self.run / "munge.sock").exists, "munged is up")
        self._start_database()
        self._daemon("slurmdbd")
        wait_until(lambda: self._accounting("list", "cluster") == 0, "slurmdbd is up")
        for entity in ("cluster lab", "account lab", "user root account=lab"):
            self._accounting("-i", "add", *entity.split())
        self.start_controller()
        for node in NODES:
            self.start_node(node)
        idle = ("sinfo", "-h", "-N", "-p", "cpu", "-t", "idle,mix,alloc", "-o", "%N")
        wait_until(lambda: set(self.call(*idle).split()) == set(NODES), "both nodes are idle")

    def _accounting(self, *command: str) -> int:
        return subprocess.run(
            ("sacctmgr", *command), env=self.environment, capture_output=True, timeout=60
        ).returncode

    def _start_database(self) -> None:
        data, sock = self.root / "mysql", self.run / "mysql.sock"
        with (self.log / "mariadb.log").open("ab") as output:
            install = f"""mariadb-install-db --no-defaults --user=root --datadir={data}
                --auth-root-authentication-method=normal --skip-test-db"""
            subprocess.run(install.split(), stdout=output, stderr=output, check=True, timeout=120)
            serve = f"""mariadbd --no-defaults --user=root --datadir={data} --socket={sock}
                --bind-address=127.0.0.1 --port={self.ports["mariadb"]}
                --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900
                --innodb-flush-log-at-trx-commit=0"""
            self._database = subprocess.Popen(
                serve.split(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        client = ("mariadb", "--no-defaults", "-S", str(sock), "-uroot", "-e")
        wait_until(lambda: quiet(*client, "select 1") == 0, "mariadb is up")
        grants = "create database slurm_acct; create user slurm@'%' identified by 'slurm';"
        quiet(*client, grants + " grant all on slurm_acct.* to slurm@'%'")
