"""Fetch the data METEOR needs, WordNet 3.0 and the punkt_tab tokenizer, without manual steps."""

from mixmerge.core.cli import parser, path_argument, run
from mixmerge.evaluate.nltkdata import fetch_nltk_data


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--out", type=path_argument, required=True)
    given = arguments.parse_args()
    fetch_nltk_data(given.out)


if __name__ == "__main__":
    run(main)
