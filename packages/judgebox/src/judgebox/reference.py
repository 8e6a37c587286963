"""Test cases out of a reference solution: its outputs become a problem's expected ones.

A problem brings either inputs, over which the reference is run (`expect`), or tests of its own,
which run twice in the box with a recorder around the reference (`record_reference` and
`judgebox.harness.record`): what it was called with, and what it returned or raised, become test
cases like any others. Then the reference is judged by its own calls, with other random numbers.

Tests that can't be recorded so are refused with a reason's key:

- ``reference_fails``, ``reference_slow``: the reference does not pass its tests, or not in time.
- ``reference_varies``: two recordings differ, or the reference fails by its own calls: results
  depend on chance, on state that the tests set up, or on objects of their own kind.
- ``classes``, ``no_function``: the tests use a class of the solution, or a value of it.
- ``argument_no_data``, ``result_no_data``: functions, iterators, objects went in, or came out.
- ``mutates_arguments``, ``prints``, ``threads``, ``fixtures``: arguments and results are not all
  that the tests look at.
- ``no_calls``: the tests call nothing.
- ``tests_nothing``: all results are None, empty lists or exceptions: hardly anything is asked.
"""

import math
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from judgebox import codec
from judgebox.box import Box
from judgebox.judging import PASS, Program
from judgebox.limits import Limits
from judgebox.protocol import batch, read_call
from judgebox.testcases import CaseSet, CaseWriter, TestCases
from judgebox.verdict import TIMEOUT, Clocks, check

#: Seconds that a reference may take for all inputs of a set: it is trusted to end.
_SECONDS = 540.0
#: Bytes that all its outputs may have.
_OUTPUT_BYTES = 16 * 2**30
#: Inputs that are sent at once.
_AT_ONCE = 16
#: Runs of a reference that something else than itself may have ended.
_RUNS = 3
#: Tolerance of floats in recorded results, absolute and relative.
TOLERANCE = 1e-6


class Failed(Exception):
    """A reference that raised, was ended, or returned what is no data."""


class Interrupted(Failed):
    """A reference that something else may have ended, as a machine out of memory."""


class Refused(Exception):
    """Tests that can't be recorded; the message is the reason's key."""


class Recording(NamedTuple):
    """What became of a reference under its own tests."""

    reason: str | None
    """Why they can't be recorded; None where they are."""

    seconds: float = 0.0
    """Processor time of all calls, coarsely."""

    calls: int = 0
    """Their number."""


class _Call(NamedTuple):
    """One recorded call: packed name and arguments, packed result or `codec.Raised`, seconds."""

    call: bytes
    result: bytes
    seconds: float


def coarse_seconds(seconds: float) -> float:
    """A measured time, rounded up to a power of two; 0 below a tenth of a second.

    Times only widen a test's limit where the reference is slow. Coarse ones are the same in
    nearly every run, so the ground truth's bytes are, too.
    """
    return 0.0 if seconds < 0.1 else float(2.0 ** math.ceil(math.log2(seconds)))


def expect(
    box: Box, draft: Path, cases: Path, program: Program, memory_bytes: int, not_none: bool
) -> float:
    """Run a reference over the inputs in ``draft`` and write them with its outputs to ``cases``.

    Args:
        box: where it runs.
        draft: file of test cases without outputs.
        cases: file that is written.
        program: the reference.
        memory_bytes: address space of the program.
        not_none: whether of its outputs only their presence counts.

    Returns:
        Processor time that it took, coarsely.

    Raises:
        Failed, CodecError: it raised, or returned what can't be kept.
    """
    request = codec.pack(
        {
            "code": program.code,
            "entry_point": program.entry_point,
            "truth": True,
            "not_none": not_none,
            "seed": 0,
        }
    )
    bounds = Limits(_SECONDS, _SECONDS, memory_bytes, output_bytes=_OUTPUT_BYTES)
    for run in range(1, _RUNS + 1):
        try:
            with TestCases(draft) as drafts, CaseWriter(cases) as out:
                return sum(
                    _write(box, request, bounds, name, drafts.read(name), out)
                    for name in drafts.names
                )
        except Interrupted:
            if run == _RUNS:
                raise
    raise AssertionError("not reached")


