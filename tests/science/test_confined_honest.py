"""The landlock backend: programs that mean no harm run as they do without it."""

import pytest

from confined_runs import MARKS, NEWEST, run
from judgebox import landlock
from judgebox.box import Box

pytestmark = MARKS

HONEST = """
import asyncio, concurrent.futures, json, multiprocessing, os, shutil, signal, subprocess, sys
import tempfile, threading, time
import numpy
FOUND = {}
with tempfile.TemporaryDirectory() as folder:
    open(os.path.join(folder, "a"), "w").write("text")
    shutil.copy2(os.path.join(folder, "a"), "b")
os.makedirs("c/d")
shutil.move("b", "c/d/b")
FOUND["files"] = [os.listdir("c/d"), open("c/d/b").read(), sorted(os.listdir("."))]
shutil.rmtree("c")
FOUND["home"] = os.path.expanduser("~") == tempfile.gettempdir() == os.getcwd()
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    FOUND["threads"] = list(pool.map(abs, [-1, -2]))
FOUND["asyncio"] = asyncio.run(asyncio.sleep(0.01, "slept"))
code = "import numpy; print(numpy.arange(4).sum())"
ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
FOUND["subprocess"] = [ran.stdout, ran.stderr]
spawned = os.posix_spawn(sys.executable, [sys.executable, "-c", "pass"], os.environ)
FOUND["spawn"] = os.waitpid(spawned, 0)[1]
child = multiprocessing.get_context("fork").Process(target=print)
child.start()
child.join()
FOUND["fork"] = child.exitcode
matrix = numpy.random.default_rng(0).random((300, 300))
FOUND["numpy"] = bool(numpy.allclose(matrix @ numpy.linalg.inv(matrix), numpy.eye(300)))
hits = []
signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.01)
time.sleep(0.1)
os.kill(os.getpid(), signal.SIGALRM)
FOUND["signals"] = len(hits)
FOUND["random"] = len(open("/dev/urandom", "rb").read(8))
sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3)"])
try:
    sleeper.kill()
    FOUND["kill a child"] = sleeper.wait()
except PermissionError:
    FOUND["kill a child"] = "refused"
send(json.dumps(FOUND).encode())
"""


@pytest.mark.parametrize("version", [1, NEWEST])
def test_honest_programs_do_not_notice(version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "NEWEST", version)
    with Box(backend="landlock") as box:
        found, ended = run(box, HONEST)
    assert ended.reason == "exit" and ended.code == 0
    assert found == {
        "files": [["b"], "text", ["c"]],
        "home": True,
        "threads": [1, 2],
        "asyncio": "slept",
        "subprocess": ["6\n", ""],
        "spawn": 0,
        "fork": 0,
        "numpy": True,
        "signals": 2,
        "random": 8,
        # A filter knows numbers, not kinship: here alone an old landlock costs honest programs.
        "kill a child": -9 if version >= landlock.SCOPED else "refused",
    }
