"""Test cases out of a problem's own tests: the calls that they make of the reference solution.

The tests run twice in the box with a recorder around the reference
(`judgebox.harness.record`). What it was called with and what it returned or raised become
test cases as any other suite's: candidates are judged by them in the same way, and what is expected
never enters their box. Then the reference is judged by its own calls, with other random numbers.

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

import struct
from pathlib import Path
from typing import Any, NamedTuple

from judgebox import codec
from judgebox.harness.record import read_call
from judgebox.kinds import Raised
from judgebox.limits import Limits
from mixmerge.evaluate import testset
from mixmerge.evaluate.bench import Bench
from mixmerge.evaluate.check import PASS, TIMEOUT, Program, check
from mixmerge.evaluate.problems import coarse_seconds

#: Processor time of a reference under its tests; slower ones make no test for many candidates.
_SECONDS = 30.0
#: Seconds by the clock, for a machine that is shared by ten.
_WALL_SECONDS = 10 * _SECONDS + 10
#: Tolerance of floats in results, absolute and relative.
TOLERANCE = 1e-6


class Refused(Exception):
    """Tests that can't be recorded; the message is the reason's key."""


class _Call(NamedTuple):
    """One recorded call."""

    call: bytes
    """Packed name of the function, arguments, named arguments."""

    result: bytes
    """Packed result, or a packed `Raised`."""

    seconds: float


def record(
    bench: Bench,
    tests: str,
    form: str,
    prelude: str,
    code: str,
    test: str,
    names: list[str],
    dataset: str,
    atol: float,
) -> dict[str, Any]:
    """Record a reference solution under its tests and write its calls to the file ``tests``.

    Args:
        bench: where it runs.
        tests: file that is written.
        form: "pytest" (a file that imports the module `solution`) or "check" (HumanEval's).
        prelude: program before the solution, empty for "pytest".
        code: the reference solution.
        test: the tests' program.
        names: what the tests use of the solution.
        dataset: whose special oracles apply.
        atol: tolerance of floats.

    Returns:
        ``reason``: why the tests can't be recorded, or None. ``seconds``: processor time of all
        calls, coarsely. ``calls``: their number.
    """
    request = codec.pack(
        {"form": form, "prelude": prelude, "code": code, "test": test, "names": names}
    )
    try:
        first, second = _recorded(bench, request), _recorded(bench, request)
        if [one[:2] for one in first] != [one[:2] for one in second]:
            raise Refused("reference_varies")
        _check_asks(first)
        times = [
            coarse_seconds(min(a.seconds, b.seconds)) for a, b in zip(first, second, strict=True)
        ]
        with testset.Writer(Path(tests)) as out:
            out.begin("base", [one.call for one in first])
            for one, seconds in zip(first, times, strict=True):
                out.piece(one.result)
                out.end(seconds)
        program = Program(prelude + "\n" + code, names[0], dataset, atol, True)
        _check_reference(bench, program, Path(tests))
    except Refused as refused:
        return {"reason": str(refused)}
    return {"reason": None, "seconds": sum(times), "calls": len(first)}


def _recorded(bench: Bench, request: bytes) -> list[_Call]:
    """Run the tests once.

    Raises:
        Refused: they can't be recorded.
    """
    limits = Limits(_SECONDS, _WALL_SECONDS, bench.memory_bytes)
    calls: list[_Call] = []
    with bench.box.start("record", request, limits) as running:
        for frame in running.frames():
            if frame[:1] == b"E":
                raise Refused(frame[1:].decode(errors="replace")[:40])
            if frame[:1] == b"D":
                return calls
            try:
                call = _Call(*read_call(frame))
                codec.unpack(call.call, len(call.call), opaque=False)
            except (codec.CodecError, struct.error):
                raise Refused("argument_no_data") from None
            try:
                codec.unpack(call.result, len(call.result), opaque=False)
            except codec.CodecError:
                raise Refused("result_no_data") from None
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
        if not nothing and not isinstance(result, Raised):
            return
    raise Refused("tests_nothing")


def _check_reference(bench: Bench, program: Program, tests: Path) -> None:
    """Refuse tests by which their own reference fails when its random numbers are others."""
    with testset.Reader(tests) as sets:
        outcome = check(
            bench.box,
            program,
            sets.read("base"),
            min_time_limit=_SECONDS,
            time_limit_factor=10.0,
            memory_bytes=bench.memory_bytes,
            alone=True,
            seed=1,
        )
    if outcome.verdict == TIMEOUT:
        raise Refused("reference_slow")
    if outcome.verdict != PASS:
        raise Refused("reference_varies")
