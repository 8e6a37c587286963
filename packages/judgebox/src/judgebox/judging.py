"""The judge's side of a check: inputs go in, outputs come out and are compared.

Inputs go in a batch at a time; what comes out (`judgebox.calls`) is compared as it comes,
and the first output that is wrong ends the check. Nothing of it is believed: bytes that are no
data, more outputs than inputs, an output far larger than the expected one, or an end before the
last output fail the program.
"""

import hashlib
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from judgebox import codec
from judgebox.box import Check
from judgebox.compare import Comparison
from judgebox.testcases import CaseSet

PASS, FAIL = "pass", "fail"

#: Tests of the first batch, factor by which later ones grow, and the most tests and bytes of one.
_FIRST, _GROWTH, _MOST, _BATCH_BYTES = 16, 4, 1024, 256 * 1024
#: What an output may exceed the expected one by, as a factor and in bytes besides. A float takes
#: nine times as much as the small integer that it equals.
_FACTOR, _MORE = 10, 2**20
#: An output of so many times fewer bytes than expected, but for a few, is not compared.
_SMALLER = 32
#: Bytes that are made into a value at once, which may be a hundred times as large. Of a longer list
#: one item after the other is made; other outputs as large must be equal to the bit.
_WHOLE_BYTES = 4 * 2**20
#: Seconds of its own that the judge gives a message, more a megabyte, at most. Some take long to
#: make or to compare on purpose, such as sets of numbers with the same hash.
_SECONDS, _SECONDS_A_MEGABYTE, _MOST_SECONDS = 20.0, 1.0, 300.0


class Program(NamedTuple):
    """What is judged, and how its outputs are compared."""

    code: str
    entry_point: str
    """The function that is tested."""

    oracle: str = "other"
    """Whose special oracles apply: "humaneval", "mbpp", or "other" for none."""

    atol: float = 0.0
    """Absolute tolerance of floating-point outputs."""

    recorded: bool = False
    """Whether tests are calls that were recorded (`judgebox.record_reference`)."""


class Judging:
    """The judge's side of one check.

    Args:
        program: what is judged.
        tests: what goes in, and what is expected.
        limits: seconds of processor time that each call may take.
    """

    def __init__(self, program: Program, tests: CaseSet, limits: list[float]) -> None:
        self._tests, self._limits, self._recorded = tests, limits, program.recorded
        self.comparison = Comparison(
            program.oracle, program.entry_point, program.atol, program.recorded
        )
        self._asked, self._batch = 0, _FIRST
        self.judged = 0
        """Outputs that were right so far: the number of the first that was not, at the end."""

        self._announced: bytes | None = None
        self.said_of_time: set[bytes] = set()
        """``T``: a call took longer than it may and came back; ``X``: one was ended. A program
        could hide that; the limit of all calls together is not in its hands."""

        self.loaded = True
        """Whether the program got as far as to be called, as far as its side says."""

    def verdict(self, running: Check) -> str | None:
        """Pass or fail; None where the program ended before either was clear."""
        running.send(self._next_batch())
        try:
            for frame in running.frames():
                if frame in (b"T", b"X") and frame not in self.said_of_time:
                    self.said_of_time.add(frame)
                    continue
                number = min(self.judged, len(self._tests) - 1)
                with _bounded(len(frame) + self._tests.expected_bytes(number)):
                    if not self._is_right(frame, running):
                        return FAIL
                if self.judged == len(self._tests):
                    return PASS
                if self.judged == self._asked:
                    running.send(self._next_batch())
        except (codec.CodecError, MemoryError):
            return FAIL
        return None

    @property
    def timed_out(self) -> bool:
        """Whether a call was ended because it did not come back, as far as that side says."""
        return b"X" in self.said_of_time

    def _next_batch(self) -> bytes:
        """The next inputs, and the seconds of processor time that each may take."""
        first, inputs, size = self._asked, list[bytes](), 0
        while first + len(inputs) < len(self._tests) and len(inputs) < self._batch:
            inputs.append(self._tests.input(first + len(inputs)))
            size += len(inputs[-1])
            if size >= _BATCH_BYTES:
                break
        self._asked += len(inputs)
        self._batch = min(_GROWTH * self._batch, _MOST)
        return codec.pack([self._limits[first : self._asked], inputs])

    def _is_right(self, frame: bytes, running: Check) -> bool:
        """Whether what a message holds is right.

        Raises:
            CodecError: it holds no data.
        """
        kind, content = frame[:1], frame[1:]
        if kind == b"F":
            self.loaded = content != b"0"
        if self.judged == self._asked:
            return False
        if kind == b"L" and self._announced is None:
            if content == self._tests.digest(self.judged):
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
        if self._announced is not None:  # no second thoughts: it must be what was announced
            if [hashlib.sha256(output).digest() for output in outputs] != [self._announced]:
                return False
            self._announced = None
        return all(map(self._is_right_output, outputs))

    def _is_right_output(self, output: bytes) -> bool:
        number, tests, special = self.judged, self._tests, self.comparison.special
        if special or not tests.is_expected(number, output):
            size = tests.expected_bytes(number)
            if not special and size > _SMALLER * len(output) + _MORE:
                return False
            if max(size, len(output)) > _WHOLE_BYTES:
                return not special and self._is_right_list(output)
            expected = codec.unpack(tests.expected(number))
            if not self.comparison.passes(codec.unpack(output), expected, self._arguments):
                return False
            self.judged += 1
            return True
        self._pass()
        return True

    def _is_right_list(self, output: bytes) -> bool:
        self.comparison.equal(self._tests.floats(self.judged))
        outputs_by_item = codec.items(output, _WHOLE_BYTES)
        expected = codec.items(self._tests.expected(self.judged), _WHOLE_BYTES)
        right = self.comparison.passes_long(outputs_by_item, expected)
        self.judged += right
        return right

    def _pass(self) -> None:
        """The next test's output is the expected one."""
        self.comparison.equal(self._tests.floats(self.judged))
        self.judged += 1

    def _arguments(self) -> list[Any]:
        """The test's positional arguments."""
        arguments: list[Any] = codec.unpack(self._tests.input(self.judged))
        return arguments[1] if self._recorded else arguments


@contextmanager
def _bounded(size: int) -> Iterator[None]:
    """Let a message of so many bytes not take the judge for ever: it would end, by SIGVTALRM."""
    seconds = min(_SECONDS + _SECONDS_A_MEGABYTE * size / 2**20, _MOST_SECONDS)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
