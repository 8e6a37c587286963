"""The judge against what may come out of a box: any frames at all, in any order."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy
import pytest

from judgebox import codec
from judgebox.check import Ended
from judgebox.judging import FAIL, PASS, TIMEOUT, Outcome
from scripted_box import announced, judged, outputs

LONG = [("a", number) for number in range(3000)]
THREE = [1, "two", [3.0]]
RIGHT = {
    "all at once": [outputs(*THREE)],
    "one by one": [outputs(1), outputs("two"), outputs([3.0])],
    "within the tolerance": [outputs(1, "two", [3.0000001])],
    "and then nonsense": [outputs(*THREE), b"nonsense"],
}
WRONG = {
    "one wrong": [outputs(1, "too", [3.0])],
    "of another type": [outputs(1, "two", (3.0,))],
    "wrong, then right": [outputs(2), outputs(*THREE)],
    "more than there are inputs": [outputs(*THREE, 4)],
    "no list": [b"R" + codec.pack(tuple(map(codec.pack, THREE)))],
    "not packed": [b"R" + codec.pack(THREE)],
    "a dict": [b"R" + codec.pack({1: 2})],
    "cut off": [outputs(*THREE)[:-1]],
    "something behind": [outputs(*THREE) + b"x"],
    "nothing": [b""],
    "only a kind": [b"R"],
    "no outputs": [outputs(), outputs(*THREE)],
    "only another": [b"W"],
    "an unknown kind": [b"W" + outputs(*THREE)[1:]],
    "a pass": [b"pass"],
    "what the judge says": [b"N"],
    "what ground truth is made of": [b"P" + codec.pack(1), b"O" + bytes(8)],
    "a digest of nothing": [b"L", b"L"],
    "an exception": [b"F"],
    "opaque": [outputs(print, "two", [3.0])],
    "opaque, twice": [outputs(codec.Opaque("int"), codec.Opaque("str"), codec.Opaque("list"))],
    "far too much in one": [outputs(1, "two", ["x" * 200_000])],
    "far larger than expected": [outputs(1), outputs("two" + "x" * 2**21)],
    "equal, but far larger than expected": [outputs(Decimal("1." + "0" * 2**21), "two", [3.0])],
}


@pytest.mark.parametrize("frames", RIGHT.values(), ids=RIGHT)
def test_right_outputs_pass(tmp_path: Path, frames: list[bytes]) -> None:
    outcome, script = judged(tmp_path, THREE, frames)
    assert outcome == Outcome(PASS, False)
    assert script.killed  # nothing of it is needed any more


@pytest.mark.parametrize("frames", WRONG.values(), ids=WRONG)
def test_everything_else_fails(tmp_path: Path, frames: list[bytes]) -> None:
    outcome, script = judged(tmp_path, THREE, frames)
    assert outcome == Outcome(FAIL, False)
    assert script.killed


def test_what_does_not_equal_itself_is_wrong_though_its_bytes_are_right(tmp_path: Path) -> None:
    for value in (float("nan"), [1.0, float("nan")], {1: float("nan")}, numpy.array([1, 2])):
        for expected in ([value], [1, value, 2]):
            assert judged(tmp_path, expected, [outputs(*expected)])[0].verdict == FAIL
    assert judged(tmp_path, [numpy.array(1)], [outputs(numpy.array(1))])[0].verdict == PASS


def test_the_tolerance_sticks_also_after_outputs_that_are_equal_to_the_bit(tmp_path: Path) -> None:
    near = [outputs("x", 1.5), outputs([1, 2.0000001])]
    assert judged(tmp_path, ["x", 1.5, [1, 2.0]], near)[0].verdict == PASS
    assert (
        judged(tmp_path, ["x", [1, 1.5], [1, 2.0]], [outputs("x", [1, 1.5]), near[1]])[0].verdict
        == FAIL
    )


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
    frames = [announced(floats), outputs(floats)]
    assert judged(tmp_path, [integers], frames)[0].verdict == PASS
    frames = [outputs([0] * 300_000 + [0] * 10**7)]
    assert judged(tmp_path, [integers], frames)[0].verdict == FAIL


def test_there_are_no_second_thoughts(tmp_path: Path) -> None:
    """Who learns that a digest was wrong must not try another output."""
    for first in (b"L" + bytes(32), announced(LONG[1:]), b"L", announced(LONG)[:-1]):
        for second in (announced(LONG), outputs(LONG), outputs(LONG[1:], LONG)):
            assert judged(tmp_path, [LONG, LONG], [first, second])[0].verdict == FAIL


def test_a_digest_passes_only_its_own_test(tmp_path: Path) -> None:
    other = LONG[::-1]
    frames = [announced(LONG), announced(LONG)]
    assert judged(tmp_path, [LONG, other], frames)[0] == Outcome(FAIL, False)
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
