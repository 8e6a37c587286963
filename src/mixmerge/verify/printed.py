"""The files of the report held against the lists that their jobs left."""

from collections.abc import Iterator

from mixmerge.artifacts.integrity import read_sums
from mixmerge.core.errors import UserError
from mixmerge.study.plan import Study
from mixmerge.verify.inspection import Fault, Found, Wanted, way_out
from mixmerge.verify.places import Place

#: Rule -> the list it leaves, below the study's root.
LISTS = {
    "statistics": ("data", ".statistics.sha256"),
    "tables": (".tables.sha256",),
    "figures": (".figures.sha256",),
    "verdict": (".verdict.sha256",),
    "timing": (".timing.sha256",),
}


def printed(study: Study, options: str) -> Iterator[Found]:
    """Every file that a list names.

    Args:
        study: the plan.
        options: of the command line, for the ways out.
    """
    for rule, parts in LISTS.items():
        list_ = study.root.joinpath(*parts)
        if not list_.is_file():
            continue
        try:
            sums = read_sums(list_)
        except UserError as error:
            found = Found(Place(list_, rule, "printed", str(list_)))
            problem = str(error).removeprefix(f"{list_}: ")
            again = f"delete it, then `snakemake {options} -R {rule}`"
            found.faults.append(Fault(list_, problem, again))
            yield found
            continue
        for path, digest in sums.items():
            place = Place(path, rule, "printed", str(path))
            found = Found(place)
            if path.is_symlink() or not path.is_file():
                problem = f"missing, but {list_} lists it"
                again = f"`snakemake {options} -- {path}` makes it again ({rule})"
                if path.is_symlink() or path.exists():
                    problem, again = "is no file (put there by hand)", way_out(place, options)
                found.faults.append(Fault(path, problem, again))
            else:
                found.wanted.append(Wanted(path, path.stat().st_size, digest, place, list_))
            yield found
