"""Fetch one source: raw rows of the hub, a local file or the embedded corpus.

Settings are a `mixmerge.data.source_settings` section (hub, local or embedded) as JSON.
"""

from mixmerge.core.cli import json_argument, parser, path_argument, run
from mixmerge.core.section import validated
from mixmerge.data.fetch import fetch
from mixmerge.data.source_settings import Source


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--source", required=True, help="the source's key")
    arguments.add_argument("--settings", type=json_argument, required=True)
    arguments.add_argument("--corpus", type=path_argument, help="R/data/corpus, if embedded")
    arguments.add_argument("--out", type=path_argument, required=True, help="R/data/sources/SOURCE")
    given = arguments.parse_args()
    source = validated(Source, given.settings, f"sources.{given.source}")
    fetch(given.source, source, given.out, given.corpus, given.settings)


if __name__ == "__main__":
    run(main, online=True)
