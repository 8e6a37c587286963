"""Fetch one source: raw rows of the hub, a local file, the embedded corpus or packages.

Settings: a source of `mixmerge.data.settings` as JSON, without its columns.
"""

from mixmerge.core.cli import json_argument, parser, path_argument, run
from mixmerge.core.section import validated
from mixmerge.data.settings import Source
from mixmerge.data.sources import fetch
from offline_sources.packages import read_packages


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--source", required=True, help="the source's key")
    arguments.add_argument("--settings", type=json_argument, required=True)
    arguments.add_argument("--corpus", type=path_argument, help="R/data/corpus, if embedded")
    arguments.add_argument("--out", type=path_argument, required=True, help="R/data/sources/SOURCE")
    options = arguments.parse_args()
    source = validated(Source, options.settings, f"sources.{options.source}")
    fetch(options.source, source, options.out, options.corpus, read_packages)


if __name__ == "__main__":
    run(main, online=True)
