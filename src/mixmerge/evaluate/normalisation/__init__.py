"""Normalisation of summaries, in a folder of its own: its table is code of scores alone."""

import csv
import html
import re
from pathlib import Path

_FLAGS = re.IGNORECASE | re.DOTALL | re.MULTILINE
with Path(__file__).with_name("replacements.tsv").open(encoding="utf-8") as _file:
    _rows = [*csv.DictReader(_file, delimiter="\t", quoting=csv.QUOTE_NONE)]
#: What `normalise` replaces, in order, and by what: a blank unless the table says it.
_REPLACEMENTS = [(re.compile(row["pattern"], _FLAGS), row["replacement"] or " ") for row in _rows]


def normalise(text: str) -> str:
    """Normalise a prediction or a reference in PROTOCOL's order; one of markers becomes empty."""
    text = html.unescape(text)
    for pattern, replacement in _REPLACEMENTS:
        text = pattern.sub(replacement, text)
    return text.strip().removesuffix(".").rstrip()
