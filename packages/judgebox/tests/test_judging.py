"""The judge against what may come out of a box, any frames in any order; and files of tests."""

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from decimal import Decimal  # noqa: F401  for the table
from pathlib import Path
from typing import Any

import numpy
import pytest

from boxed import table
from judgebox import SetupError, codec
from judgebox.check import Ended, Limits
from judgebox.codec import CaseWriter, open_cases
from judgebox.compare import equals_its_like, is_floats
from judgebox.judging import FAIL, PASS, TIMEOUT, Clocks, Outcome, Program, judge_set

PROGRAM = Program("def f(n): ...", "f", "other", 0.0)


class Script(AbstractContextManager["Script"]):
    """Stands for a box and for the check in it: says what it is told to, whatever it is sent."""

    def __init__(self, frames: Callable[[list[bytes]], Iterator[bytes]], ended: Ended) -> None:
        self._frames, self._ended = frames, ended
        self.sent: list[bytes] = []
        self.limits = Limits(0, 0, 0)
        self.killed = False

    def start(self, harness: str, request: bytes, limits: Limits) -> "Script":
        assert harness == "calls"
        self.limits = limits
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def frames(self) -> Iterator[bytes]:
        yield from self._frames(self.sent)

    def send(self, frame: bytes) -> None:
        self.sent.append(frame)

    def kill(self) -> None:
        self.killed = True

    def wait(self) -> Ended:
        return self._ended


def add(writer: CaseWriter, output: Any, seconds: float = 0.0) -> None:
    """Add an expected output, as a reference's side describes it."""
    same, data = equals_its_like(output), codec.pack(output)
    writer.piece(data[:10])
    writer.piece(data[10:])
    writer.end(seconds, is_floats(output), same)


def written(path: Path, expected: list[Any]) -> Path:
    """A file with one set of tests, whose inputs are their numbers."""
    with CaseWriter(path) as writer:
        writer.begin("base", [codec.pack([number]) for number in range(len(expected))])
        for output in expected:
            add(writer, output)
    return path


def judged(
    tmp_path: Path,
    expected: list[Any],
    frames: list[bytes] | Callable[[list[bytes]], Iterator[bytes]],
    ended: Ended | None = None,
) -> tuple[Outcome, Script]:
    """What becomes of a program that says so, and what it was sent."""
    said = frames if callable(frames) else lambda sent: iter(frames)
    script = Script(said, ended or Ended("exit", 0, 0.0, False))
    with open_cases(written(tmp_path / "x", expected)) as sets:
        outcome = judge_set(script, PROGRAM, sets["base"], Clocks(1.0, 4.0, 2**30))  # type: ignore[arg-type]
    return outcome._replace(failed=None), script


def outputs(*values: Any) -> bytes:
    """The message of outputs."""
    return b"R" + codec.pack([codec.pack(value) for value in values])


def announced(value: Any) -> bytes:
    """The message of a large one's digest."""
    return b"L" + hashlib.sha256(codec.pack(value)).digest()


LONG = [("a", number) for number in range(3000)]
THREE = [1, "two", [3.0]]
FRAMES = table("judged_frames")


@pytest.mark.parametrize("name", FRAMES["right"] | FRAMES["wrong"])
def test_right_outputs_pass_and_everything_else_fails(tmp_path: Path, name: str) -> None:
    right = name in FRAMES["right"]
    frames = eval(FRAMES["right" if right else "wrong"][name])
    outcome, script = judged(tmp_path, THREE, frames)
    assert outcome == Outcome(PASS if right else FAIL, False)
    assert script.killed  # nothing of it is needed any more


def test_what_does_not_equal_itself_is_wrong_though_its_bytes_are_right(tmp_path: Path) -> None:
    for value in (float("nan"), [1.0, float("nan")], {1: float("nan")}, numpy.array([1, 2])):
        for expected in ([value], [1, value, 2]):
            assert judged(tmp_path, expected, [outputs(*expected)])[0].verdict == FAIL
    assert judged(tmp_path, [numpy.array(1)], [outputs(numpy.array(1))])[0].verdict == PASS


def test_the_tolerance_sticks_also_after_outputs_that_are_equal_to_the_bit(tmp_path: Path) -> None:
    near = outputs([1, 2.0000001])
    for before, verdict in ((1.5, PASS), ([1, 1.5], FAIL)):
        outcome, _ = judged(tmp_path, ["x", before, [1, 2.0]], [outputs("x", before), near])
        assert outcome.verdict == verdict


