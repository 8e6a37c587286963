"""Fetch the data METEOR needs, WordNet 3.0 and the punkt_tab tokenizer, without manual steps."""

from mixmerge.core.cli import parser, path_argument, run
from offline_sources.nltk_data import fetch_nltk_data
from offline_sources.nltk_packages import FALLBACKS


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--out", type=path_argument, required=True)
    options = arguments.parse_args()
    fetch_nltk_data(options.out, FALLBACKS)


if __name__ == "__main__":
    run(main)
