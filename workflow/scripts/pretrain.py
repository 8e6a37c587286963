"""Pre-train an embedded base model from scratch on the embedded corpus."""

from embedded_study.pretraining import pretrain
from mixmerge.artifacts.manifest import MANIFEST, read_manifest, write_manifest, write_provenance
from mixmerge.artifacts.record import skip_if_unchanged
from mixmerge.checkpoint.settings import EmbeddedModel
from mixmerge.core.cli import json_argument, parser, path_argument, run
from mixmerge.core.io import atomic_dir


def main() -> None:
    args = parser(__doc__)
    args.add_argument("--corpus", type=path_argument, required=True, help="the corpus's directory")
    args.add_argument("--out", type=path_argument, required=True, help="checkpoint to write")
    args.add_argument("--settings", type=json_argument, required=True, help="`models.<m>.model`")
    args.add_argument("--seed", type=int, required=True)
    given = args.parse_args()
    read_manifest(given.corpus, "corpus")
    settings = EmbeddedModel.model_validate(given.settings)

    def make() -> None:
        with atomic_dir(given.out) as scratch:
            pretrain(scratch, given.corpus, settings, given.seed)
            write_provenance(
                scratch,
                inputs=[given.corpus / MANIFEST],
                settings=given.settings,
                seed=given.seed,
                packages=["torch", "transformers", "tokenizers"],
            )
            write_manifest(scratch, "checkpoint")

    skip_if_unchanged(given.out, vars(given), make)


if __name__ == "__main__":
    run(main)
