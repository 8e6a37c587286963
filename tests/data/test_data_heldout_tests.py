"""What test programs ask of a solution, and which of them cannot judge."""

import pytest

from mixmerge.data.heldout_rows import Unusable, read_tests

SOLUTION = """
import math

LIMIT = 3

class Node:
    pass

def area(r):
    return math.pi * r

def helper():
    return Node()
"""


@pytest.mark.parametrize(
    ("tests", "names"),
    [
        ("from solution import area\ndef test_a():\n    assert area(0) == 0", ("area",)),
        ("import solution\ndef test_a():\n    assert solution.area(0) == 0", ("area",)),
        ("import solution as s\ndef test_a():\n    assert s.helper()", ("helper",)),
        ("def test_a():\n    from solution import area, Node\n    area(1)", ("area", "Node")),
        ("from solution import *\ndef test_a():\n    assert area(LIMIT)", ("area", "LIMIT")),
        # One name is imported, another one redefined by the tests themselves.
        ("from solution import area, Node\nclass Node: ...\ndef test_a(): area(1)", ("area",)),
    ],
)
def test_programs_that_import_the_solution_stay_as_they_are(tests, names):
    program = read_tests(tests, SOLUTION)
    assert program.names == names
    assert program.text == tests


def test_a_program_without_the_import_gets_it_for_what_it_does_not_define_itself():
    tests = "def helper(): pass\ndef test_a():\n    assert area(len([])) == LIMIT\n    helper()"
    program = read_tests(tests, SOLUTION)
    assert program.names == ("area", "LIMIT")
    assert program.text == "from solution import area, LIMIT\n" + tests


@pytest.mark.parametrize(
    ("tests", "solution", "reason"),
    [
        (" ", SOLUTION, "no_tests"),
        (None, SOLUTION, "no_tests"),
        ("def test_a(): area(1)", "", "no_solution"),
        ("def test_a(: area(1)", SOLUTION, "not_python"),
        ("def test_a(): area(1)", "print 'two'", "not_python"),
        ("def test_a(): '\0'", SOLUTION, "not_python"),
        ("from solution import area\nfrom timeit import timeit", SOLUTION, "clock"),
        ("from solution import area\ndef test_a():\n    import time", SOLUTION, "clock"),
        ("def area(r): return 1\ndef test_a(): assert area(1)", SOLUTION, "tests_itself"),
        ("from solution import area\ndef area(r): return 1", SOLUTION, "tests_itself"),
        ("def test_a(): assert other(1)", SOLUTION, "tests_itself"),
    ],
)
def test_programs_that_cannot_judge(tests, solution, reason):
    with pytest.raises(Unusable) as caught:
        read_tests(tests, solution)
    assert str(caught.value) == reason