def _write(
    box: Box, request: bytes, bounds: Limits, name: str, inputs: CaseSet, out: CaseWriter
) -> float:
    """Write one set; returns the reference's seconds, coarsely."""
    out.begin(name, inputs.inputs(0, len(inputs)))
    if not len(inputs):
        return 0.0
    total, made = 0.0, 0
    with box.start("calls", request, bounds) as running:
        asked = _ask(running.send, inputs, 0)
        for frame in running.frames():
            kind, content = frame[:1], frame[1:]
            if kind == b"P":
                out.piece(content)
            elif kind == b"O" and len(content) == 8 and made < asked:
                (seconds,) = struct.unpack("<d", content)
                out.end(coarse_seconds(seconds if math.isfinite(seconds) else 0.0))
                total += coarse_seconds(seconds)
                made += 1
                if made == len(inputs):
                    running.kill()
                    return total
                if made == asked:
                    asked = _ask(running.send, inputs, asked)
            else:
                raise Failed(content[:1000].decode(errors="replace"))
        ended = running.wait()
    raise (Interrupted if ended.starved else Failed)(f"ended early: {ended.reason} {ended.code}")


def _ask(send: Callable[[bytes], None], inputs: CaseSet, first: int) -> int:
    """Send the next inputs; returns how many are sent by now."""
    last = min(first + _AT_ONCE, len(inputs))
    send(batch([0.0] * (last - first), inputs.inputs(first, last)))
    return last


def record_reference(
    box: Box,
    cases: Path,
    solution: str,
    tests: str,
    names: Sequence[str],
    *,
    form: Literal["pytest", "check"] = "pytest",
    prelude: str = "",
    oracle: str = "other",
    atol: float = TOLERANCE,
    seconds: float = 30.0,
    memory_bytes: int = Clocks().memory_bytes,
) -> Recording:
    """Record a reference solution under its own tests and write its calls to a file.

    Args:
        box: where it runs.
        cases: file that is written, of one set, "base"; its inputs are ``[name, arguments, named
            arguments]``. Programs are judged by it with ``Program.recorded``.
        solution: the reference.
        tests: the tests' program: a file for pytest that imports the module `solution`, or one
            that defines HumanEval's ``check(candidate)``.
        names: what the tests use of the solution; for "check" its one function.
        form: of the tests.
        prelude: program before the solution, and before HumanEval's tests.
        oracle: whose special oracles apply.
        atol: tolerance of floats.
        seconds: processor time of the reference under its tests; slower ones make no test for many
            candidates.
        memory_bytes: address space of a program.

    Raises:
        SetupError: no sandbox can be had.
    """
    request = codec.pack(
        {"form": form, "prelude": prelude, "code": solution, "test": tests, "names": [*names]}
    )
    # By the clock there is time enough for a machine that is shared by ten.
    limits = Limits(seconds, 10 * seconds + 10, memory_bytes)
    try:
        first, second = _recorded(box, request, limits), _recorded(box, request, limits)
        if [one[:2] for one in first] != [one[:2] for one in second]:
            raise Refused("reference_varies")
        _check_asks(first)
        times = [
            coarse_seconds(min(one.seconds, other.seconds))
            for one, other in zip(first, second, strict=True)
        ]
        with CaseWriter(cases) as out:
            out.begin("base", [one.call for one in first])
            for one, time in zip(first, times, strict=True):
                out.piece(one.result)
                out.end(time)
        program = Program(f"{prelude}\n{solution}", names[0], oracle, atol, recorded=True)
        with TestCases(cases) as sets:
            clocks = Clocks(seconds, 10.0, memory_bytes)
            outcome = check(box, program, sets.read("base"), clocks, alone=True, seed=1)
        if outcome.verdict != PASS:
            slow = outcome.verdict == TIMEOUT
            raise Refused("reference_slow" if slow else "reference_varies")
    except Refused as refused:
        return Recording(str(refused))
    return Recording(None, sum(times), len(first))


def _recorded(box: Box, request: bytes, limits: Limits) -> list[_Call]:
    """Run the tests once.

    Raises:
        Refused: they can't be recorded.
    """
    calls: list[_Call] = []
    with box.start("record", request, limits) as running:
        for frame in running.frames():
            if frame[:1] == b"E":
                raise Refused(frame[1:].decode(errors="replace")[:40])
            if frame[:1] == b"D":
                return calls
            call, part = None, "argument"
            try:
                call = _Call(*read_call(frame))
                codec.unpack(call.call, len(call.call), opaque=False)
                part = "result"
                codec.unpack(call.result, len(call.result), opaque=False)
            except (codec.CodecError, struct.error):
                raise Refused(f"{part}_no_data") from None
            calls.append(call)
        ended = running.wait()
    raise Refused("reference_slow" if ended.reason in ("cpu", "wall") else "reference_fails")


def _check_asks(calls: list[_Call]) -> None:
    """Refuse calls whose results a function that does nothing would nearly give."""
    if not calls:
        raise Refused("no_calls")
    for one in calls:
        result = codec.unpack(one.result, len(one.result))
        nothing = result is None or (type(result) is list and not result)
        if not nothing and not isinstance(result, codec.Raised):
            return
    raise Refused("tests_nothing")
