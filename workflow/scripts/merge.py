"""Rule merge: run recipes with MergeKit and publish the merged checkpoints.

Several merges may be given at once (as many values of --recipe, --out and --seed): importing
MergeKit takes longer than merging small models. Each is published by itself as soon as it is done.

The weights may be deleted when all that reads them is done. --record names the directory of what
stays: manifest and provenance.
"""

from mixmerge.core.cli import parser, path_argument, run
from mixmerge.core.errors import UserError


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--recipe", type=path_argument, nargs="+", required=True)
    arguments.add_argument("--out", type=path_argument, nargs="+", required=True)
    arguments.add_argument("--record", type=path_argument, nargs="+", help="one for each --out")
    arguments.add_argument("--seed", type=int, nargs="+", required=True)
    arguments.add_argument("--shard-bytes", type=int, required=True)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument(
        "--device",
        choices=["cpu", "cuda", "auto"],
        default="cpu",
        help="where MergeKit computes; a GPU draws other random masks than a CPU",
    )
    options = arguments.parse_args()
    if not len(options.recipe) == len(options.out) == len(options.seed):
        raise UserError("--recipe, --out and --seed: give as many values of each")
    if options.record is not None and len(options.record) != len(options.out):
        raise UserError("--record and --out: give as many values of each")
    from mixmerge.merge.execution import merge
    from mixmerge.merge.recipe import write_record

    records = options.record or [None] * len(options.out)
    for recipe, out, record, seed in zip(
        options.recipe, options.out, records, options.seed, strict=True
    ):
        merge(
            recipe,
            out,
            seed=seed,
            shard_bytes=options.shard_bytes,
            threads=options.threads,
            device=options.device,
        )
        if record is not None:
            write_record(out, record)


if __name__ == "__main__":
    run(main)
