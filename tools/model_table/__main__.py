"""Write docs/models.md: ``python -m model_table``; with names, print those rows alone.

Each architecture is tried in a process of its own, about half a minute each on one core.
"""

import sys
from pathlib import Path

from model_table.table import page
from model_table.tiny import architectures
from model_table.trial import trials

names = sys.argv[1:] or list(architectures())
text = page(dict(trials(names)))
if sys.argv[1:]:
    print(text)
else:
    Path("docs/models.md").write_text(text, encoding="utf-8")
