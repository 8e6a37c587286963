"""A program judged outside of the box by what comes out, of which nothing is believed."""

import hashlib
import signal
import time
from pathlib import Path
from typing import Any, NamedTuple

from judgebox import codec
from judgebox.box import Box, Check
from judgebox.check import Limits
from judgebox.codec import CaseSet, open_cases
from judgebox.compare import Comparison

PASS, FAIL, TIMEOUT = "pass", "fail", "timeout"

#: Tests of the first batch, factor by which later ones grow, and the most tests and bytes of one.
_FIRST, _GROWTH, _MOST, _BATCH_BYTES = 16, 4, 1024, 256 * 1024
#: What an output may exceed the expected one by: a factor (a float takes nine times as much as the
#: small integer that it equals), and bytes besides.
_FACTOR, _MORE = 10, 2**20
#: An output of so many times fewer bytes than expected, but for a few, is not compared.
_SMALLER = 32
#: Bytes that are made into a value at once, which may be a hundred times as large. Of a longer list
#: one item after the other is made; other outputs as large must be equal to the bit.
_WHOLE_BYTES = 4 * 2**20
#: Seconds of its own that the judge gives a message, and most: some take long on purpose. A
#: megabyte gets one more.
_SECONDS, _MOST_SECONDS = 20.0, 300.0
#: Seconds that all tests of a set may take together, unless the reference is slow (EvalPlus's).
_CAP = 60.0
#: Beside others a test is ended at so many times its limit. Neighbours make a program take up to
#: 1.3 times the processor time (reading 128 MB at random; eight programs, two cores, AMD EPYC).
_GRACE = 1.5
#: Bytes that may come out of a check, beside `_FACTOR` times those that are expected; at most all.
_OUTPUT_MORE, _OUTPUT_MOST = 16 * 2**20, 256 * 2**20


class Program(NamedTuple):
    """What is judged, and how its outputs are compared."""

    code: str
    entry_point: str  # the function that is tested
    oracle: str = "other"  # whose special oracles apply: "humaneval", "mbpp", "other" for none
    atol: float = 0.0  # absolute tolerance of floating-point outputs
    recorded: bool = False  # whether tests are recorded calls (`judgebox.record_reference`)


class Clocks(NamedTuple):
    """What a program may use."""

    min_time_limit: float = 1.0  # least seconds of processor time that a test may take
    time_limit_factor: float = 4.0  # multiple of the reference's time that it may take
    memory_bytes: int = 8 * 2**30  # address space of the program


class Outcome(NamedTuple):
    """What became of a program under one set of tests."""

    verdict: str  # pass, fail or timeout
    #: Whether it is to be run again, alone: something else may be to blame for how it ended (see
    #: `judgebox.check.Ended`), or a test took longer than it may, and came back.
    starved: bool = False
    timed_out: bool = False  # it did not pass, and a test, or all together, ran out of time
    failed: int | None = None  # number of the first test that did not pass, if there is one


def judge(
    box: Box,
    program: Program,
    cases: Path,
    clocks: Clocks | None = None,
    *,
    alone: bool = True,
    every_set: bool = False,
) -> dict[str, Outcome]:
    """Judge a program by a file of test cases that `record_reference` or `reference.expect` wrote.

    Returns what became of it under each set of tests, "base" and perhaps "plus". By default it may
    use what EvalPlus lets it use. Unless `every_set` is to be run, those after one that it did not
    pass fail without. `alone`: see `judge_set`. `SetupError`: no such file, or no sandbox.
    """
    outcomes: dict[str, Outcome] = {}
    with open_cases(cases) as sets:
        for name, tests in sets.items():
            if every_set or all(outcome.verdict == PASS for outcome in outcomes.values()):
                outcomes[name] = judge_set(box, program, tests, clocks or Clocks(), alone)
            else:
                outcomes[name] = Outcome(FAIL)
    return outcomes


def judge_set(
    box: Box, program: Program, tests: CaseSet, clocks: Clocks, alone: bool = False, seed: int = 0
) -> Outcome:
    """Run a program over a set of tests; its random generators start at `seed`.

    Where it is `alone`, a test has no more than its time, and each output is judged before the next
    call. Else those of the last milliseconds may be lost with a program that ends in a time-out,
    though one was wrong.
    """
    if not len(tests):  # MBPP+ has a problem without plus tests
        return Outcome(PASS)
    factor = clocks.time_limit_factor
    limits = [max(clocks.min_time_limit, factor * seconds) for seconds in tests.times]
    total = min(max(_CAP, factor * sum(tests.times)), sum(limits)) + 1
    judging = _Judging(program, tests, limits)
    request = program._asdict() | {"truth": False, "alone": alone, "seed": seed}
    request |= {"grace": 1.0 if alone else _GRACE, "iterated": judging.comparison.iterates}
    most = total if alone else total + (_GRACE - 1) * max(limits)
    output_bytes = min(_FACTOR * tests.output_bytes + _OUTPUT_MORE, _OUTPUT_MOST)
    bounds = Limits(most, 2 * most, clocks.memory_bytes, output_bytes=output_bytes)
    try:
        data = codec.pack(request)
    except codec.CodecError:  # a program of gigabytes
        return Outcome(FAIL)
    started = time.monotonic()
    with box.start("calls", data, bounds) as running:
        right = judging.all_right(running)
        failed = judging.judged if judging.loaded else None
        expired = b"X" in judging.time_messages
        if right is None:
            ended = running.wait()
            if ended.reason in ("cpu", "wall"):
                return Outcome(TIMEOUT, ended.starved, True, failed)
            return Outcome(FAIL, ended.starved, expired, failed)
        running.kill()
        if not right:
            return Outcome(FAIL, False, expired, failed)
        late = bool(judging.time_messages)
        if time.monotonic() - started > 1:  # those that took less have all kept to their limits
            late = late or running.wait().cpu_seconds > total
        return Outcome(PASS, late and not alone)


