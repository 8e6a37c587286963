"""Pre-train an embedded base model from scratch on the embedded corpus."""

from embedded_study.pretraining import pretrain
from mixmerge.artifacts.manifest import MANIFEST, publish, read_manifest
from mixmerge.artifacts.record import skip_if_unchanged
from mixmerge.checkpoint.settings import EmbeddedModel
from mixmerge.core.cli import json_argument, parser, path_argument, run


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--corpus", type=path_argument, required=True, help="its directory")
    arguments.add_argument("--out", type=path_argument, required=True, help="checkpoint to write")
    arguments.add_argument(
        "--settings", type=json_argument, required=True, help="`models.<m>.model`"
    )
    arguments.add_argument("--seed", type=int, required=True)
    options = arguments.parse_args()
    read_manifest(options.corpus, "corpus")
    settings = EmbeddedModel.model_validate(options.settings)

    def make() -> None:
        with publish(
            options.out,
            "checkpoint",
            inputs=[options.corpus / MANIFEST],
            settings=options.settings,
            seed=options.seed,
            packages=["torch", "transformers", "tokenizers"],
        ) as checkpoint:
            pretrain(checkpoint.path, options.corpus, settings, options.seed)

    skip_if_unchanged(options.out, vars(options), make)


if __name__ == "__main__":
    run(main)
