"""Normalisation before the summary metrics, on the cases models and corpora really hold."""

import pytest

from mixmerge.evaluate.metrics import normalise


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Entities: unescaped first, once.
        ("Compares a &lt; b &amp;&amp; c &gt; d.", "Compares a < b && c > d"),
        ("It&#39;s &quot;it&quot;", 'It\'s "it"'),
        ("&amp;lt;", "&lt;"),
        # Thoughts go with their content, closed or cut off, whether the template opened them.
        ("<think>Hm.\nA loop.</think>\nSums a list.", "Sums a list"),
        ("a <think>x</think> b <THINK>y</THINK> c", "a b c"),
        ("<think>never ends", ""),
        ("I should say sum.</think> Sums.", "Sums"),
        ("Thinks <thinking> aloud", "Thinks <thinking> aloud"),
        # Fences go, their content stays.
        ("```\nSums a list.\n```", "Sums a list"),
        ("```python\nSums.\n```\n", "Sums"),
        ("~~~c++\nSums\n~~~", "Sums"),
        ("Sums ```all``` of it", "Sums all of it"),
        ("Uses `x` as it is", "Uses `x` as it is"),
        # Triple quotes, with and without prefix; other quotes stay.
        ('"""Sums a list."""', "Sums a list"),
        ("'''Sums'''", "Sums"),
        ('r"""Matches \\d."""', "Matches \\d"),
        ('The error"""', "The error"),
        ('Prints "x"', 'Prints "x"'),
        # Comment markers.
        ("/** Sums a list. */", "Sums a list"),
        ("/**\n * Sums a list.\n * Twice.\n */", "Sums a list. Twice"),
        ("// Sums\n// a list.", "Sums a list"),
        ("# Sums\n#\n# a list", "Sums a list"),
        ("  * one\n  * two", "one two"),
        ("-- Sums", "Sums"),
        # What looks like a marker and is none.
        ("a * b, x // y, C# and #1", "a * b, x // y, C# and #1"),
        ("#1 of the list", "#1 of the list"),
        ("**kwargs are passed on", "**kwargs are passed on"),
        ("See https://x.org/a", "See https://x.org/a"),
        ("--flag is set", "--flag is set"),
        ("-1 if absent", "-1 if absent"),
        # Tags: HTML elements by name, javadoc's block and inline tags.
        ("<p>Sums a <code>list</code>.<br/>Twice", "Sums a list . Twice"),  # words never join
        ('<a href="x">link</a>', "link"),
        ("Maps List<String> to a <T>", "Maps List<String> to a <T>"),
        ("if a < b or c > d", "if a < b or c > d"),
        ("Sums {@code a + b} of {@link Foo#bar}.", "Sums a + b of Foo#bar"),
        ("Sums.\n@param x the list\n@return the sum", "Sums. x the list the sum"),
        ("Mails me@return.org and uses @property", "Mails me@return.org and uses @property"),
        # White space and the last full stop, one.
        ("  Sums\t a\r\n list .  ", "Sums a list"),
        ("Waits...", "Waits.."),
        ("Is it?", "Is it?"),
        # Nothing left.
        ("", ""),
        (" \n\t ", ""),
        (".", ""),
        ("```\n```", ""),
        ("/** */", ""),
        ('""""""', ""),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected


def test_twice_is_once() -> None:
    text = "/** <p>Sums {@code x}.</p> */"
    assert normalise(normalise(text)) == normalise(text) == "Sums x"
