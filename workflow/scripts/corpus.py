"""Generate the embedded study's corpus, training rows, problems and held-out rows."""

from embedded_study.corpus import build_corpus
from mixmerge.artifacts.manifest import write_manifest, write_provenance
from mixmerge.core.cli import json_argument, parser, path_argument, run
from mixmerge.core.io import atomic_dir
from mixmerge.data.settings import CorpusSettings


def main() -> None:
    args = parser(__doc__)
    args.add_argument("--out", type=path_argument, required=True, help="directory to write")
    args.add_argument("--settings", type=json_argument, required=True, help="section `embedded`")
    args.add_argument("--seed", type=int, required=True)
    given = args.parse_args()
    settings = CorpusSettings.model_validate(given.settings)
    with atomic_dir(given.out) as scratch:
        build_corpus(scratch, settings, given.seed)
        write_provenance(scratch, inputs=[], settings=given.settings, seed=given.seed, packages=[])
        write_manifest(scratch, "corpus")


if __name__ == "__main__":
    run(main)
