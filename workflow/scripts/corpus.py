"""Generate the embedded study's corpus, training rows, problems and held-out rows."""

from embedded_study.corpus import build_corpus
from mixmerge.artifacts.manifest import publish
from mixmerge.core.cli import json_argument, parser, path_argument, run
from mixmerge.data.settings import CorpusSettings


def main() -> None:
    args = parser(__doc__)
    args.add_argument("--out", type=path_argument, required=True, help="directory to write")
    args.add_argument("--settings", type=json_argument, required=True, help="section `embedded`")
    args.add_argument("--seed", type=int, required=True)
    options = args.parse_args()
    settings = CorpusSettings.model_validate(options.settings)
    with publish(
        options.out, "corpus", inputs=[], settings=settings, seed=options.seed
    ) as artifact:
        build_corpus(artifact.path, settings, options.seed)


if __name__ == "__main__":
    run(main)