ENDS = {
    Ended("exit", 0, 0.1, False): Outcome(FAIL, False),
    Ended("signal", 11, 0.1, False): Outcome(FAIL, False),
    Ended("signal", 9, 0.1, True): Outcome(FAIL, True),
    Ended("memory", 9, 0.1, False): Outcome(FAIL, False),
    Ended("output", 9, 0.1, False): Outcome(FAIL, False),
    Ended("cpu", 24, 0.1, False): Outcome(TIMEOUT, False, True),
    Ended("wall", 9, 0.1, True): Outcome(TIMEOUT, True, True),
    Ended.lost(): Outcome(FAIL, True),
}


@pytest.mark.parametrize("ended", ENDS, ids=[ended.reason for ended in ENDS])
def test_a_program_that_ends_before_its_last_output(tmp_path: Path, ended: Ended) -> None:
    for frames in ([], [outputs(1, "two")]):
        assert judged(tmp_path, THREE, frames, ended)[0] == ENDS[ended]


def test_what_is_said_of_time(tmp_path: Path) -> None:
    raised = Ended("exit", 0, 0.1, False)
    for frames in ([b"X", b"F"], [outputs(1), b"X", b"F"], [outputs(1), b"X", outputs(2)], [b"X"]):
        outcome = judged(tmp_path, THREE, frames, raised)[0]
        assert outcome == Outcome(FAIL, False, True)
    for word in (b"T", b"X"):  # right, perhaps too late: to be run again, alone
        good = [outputs(*THREE[:1]), word, outputs(*THREE[1:])]
        assert judged(tmp_path, THREE, good)[0] == Outcome(PASS, True, False)
        for frames in ([word, word, outputs(*THREE)], [word + word, outputs(*THREE)]):
            assert judged(tmp_path, THREE, frames)[0].verdict == FAIL
    assert judged(tmp_path, THREE, [b"T", b"F"], raised)[0] == Outcome(FAIL, False, False)


def test_an_equal_large_output_is_never_asked_for(tmp_path: Path) -> None:
    outcome, script = judged(tmp_path, [LONG, 1], [announced(LONG), outputs(1)])
    assert outcome.verdict == PASS
    assert script.sent[1:] == [b"N"]


def test_a_large_output_with_another_digest_is_asked_for(tmp_path: Path) -> None:
    near = [*LONG[:-1], ("a", 2999.0)]  # equal, though not to the bit
    assert near == LONG
    outcome, script = judged(tmp_path, [LONG, 1], [announced(near), outputs(near), outputs(1)])
    assert outcome.verdict == PASS
    assert script.sent[1:] == [b"W"]
    other = [*LONG[:-1], ("a", 2998)]
    assert judged(tmp_path, [LONG, 1], [announced(other), outputs(other)])[0].verdict == FAIL


def test_an_output_may_take_more_room_than_the_expected_one(tmp_path: Path) -> None:
    integers, floats = [0] * 300_000, [0.0] * 300_000
    assert judged(tmp_path, [integers], [announced(floats), outputs(floats)])[0].verdict == PASS
    longer = [outputs(integers + [0] * 10**7)]
    assert judged(tmp_path, [integers], longer)[0].verdict == FAIL


def test_there_are_no_second_thoughts(tmp_path: Path) -> None:
    """Who learns that a digest was wrong must not try another output."""
    for first in (b"L" + bytes(32), announced(LONG[1:]), b"L", announced(LONG)[:-1]):
        for second in (announced(LONG), outputs(LONG), outputs(LONG[1:], LONG)):
            for expected in ([LONG], [LONG, LONG]):
                assert judged(tmp_path, expected, [first, second])[0].verdict == FAIL


def test_a_digest_passes_only_its_own_test(tmp_path: Path) -> None:
    frames = [announced(LONG), announced(LONG)]
    assert judged(tmp_path, [LONG, LONG[::-1]], frames)[0] == Outcome(FAIL, False)
    for expected in (1, [float("nan")] * 900, [numpy.array([1, 2])] * 900):  # these have none
        for frame in (b"L", b"L" + bytes(32), announced(expected)):
            outcome, _ = judged(tmp_path, [expected], [frame])
            assert outcome.verdict == FAIL


def test_huge_lists_are_compared_item_by_item(tmp_path: Path) -> None:
    huge = [[1.5, number] for number in range(350_000)]
    equal = [[1.5, float(number)] for number in range(350_000)]
    assert judged(tmp_path, [huge], [announced(huge)])[0].verdict == PASS
    assert judged(tmp_path, [huge], [announced(equal), outputs(equal)])[0].verdict == PASS
    wrong = [huge[:-1], [*huge[:-1], [1.5, 0]], [*huge[:-1], codec.Opaque("list")], [{}] * 10**7]
    for value in (*wrong, tuple(equal), [[{}] * 9 * 10**6]):
        assert judged(tmp_path, [huge], [announced(value), outputs(value)])[0].verdict == FAIL


def test_a_small_output_where_a_large_one_is_expected_is_not_compared(tmp_path: Path) -> None:
    large = [[1.5, number] for number in range(100_000)]
    for value in ([], None, "", {}, 0):
        assert judged(tmp_path, [large], [outputs(value)])[0] == Outcome(FAIL, False)


