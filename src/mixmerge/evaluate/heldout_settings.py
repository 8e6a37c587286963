"""Where the problems of a held-out code suite stand in their source.

A section of its own: training depends on what is held out, and must not run again because some
other setting of a suite got a new field.
"""

from mixmerge.core.section import Section


class HeldOutFields(Section):
    """Which columns of a source hold what a problem is made of."""

    problem: str
    """Column with the text that is asked, such as `question`."""

    tests: str
    """Column with a test program for pytest, such as `test_code`. It imports what it tests from
    the module `solution`; one that imports nothing finds the names it uses all the same."""

    solution: str
    """Column with a solution that passes the tests. A problem is dropped, and counted, where it
    does not."""
