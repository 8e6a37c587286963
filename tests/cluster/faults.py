"""One fault of each kind, done to a study while it runs in the private Slurm."""

import shlex
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from clone import Clone

MODEL = "qwen2-small"
#: Fault -> the comment of the Slurm job that suffers it; the executor names job and wildcards so.
VICTIMS = {
    "controller restarted": f"rule_pretrain_wildcards_{MODEL}",
    "sbatch refused": "rule_prepare_wildcards_codesum",
    "sbatch timed out": "rule_suite_wildcards_summaries",
    "scancel": "rule_prepare_wildcards_codegen",
    "time limit": "rule_statistics",
    "requeue": f"rule_sft_wildcards_{MODEL}_mix-p100",
    "node down": f"rule_sft_wildcards_{MODEL}_sft-codesum-p100",
    "out of memory": f"rule_score_wildcards_{MODEL}_base",
}


class Faults:
    """A run of the study, and what was done to it when."""

    def __init__(self, study: Clone, shims: Path) -> None:
        assert study.lab is not None
        self.study, self.lab = study, study.lab
        self.done: dict[str, str] = {}
        self.saved: dict[str, int] = {}
        self.output = ""
        self.fallen: dict[str, str] | None = None
        shims.mkdir(parents=True)
        known = {"here": str(shims), "sbatch": str(shutil.which("sbatch"))}
        known |= {"refused": VICTIMS["sbatch refused"], "unheard": VICTIMS["sbatch timed out"]}
        known |= {"starved": VICTIMS["out of memory"]}
        head = "".join(f"{name}={shlex.quote(value)}\n" for name, value in known.items())
        script = (Path(__file__).parent / "etc/sbatch.bash").read_text(encoding="utf-8")
        (shims / "sbatch").write_text(f"#!/bin/bash\n{head}{script}", encoding="utf-8")
        (shims / "sbatch").chmod(0o755)
        self.calls = shims / "calls"
        study.before_path = shims

    def run(self, *arguments: str) -> None:
        """Run Snakemake while the faults happen."""
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(over,))
        watcher.start()
        try:
            self.output = self.study.snakemake(*arguments, timeout=1500)
        finally:
            over.set()
            watcher.join()

    def _watch(self, over: threading.Event) -> None:
        actions: dict[str, Callable[[dict[str, str]], bool]] = {
            "controller restarted": self._restart_controller,
            "scancel": lambda job: self._tell("scancel", job["id"]),
            "time limit": lambda job: self._tell(
                "scontrol", "update", f"JobId={job['id']}", "EndTime=now"
            ),
            "requeue": self._requeue,
            "node down": self._crash,
        }
        while not over.is_set():
            self.lab.revive_controller()
            queue = self.lab.queue()
            self._repair(queue)
            for job in queue:
                for fault in [name for name in actions if VICTIMS[name] == job["comment"]]:
                    if job["state"] == "RUNNING" and actions[fault](job):
                        del actions[fault]
                        self.done[fault] = job["id"]
                if job["state"] == "PENDING":
                    # After a fault Slurm lets a job wait for two minutes; tests need not.
                    self._tell("scontrol", "update", f"JobId={job['id']}", "StartTime=now")
            over.wait(0.5)

    def _tell(self, *command: str) -> bool:
        self.lab.call(*command, check=False)
        return True

    def _restart_controller(self, job: dict[str, str]) -> bool:
        self.lab.end("slurmctld")
        time.sleep(15)
        self.lab.start_controller()
        return True

    def _requeue(self, job: dict[str, str]) -> bool:
        # After the crash, and elsewhere: Slurm 22.05 loses the GPUs of a requeued job whose node
        # fails before that has let it go; its next start ends with "Invalid generic resource".
        on_fallen = self.fallen is not None and job["node"] == self.fallen["node"]
        if "node down" not in self.done or on_fallen or not self._has_saved("mix-p100"):
            return False
        return self._tell("scontrol", "requeue", job["id"])

    def _crash(self, job: dict[str, str]) -> bool:
        if not self._has_saved("sft-codesum-p100"):
            return False
        self.lab.crash_node(job["node"])
        self.fallen = job
        return True

    def _repair(self, queue: list[dict[str, str]]) -> None:
        """Start the node that crashed, once Slurm has started the job elsewhere."""
        if self.fallen is None:
            return
        number, node = self.fallen["id"], self.fallen["node"]
        if any(j["id"] == number and j["state"] == "RUNNING" and j["node"] != node for j in queue):
            self.lab.start_node(node)
            self.fallen = None

    def _has_saved(self, variant: str) -> bool:
        """Whether a training run has a checkpoint to resume from; notes the step of the last."""
        folder = self.study.results / "scratch/sft" / MODEL / variant / "trainer"
        steps = [int(path.name.partition("-")[2]) for path in folder.glob("checkpoint-*")]
        whole = [s for s in steps if (folder / f"checkpoint-{s}/trainer_state.json").exists()]
        self.saved[variant] = max(whole, default=0)
        return bool(whole)