def test_memory_that_does_not_suffice_fails_the_program(tmp_path: Path) -> None:
    def frames(sent: list[bytes]) -> Iterator[bytes]:
        yield outputs(1)
        raise MemoryError

    assert judged(tmp_path, THREE, frames)[0] == Outcome(FAIL, False)


def test_inputs_come_in_batches_as_outputs_come_back(tmp_path: Path) -> None:
    """A program that fails early is not sent the rest; each input comes once."""
    expected = [number * number for number in range(3000)]
    seen: list[int] = []

    def frames(sent: list[bytes]) -> Iterator[bytes]:
        while True:
            limits, inputs = codec.unpack(sent[-1])
            assert limits == [1.0] * len(inputs)
            numbers = [number for (number,) in map(codec.unpack, inputs)]
            seen.extend(numbers)
            yield outputs(*(number * number for number in numbers))

    outcome, script = judged(tmp_path, expected, frames)
    assert outcome.verdict == PASS
    assert seen == list(range(3000))
    sizes = [len(codec.unpack(frame)[1]) for frame in script.sent]
    assert sizes == [16, 64, 256, 1024, 1024, 616]


def test_the_limits_of_a_check(tmp_path: Path) -> None:
    limits = judged(tmp_path, THREE, [])[1].limits
    assert limits.cpu_seconds == 4.5  # one second each, one, and a half for a test beside others
    assert limits.memory_bytes == 2**30
    assert 2**24 <= limits.output_bytes < 2**25
    many = judged(tmp_path, [1] * 500, [])[1].limits
    assert many.cpu_seconds == 61.5
    assert judged(tmp_path, ["x" * 2**26], [])[1].limits.output_bytes == 2**28


SMALL = [{1, 2}, (1, [2.0]), None, "x", 2**80, 1j, [1.0], {"a": (1,)}]
#: These do not equal their like, however large they are.
VARYING: list[Any] = [
    float("nan"),
    [float("nan")] * 900,
    [{1j, complex("nan")}] * 900,
    {1: (2, float("nan"))},
    numpy.array([1, 2]),
    [(1, 2), numpy.array([1, 2])],
]
LARGE: list[Any] = [list(range(5000)), "y" * 3_000_000, {"k": [1.0] * 900}, [b"x"] * 3000]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.tests"
    outputs = SMALL + VARYING + LARGE
    with CaseWriter(path) as writer:
        for name in ("base", "plus"):
            writer.begin(name, [codec.pack([name, number]) for number in range(len(outputs))])
            for number, output in enumerate(outputs):
                add(writer, output, float(number))
    with open_cases(path) as sets:
        assert [*sets] == ["base", "plus"]
        for name, tests in sets.items():
            assert len(tests) == len(outputs)
            assert tests.times == [float(number) for number in range(len(outputs))]
            assert codec.unpack(tests.input(3)) == [name, 3]
            assert tests.output_bytes == sum(len(codec.pack(output)) for output in outputs)
            assert tests.floats_from == 6
            for number, output in enumerate(outputs):
                data = codec.pack(output)
                assert tests.expected(number) == data
                assert tests.expected_bytes(number) == len(data)
                varying = len(SMALL) <= number < len(SMALL) + len(VARYING)
                assert tests.is_expected(number, data) is not varying
                assert not tests.is_expected(number, data[:-1] + b"!")
                large = number >= len(SMALL) + len(VARYING)
                assert tests.digests.get(number) == (
                    hashlib.sha256(data).digest() if large else None
                )


@pytest.mark.parametrize("output", [[print], [1, float("nan"), print], print])
def test_an_output_that_is_no_data_is_refused(tmp_path: Path, output: Any) -> None:
    with pytest.raises(codec.CodecError, match="not plain data"):
        written(tmp_path / "x", [output])


@pytest.mark.parametrize("cut", [0, 1, 16, 17, 30, -1, -6, -14])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path / "x", SMALL)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(SetupError, match="holds no tests"), open_cases(path):
        pass


def test_a_file_that_is_broken_anywhere_is_refused_or_read(tmp_path: Path) -> None:
    """The index's bytes are checked by the codec; what it says may be nonsense, never harm."""
    path = written(tmp_path / "x", SMALL)
    whole = path.read_bytes()
    r = random.Random(1)
    for _ in range(300):
        data = bytearray(whole)
        data[r.randrange(len(data))] = r.randrange(256)
        path.write_bytes(data)
        try:
            with open_cases(path) as sets:
                tests = sets["base"]
                [codec.unpack(tests.expected(number)) for number in range(len(tests))]
        except (SetupError, codec.CodecError, KeyError, IndexError):
            continue
