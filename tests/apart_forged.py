"""Solutions that try to pass unit tests without being right, for tests of judging by such."""

from apart_material import YES

#: Name -> a solution that tries to pass without being right.
FORGED: dict[str, str] = {
    "wrong": "def f(x):\n    return x\n",
    "agrees to everything": YES.replace("BASE", "object"),
    "agrees, as a number": YES.replace("BASE", "float"),
    "agrees, as a text": YES.replace("BASE", "str"),
    "agrees, as a list": YES.replace("BASE", "list"),
    "a class itself": """
        class Kind(type):
            __eq__ = lambda cls, other: True
            __contains__ = lambda cls, other: True
            __hash__ = lambda cls: 0
        class C(metaclass=Kind):
            startswith = count = lambda *a: True
        def f(x):
            return C
        """,
    "a function with a text's methods": """
        def f(x):
            def g(*a):
                return True
            g.startswith = g.count = g
            return g
        """,
    "a named tuple with fields that hide a tuple's methods": """
        class T(tuple):
            _fields = ("__eq__",)
        def f(x):
            return T([lambda *a: True])
        """,
    "a type that holds numbers": "import re\ndef f(x):\n    return re.RegexFlag\n",
    "an array that agrees": """
        import numpy as np
        class A(np.ndarray):
            def __eq__(self, other):
                return np.ones(1, bool).view(A)
            def __array_ufunc__(self, *a, **k):
                return True
            def all(self, *a):
                return True
            def __len__(self):
                return 4
        class B:
            def __array__(self, *a, **k):
                return np.array([1.5, 1.5])
            __array_priority__ = 10**9
            __array_ufunc__ = __array_function__ = lambda self, *a, **k: True
            __len__ = lambda self: 4
        def f(x):
            return B() if x == [1.5] else np.zeros(1).view(A)
        """,
    "an iterator": "def f(x):\n    return iter([x])\n",
    "patches pytest": """
        import pytest, _pytest.runner, _pytest.python
        class Passed:
            def __init__(self, *a, **k): pass
        pytest.raises = pytest.approx = lambda *a, **k: a[0]
        _pytest.runner.call_runtest_hook = lambda *a, **k: None
        _pytest.python.Function.runtest = lambda self: None
        def f(x):
            return x
        """,
    "patches builtins": """
        import builtins, math, operator
        builtins.abs = lambda x: 0
        builtins.AssertionError = type("E", (BaseException,), {})
        math.isclose = operator.eq = lambda *a: True
        def f(x):
            return x
        """,
    "walks the frames": """
        import sys
        def f(x):
            frame = sys._getframe()
            while frame:
                for value in [*frame.f_locals.values(), *frame.f_globals.values()]:
                    for name in ("passed", "forfeited", "count"):
                        try:
                            setattr(value, name, 3 if name == "passed" else False)
                        except Exception:
                            pass
                    if isinstance(value, dict) and "passed" in value:
                        value["passed"] = 3
                frame = frame.f_back
            return x
        """,
    "walks the collector's objects": """
        import gc
        def f(x):
            for value in gc.get_objects():
                if type(value).__name__ in ("_Count", "ExaminerLink", "SolutionLink"):
                    vars(value).update(passed=3, forfeited=False)
            return x
        """,
    "skips": "import pytest\ndef f(x):\n    pytest.skip('no')\n",
    "skips as unittest does": "import unittest\ndef f(x):\n    raise unittest.SkipTest('no')\n",
    "an exception that calls itself pytest's": """
        class Skipped(BaseException):
            __module__ = "_pytest.outcomes"
            allow_module_level = True
        def f(x):
            raise Skipped("no")
        """,
    "ends pytest": "import pytest\ndef f(x):\n    pytest.exit('', 0)\n",
    "interrupts": "def f(x):\n    raise KeyboardInterrupt\n",
    "exits": "import sys\ndef f(x):\n    sys.exit(0)\n",
    "exits at once": "import sys\nsys.exit(0)\n",
    "ends the process": "import os\ndef f(x):\n    os._exit(0)\n",
    "ends the process at once": "import os\nos._exit(0)\n",
    "is killed": "import os, signal\ndef f(x):\n    signal.raise_signal(9)\n",
    "closes its pipes": "import os\ndef f(x):\n    os.closerange(0, 100)\n    return x\n",
    "answers for the examiner": """
        import os
        from judgebox import codec
        def f(x):
            said = b"E" + codec.pack({"passed": 3, "interface": []})
            for n in range(3, 20):
                try:
                    os.write(n, len(said).to_bytes(8, "little") + said)
                except OSError:
                    pass
            return x
        """,
    "sends what is no message": """
        import os
        def f(x):
            os.write(4, (5).to_bytes(8, "little") + b"xxxxx")
            return x
        """,
    "floods the pipe": """
        import os
        def f(x):
            while True:
                os.write(4, bytes(2**16))
        """,
    "replaces the stack under it": """
        import gc
        from judgebox.harness.link import Link
        from judgebox import codec
        def pack(self, do, at=None, **values):
            return codec.pack(["reply", {"out": []}, [], {"value": 0}, [["y", 0]]])
        Link.pack = pack
        def f(x):
            return x
        """,
    "names a function of the examiner's": """
        from judgebox.harness.link import Link
        from judgebox import codec
        def f(x):
            Link.pack = lambda self, do, at=None, **values: codec.pack(
                ["reply", {"out": []}, [], {"value": 0}, [["g", [["builtins", "exec"]]]]]
            )
            return x
        """,
    "leaves a thread that answers": """
        import threading, os, time
        from judgebox import codec
        said = b"E" + codec.pack({"passed": 3, "interface": []})
        def say():
            while True:
                os.write(4, len(said).to_bytes(8, "little") + said)
                time.sleep(0.01)
        threading.Thread(target=say, daemon=True).start()
        def f(x):
            return x
        """,
    "writes files that pytest reads": """
        from pathlib import Path
        for name in ("conftest.py", "math.py", "pytest.py", "test_solution.py", "pytest.ini"):
            Path("/tmp", name).write_text("def test_a(): pass\\n")
        def f(x):
            return x
        """,
    "imports the tests": """
        def f(x):
            try:
                import test_solution
            except ImportError:
                return x
            return x * 2
        """,
    "finds the tests' files": """
        import os, glob
        def f(x):
            found = glob.glob("/proc/*/cwd/test*.py")
            for folder in ("/tmp", "/dev/shm"):
                found += glob.glob(folder + "/**/test*.py", recursive=True)
            return x * 2 if found else x
        """,
}
