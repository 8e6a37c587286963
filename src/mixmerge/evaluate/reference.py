"""A reference solution's outputs, which become a problem's expected ones."""

import math
import struct
from collections.abc import Callable
from pathlib import Path

from judgebox import codec
from judgebox.exchange import batch
from judgebox.limits import Limits
from mixmerge.evaluate import testset
from mixmerge.evaluate.bench import Bench
from mixmerge.evaluate.problems import coarse_seconds

#: Seconds that a reference may take for all inputs of a set: it is trusted to end.
_SECONDS = 540.0
#: Bytes that all its outputs may have.
_OUTPUT_BYTES = 16 * 2**30
#: Inputs that are sent at once.
_AT_ONCE = 16


#: Runs of a reference that something else than itself may have ended.
_RUNS = 3


class Failed(Exception):
    """A reference that raised, was ended, or returned what is no data."""


class Starved(Failed):
    """A reference that something else may have ended, as a machine out of memory."""


def expect(
    bench: Bench, draft: str, tests: str, code: str, entry_point: str, not_none: bool
) -> dict[str, object]:
    """Run a reference over the inputs in ``draft`` and write them with its outputs to ``tests``.

    Args:
        bench: where it runs.
        draft: file of test sets without outputs.
        tests: file that is written.
        code: the program.
        entry_point: its function.
        not_none: whether of its outputs only their presence counts.

    Returns:
        ``error``: what went wrong, or None. ``seconds``: processor time that it took, coarsely.
    """
    request = {"code": code, "entry_point": entry_point, "truth": True, "not_none": not_none}
    request["seed"] = 0
    error: Exception | None = None
    for _ in range(_RUNS):
        try:
            with testset.Reader(Path(draft)) as given, testset.Writer(Path(tests)) as out:
                sets = {name: given.read(name) for name in given.names}
                seconds = [_write(bench, codec.pack(request), *one, out) for one in sets.items()]
            return {"error": None, "seconds": sum(seconds)}
        except Starved as found:
            error = found
        except (Failed, codec.CodecError) as found:
            error = found
            break
    return {"error": str(error)}


def _write(
    bench: Bench, request: bytes, name: str, given: testset.TestSet, out: testset.Writer
) -> float:
    """Write one set; returns the reference's seconds, coarsely.

    Raises:
        Failed, CodecError: it has no outputs, or some that can't be kept.
    """
    out.begin(name, given.inputs(0, len(given)))
    if not len(given):
        return 0.0
    bounds = Limits(_SECONDS, _SECONDS, bench.memory_bytes, output_bytes=_OUTPUT_BYTES)
    total, made = 0.0, 0
    with bench.box.start("calls", request, bounds) as running:
        asked = _ask(running.send, given, 0)
        for frame in running.frames():
            kind, content = frame[:1], frame[1:]
            if kind == b"P":
                out.piece(content)
            elif kind == b"O" and len(content) == 8 and made < asked:
                (seconds,) = struct.unpack("<d", content)
                out.end(coarse_seconds(seconds if math.isfinite(seconds) else 0.0))
                total += coarse_seconds(seconds)
                made += 1
                if made == len(given):
                    running.kill()
                    return total
                if made == asked:
                    asked = _ask(running.send, given, asked)
            else:
                raise Failed(content[:1000].decode(errors="replace"))
        ended = running.wait()
    raise (Starved if ended.starved else Failed)(f"ended early: {ended.reason} {ended.code}")


def _ask(send: Callable[[bytes], None], given: testset.TestSet, first: int) -> int:
    """Send the next inputs; returns how many are sent by now."""
    last = min(first + _AT_ONCE, len(given))
    send(batch([0.0] * (last - first), given.inputs(first, last)))
    return last
