"""The judge's side of a check: inputs go in, outputs come out and are compared.

Inputs go in a batch at a time; what comes out is data that is compared as it comes, and the first
output that is wrong ends the check. Most right outputs have the very bytes of the expected ones and
are not even read; of a large one its digest comes first.

Nothing that comes out of the box is believed: bytes that are no data, more outputs than inputs, an
output far larger than the expected one, or an end before the last output fail the program.
"""

import io
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from judgebox import codec
from judgebox.box import Check
from judgebox.compare import Comparison, compare_long
from judgebox.protocol import batch, digest
from judgebox.testcases import CaseSet

PASS, FAIL = "pass", "fail"

#: Tests of the first batch, factor by which later ones grow, and the most tests and bytes of one.
_FIRST, _GROWTH, _MOST, _MOST_BYTES = 16, 4, 1024, 256 * 1024
#: Longest message of small outputs; an honest one is half as long at most.
_RESULTS_BYTES = 128 * 1024
#: What the program's side says of a call's time.
_TIMES = (b"T", b"X")
#: What an output may exceed the expected one by, as a factor and in bytes besides. A float takes
#: nine times as much as the small integer that it equals.
_FACTOR, _MORE = 10, 2**20
#: Bytes that are made into a value at once, which may be a hundred times as large.
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
        self._comparison = Comparison(
            program.oracle, program.entry_point, program.atol, program.recorded
        )
        self._batches = self._batched()
        self._asked = 0
        self.judged = 0
        """Outputs that were right so far: the number of the first that was not, at the end."""
        self._announced: bytes | None = None
        self._told: set[bytes] = set()

        self.loaded = True
        """Whether the program got as far as to be called, as far as its side says."""
        self.iterates = self._comparison.iterates

    def verdict(self, running: Check) -> str | None:
        """Pass or fail; None where the program ended before either was clear."""
        running.send(next(self._batches))
        try:
            for frame in running.frames():
                with _bounded(len(frame) + self._size()):
                    right = self._judge(frame, running)
                if not right:
                    return FAIL
                if self.judged == len(self._tests):
                    return PASS
                if self.judged == self._asked and frame not in _TIMES:
                    running.send(next(self._batches))
        except (codec.CodecError, MemoryError):
            return FAIL
        return None

    @property
    def late(self) -> bool:
        """Whether a call took longer than it may and came back, as far as the program's side says.

        A program could hide that, as it could switch its clock off; the limit of all calls together
        is not in its hands.
        """
        return b"T" in self._told

    @property
    def timed_out(self) -> bool:
        """Whether a call was ended because it did not come back, as far as that side says."""
        return b"X" in self._told

    def _size(self) -> int:
        """Bytes of the expected output that comes next."""
        return self._tests.expected_bytes(min(self.judged, len(self._tests) - 1))

    def _batched(self) -> Iterator[bytes]:
        most = _FIRST
        while self._asked < len(self._tests):
            first = last = self._asked
            size = 0
            while last < len(self._tests) and last - first < most and size < _MOST_BYTES:
                size += self._tests.input_bytes(last)
                last += 1
            self._asked = last
            most = min(_GROWTH * most, _MOST)
            yield batch(self._limits[first:last], self._tests.inputs(first, last))

    def _judge(self, frame: bytes, running: Check) -> bool:
        """Whether what a message holds is right.

        Raises:
            CodecError: it holds no data.
        """
        kind, content = frame[:1], memoryview(frame)[1:]
        if frame in _TIMES and frame not in self._told:
            self._told.add(frame)
            return True
        if kind == b"R" and self._announced is None:
            if self._same(content):
                return True
            outputs = codec.unpack(bytes(content), _RESULTS_BYTES)
            # Each message brings the check on, so that there are not more of them than tests.
            return type(outputs) is list and bool(outputs) and self._compare(outputs, len(frame))
        if self.judged >= self._asked:
            return False
        if kind == b"L" and self._announced is None:
            own = bytes(content)
            if own == self._tests.digest(self.judged):
                self._comparison.equal(self._tests.floats(self.judged))
                self.judged += 1
                running.send(b"N")
            else:
                self._announced = own
                running.send(b"W")
            return True
        if kind != b"W":
            self.loaded = frame != b"F0"
            return False
        if len(content) > _FACTOR * self._tests.expected_bytes(self.judged) + _MORE:
            return False
        # No second thoughts: it must be what was announced.
        announced, self._announced = self._announced, None
        if len(content) > _WHOLE_BYTES and not codec.is_text(content[0]):
            return self._compare_long(frame, announced)
        output = codec.unpack(bytes(content), len(content))
        if announced is not None and digest(output)[1] != announced:
            return False
        return self._compare([output], len(frame))

    def _same(self, content: memoryview) -> bool:
        """Whether outputs are the expected ones to the bit, as most are: they are not even read."""
        count, data = codec.list_head(content)
        last = self.judged + count
        if not 0 < count <= self._asked - self.judged or self._comparison.special:
            return False
        if not self._tests.same(self.judged, last, data):
            return False
        self._comparison.equal(self._tests.floats(last - 1))
        self.judged = last
        return True

    def _compare_long(self, frame: bytes, announced: bytes | None) -> bool:
        """Compare a long list item by item, so that neither it nor what is expected is made."""
        self._comparison.equal(self._tests.floats(self.judged))
        file = io.BytesIO(frame)
        file.seek(1)
        outputs = codec.items(file, len(frame) - 1, _WHOLE_BYTES)
        expected = self._tests.items(self.judged)
        if self._comparison.special or outputs is None or expected is None:
            return False
        right, own = compare_long(outputs, expected, self._comparison.atol)
        if not right or announced not in (None, own):
            return False
        self.judged += 1
        return True

    def _compare(self, outputs: list[object], size: int) -> bool:
        first, last = self.judged, self.judged + len(outputs)
        if last > self._asked:
            return False
        expected = self._tests.expected(first, last)
        for number, output in enumerate(outputs, first):
            if self._comparison.hopeless(size, self._tests.expected_bytes(number)):
                return False
            arguments = partial(self._arguments, number)
            if not self._comparison.passes(output, next(expected), arguments):
                return False
            self.judged = number + 1
        return True

    def _arguments(self, number: int) -> list[Any]:
        """A test's positional arguments."""
        given = self._tests.arguments(number)
        return given[1] if self._recorded else given


@contextmanager
def _bounded(size: int) -> Iterator[None]:
    """Let a message of so many bytes not take the judge for ever: it would end, by SIGVTALRM."""
    seconds = min(_SECONDS + _SECONDS_A_MEGABYTE * size / 2**20, _MOST_SECONDS)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
