"""Test cases out of a reference solution: what it returns over inputs, or under its tests."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from judgebox import codec
from judgebox.box import Box
from judgebox.check import Limits
from judgebox.codec import CaseWriter, open_cases
from judgebox.compare import equals_its_like, is_floats
from judgebox.judging import PASS, TIMEOUT, Clocks, Program, judge_set

#: Seconds that a reference may take for all inputs of a set: it is trusted to end.
_SECONDS = 540.0
#: Bytes that all its outputs may have.
_OUTPUT_BYTES = 16 * 2**30
#: Tolerance of floats in recorded results, absolute and relative.
TOLERANCE = 1e-6


class _Refused(Exception):
    """Why there are no test cases: what a reference did, or a reason's key."""


class _Interrupted(_Refused):
    """Something else may have ended a reference, as a machine out of memory."""


class Recording(NamedTuple):
    """What became of a reference under its inputs, or its own tests."""

    reason: str | None  # why there are no test cases; None where there are
    seconds: float = 0.0  # processor time of all calls, coarsely
    calls: int = 0


def _coarse(seconds: float) -> float:
    """A time rounded up to a power of two, so the same in nearly every run; 0 if below 0.1 s."""
    return float(2.0 ** math.ceil(math.log2(seconds))) if 0.1 <= seconds < 1e9 else 0.0


def expect(
    box: Box, cases: Path, program: Program, memory_bytes: int, not_none: bool = False
) -> Recording:
    """Run a reference over a file's inputs and replace the file by one with its outputs.

    Where `not_none`, of its outputs only their presence counts.
    """
    request = codec.pack(program._asdict() | {"truth": True, "not_none": not_none, "seed": 0})
    new = cases.with_suffix(".new")
    for last in (False, False, True):
        seconds, calls = 0.0, 0
        try:
            with open_cases(cases) as sets, CaseWriter(new) as out:
                for name, tests in sets.items():
                    inputs = [tests.input(number) for number in range(len(tests))]
                    out.begin(name, inputs)
                    seconds += _add_outputs(box, request, memory_bytes, inputs, out)
                    calls += len(inputs)
            new.replace(cases)
            return Recording(None, seconds, calls)
        except (_Refused, codec.CodecError) as error:
            if last or not isinstance(error, _Interrupted):
                return Recording(str(error))
    raise AssertionError("not reached")


def _add_outputs(
    box: Box, request: bytes, memory_bytes: int, inputs: list[bytes], out: CaseWriter
) -> float:
    """Add the outputs of one set; returns the reference's seconds, coarsely."""
    total, left = 0.0, len(inputs)
    if not left:
        return total
    limits = Limits(_SECONDS, _SECONDS, memory_bytes, output_bytes=_OUTPUT_BYTES)
    with box.start("calls", request, limits) as running:
        running.send(codec.pack([[0.0] * left, inputs]))
        for frame in running.frames():
            kind, content = frame[:1], frame[1:]
            if kind == b"P":
                out.piece(content)
            elif kind == b"O":
                seconds, floats, same = _fields(content, float, bool, bool)
                out.end(_coarse(seconds), floats, same)
                total += _coarse(seconds)
                left -= 1
                if not left:
                    return total
            else:
                raise _Refused(content[:1000].decode(errors="replace"))
        ended = running.wait()
    raise (_Interrupted if ended.starved else _Refused)(f"ended early: {ended.reason} {ended.code}")


def _fields(content: bytes, *types: type) -> list[Any]:
    """The parts of a packed message; `CodecError` where it holds others than these types."""
    fields = codec.unpack(content, len(content))
    if type(fields) is not list or [*map(type, fields)] != [*types]:
        raise codec.CodecError("a message of another form")
    return fields


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
    """Record a reference solution under its own tests and write its calls to a file, as "base".

    Programs are judged by it with ``Program.recorded``. `tests` is a file for pytest that imports
    the module `solution`, or, by `form`, defines HumanEval's ``check(candidate)``; `names` is what
    it uses of the solution. `prelude` comes before the solution and before HumanEval's tests. The
    reference may take so many seconds of processor time. `SetupError`: no sandbox.
    """
    request = codec.pack(
        {"form": form, "prelude": prelude, "code": solution, "test": tests, "names": [*names]}
    )
    # By the clock there is time enough for a machine that is shared by ten.
    limits = Limits(seconds, 10 * seconds + 10, memory_bytes)
    try:
        first, second = _recorded(box, request, limits), _recorded(box, request, limits)
        if [call[1:] for call in first] != [call[1:] for call in second]:
            raise _Refused("reference_varies")
        pairs = zip(first, second, strict=True)
        times = [_coarse(min(one[0], other[0])) for one, other in pairs]
        _write_calls(cases, first, times)
        program = Program(f"{prelude}\n{solution}", names[0], oracle, atol, recorded=True)
        with open_cases(cases) as sets:
            clocks = Clocks(seconds, 10.0, memory_bytes)
            verdict = judge_set(box, program, sets["base"], clocks, alone=True, seed=1).verdict
        if verdict != PASS:
            raise _Refused("reference_slow" if verdict == TIMEOUT else "reference_varies")
    except _Refused as refused:
        return Recording(str(refused))
    return Recording(None, sum(times), len(first))


#: Seconds, packed name and arguments, packed result or `codec.Raised` of a call.
_Call = tuple[float, bytes, bytes]


def _recorded(box: Box, request: bytes, limits: Limits) -> list[_Call]:
    """Run the tests once; `_Refused` where they can't be recorded."""
    calls: list[_Call] = []
    with box.start("record", request, limits) as running:
        for frame in running.frames():
            if frame[:1] == b"D":
                return calls
            if frame[:1] == b"E":
                raise _Refused(frame[1:].decode(errors="replace")[:40])
            part = "argument"
            try:
                seconds, call, result = _fields(frame[1:], float, bytes, bytes)
                codec.unpack(call, len(call), opaque=False)
                part = "result"
                codec.unpack(result, len(result), opaque=False)
            except codec.CodecError:
                raise _Refused(f"{part}_no_data") from None
            calls.append((seconds, call, result))
        ended = running.wait()
    raise _Refused("reference_slow" if ended.reason in ("cpu", "wall") else "reference_fails")


def _write_calls(cases: Path, calls: list[_Call], times: list[float]) -> None:
    """Write a file of test cases, unless they would nearly pass a function that does nothing."""
    if not calls:
        raise _Refused("no_calls")
    informative = False
    with CaseWriter(cases) as out:
        out.begin("base", [call for _, call, _ in calls])
        for (_, _, packed), seconds in zip(calls, times, strict=True):
            result = codec.unpack(packed, len(packed))
            nothing = result is None or (type(result) is list and not result)
            informative = informative or not (nothing or isinstance(result, codec.Raised))
            out.piece(packed)
            out.end(seconds, is_floats(result), equals_its_like(result))
    if not informative:
        raise _Refused("tests_nothing")
