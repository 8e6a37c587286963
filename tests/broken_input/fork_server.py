"""Runs stage scripts, each in a fork of one process that has imported the libraries already.

Started by `broken_material.Server`. A run is the script as the rule calls it: its own file as
``__main__``, its own arguments, working directory, standard error and exit code. Only the seconds
that importing torch takes are spent once instead of a hundred times.

Requests and answers are lines of JSON on standard input and output.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

#: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and CAP_FOWNER: what lets root read what it may not.
_OVERRIDES = (1, 2, 3)
_CAPABILITY_VERSION = 0x20080522


def obey_permissions() -> None:
    """Give up root's right to read and write whatever it likes; root stays root otherwise."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then their upper halves
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    for bit in _OVERRIDES:
        sets[0] &= ~(1 << bit)
        sets[1] &= ~(1 << bit)
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def become(request: dict[str, Any]) -> None:
    """Turn this fork into the script's process."""
    os.chdir(request["cwd"])
    for number, path in ((0, os.devnull), (1, request["stdout"]), (2, request["stderr"])):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        file = os.open(path, flags)
        os.dup2(file, number)
        os.close(file)
    os.environ.update(request["environment"])
    if request["obedient"]:
        obey_permissions()
    sys.argv = [request["script"], *request["arguments"]]


def execute(script: str) -> None:
    """Run what ``sys.argv`` says: a file, or a module's ``main``."""
    if script.endswith(".py"):
        runpy.run_path(script, run_name="__main__")
    else:
        importlib.import_module(script).main()


def ended(script: str) -> int:
    """Run a script to its end and say how an interpreter would: its exit code.

    An interpreter would then take every module apart, which for torch's lasts longer than most
    scripts; nothing depends on it.
    """
    code: object = 0
    try:
        execute(script)
    except SystemExit as exit:
        code = exit.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Wait for the script's fork, or mount."""
    if request["do"] == "mount":
        Path(request["at"]).mkdir(exist_ok=True)
        options = ["-o", request["options"], "mixmerge-test", request["at"]]
        subprocess.run(["mount", "-t", "tmpfs", *options], check=True)
        return {}
    pid = os.fork()
    if not pid:
        return {"child": True}
    _, status, usage = os.wait4(pid, 0)
    return {"code": os.waitstatus_to_exitcode(status), "cpu": usage.ru_utime + usage.ru_stime}


def main() -> None:
    """Serve until standard input ends."""
    # What is imported must not write between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for module in sys.argv[1:]:
        importlib.import_module(module)
    # Forks share what is there only as long as no garbage collection writes on it.
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        found = answer(request)
        if "child" in found:
            answers.close()
            break
        print(json.dumps(found), file=answers, flush=True)
    else:
        return
    become(request)
    os._exit(ended(request["script"]))


if __name__ == "__main__":
    main()