class _Judging:
    """The judge's side of one check; a call may take so many seconds of processor time."""

    def __init__(self, program: Program, tests: CaseSet, limits: list[float]) -> None:
        self._tests, self._limits, self._recorded = tests, limits, program.recorded
        _, entry_point, oracle, atol, recorded = program
        self.comparison = Comparison(oracle, entry_point, atol, recorded)
        self._asked, self._batch = 0, _FIRST
        self.judged = 0  # outputs that were right so far
        self._announced: bytes | None = None
        # T: a call took longer than it may and came back; X: one was ended. A program could hide
        # that; the limit of all calls together is not in its hands.
        self.time_messages: set[bytes] = set()
        self.loaded = True  # the program got as far as to be called, as far as its side says

    def all_right(self, running: Check) -> bool | None:
        """Whether all outputs are right; None where the program ended before that was clear."""
        running.send(self._next_batch())
        try:
            for frame in running.frames():
                if frame in (b"T", b"X") and frame not in self.time_messages:
                    self.time_messages.add(frame)
                    continue
                number = min(self.judged, len(self._tests) - 1)
                megabytes = (len(frame) + self._tests.expected_bytes(number)) / 2**20
                # One that takes the judge longer ends it, by SIGVTALRM.
                signal.setitimer(signal.ITIMER_VIRTUAL, min(_SECONDS + megabytes, _MOST_SECONDS))
                right = self._is_right(frame, running)
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
                if not right or self.judged == len(self._tests):
                    return right
                if self.judged == self._asked:
                    running.send(self._next_batch())
        except (codec.CodecError, MemoryError):
            return False
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return None

    def _next_batch(self) -> bytes:
        """The next inputs, and the seconds of processor time that each may take."""
        first, inputs, size = self._asked, list[bytes](), 0
        end = min(first + self._batch, len(self._tests))
        while self._asked < end and size < _BATCH_BYTES:
            inputs.append(self._tests.input(self._asked))
            size += len(inputs[-1])
            self._asked += 1
        self._batch = min(_GROWTH * self._batch, _MOST)
        return codec.pack([self._limits[first : self._asked], inputs])

    def _is_right(self, frame: bytes, running: Check) -> bool:
        """Whether what a message holds is right; `CodecError` where it holds no data."""
        kind, content = frame[:1], frame[1:]
        if kind == b"F":
            self.loaded = content != b"0"
        if self.judged == self._asked:
            return False
        if kind == b"L" and self._announced is None:
            if content == self._tests.digests.get(self.judged):
                self._pass()
                running.send(b"N")
            else:
                self._announced = content
                running.send(b"W")
            return True
        limit = _FACTOR * self._tests.expected_bytes(self.judged) + _MORE
        outputs = codec.unpack(content, limit) if kind == b"R" else None
        if type(outputs) is not list or not 0 < len(outputs) <= self._asked - self.judged:
            return False
        if not {*map(type, outputs)} <= {bytes}:
            return False
        # No second thoughts: it must be what was announced.
        announced, self._announced = self._announced, None
        digests = [] if announced is None else [hashlib.sha256(data).digest() for data in outputs]
        if announced is not None and digests != [announced]:
            return False
        return all(map(self._is_right_output, outputs))

    def _is_right_output(self, output: bytes) -> bool:
        number, tests, special = self.judged, self._tests, self.comparison.special
        size = tests.expected_bytes(number)
        if not special and tests.is_expected(number, output):
            self._pass()
            return True
        if not special and size > _SMALLER * len(output) + _MORE:
            return False
        if max(size, len(output)) <= _WHOLE_BYTES:
            expected = codec.unpack(tests.expected(number))
            right = self.comparison.passes(codec.unpack(output), expected, self._arguments)
        elif special:
            return False
        else:
            self.comparison.equal(number >= tests.floats_from)
            expected = codec.items(tests.expected(number), _WHOLE_BYTES)
            right = self.comparison.passes_long(codec.items(output, _WHOLE_BYTES), expected)
        self.judged += right
        return right

    def _pass(self) -> None:
        self.comparison.equal(self.judged >= self._tests.floats_from)
        self.judged += 1

    def _arguments(self) -> list[Any]:
        """The test's positional arguments."""
        arguments: list[Any] = codec.unpack(self._tests.input(self.judged))
        return arguments[1] if self._recorded else arguments
