# expect: pass
# problem: open
# honest: answers rightly; the handlers that it leaves must bother nobody
# ruff: noqa
"""Installs handlers everywhere: warnings, logging, excepthook, displayhook, audit hooks, codecs."""

import codecs
import copyreg
import logging
import sys
import threading
import warnings


def hook(*arguments, **named):
    raise SystemExit(0)
    return None


def ignored(event, arguments):
    return None


def solve(numbers):
    warnings.showwarning = hook
    logging.raiseExceptions = True
    logging.lastResort = hook
    sys.excepthook = sys.unraisablehook = sys.displayhook = threading.excepthook = hook
    sys.addaudithook(ignored)
    codecs.register_error("strict", lambda error: ("pass", error.end))
    copyreg.dispatch_table[int] = lambda value: (int, (1,))
    return sum(n for n in numbers if n > 0)
