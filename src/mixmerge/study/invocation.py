"""What the Snakemake that reads its rules right now was asked to do."""

import shlex
import sys
from pathlib import Path
from typing import Any

#: Options with which Snakemake runs no job and takes no lock: it plans, lists, draws or tidies up.
_NO_RUN = (
    *("dryrun", "unlock", "lint", "list_rules", "list_target_rules", "list_resources"),
    *("print_compilation", "containerize", "generate_unit_tests", "dag", "rulegraph", "filegraph"),
    *("d3dag", "cleanup_metadata", "conda_cleanup_envs", "conda_create_envs_only"),
    *("list_conda_envs", "cleanup_shadow", "container_cleanup_images", "list_changes"),
    *("list_input_changes", "list_params_changes", "list_untracked", "summary"),
    *("detailed_summary", "archive", "delete_all_output", "delete_temp_output"),
)


def arguments() -> Any:
    """The parsed command line, profiles included; None where Snakemake was not started by one.

    Rules are read before Snakemake tells the workflow whether it will run anything, so the answer
    is taken from its own command-line function, which is on the stack.
    """
    return _of_the_call("args")


def started_in() -> Path:
    """The directory in which Snakemake was called: it goes to ``--directory`` before reading rules.

    What its command line names by a relative path is meant from there.
    """
    api = getattr(_of_the_call("snakemake_api"), "_workflow_api", None)
    before = getattr(getattr(api, "_workdir_handler", None), "olddir", None)
    return Path.cwd() if before is None else Path(before)


def _of_the_call(name: str) -> Any:
    """A variable of Snakemake's command-line function; None where there is none on the stack."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name == "args_to_api":
            return frame.f_locals.get(name)
    return None


def runs_jobs(given: Any) -> bool:
    """Whether Snakemake, so called, will run jobs (or ``--touch`` their outputs)."""
    if getattr(given, "report", None) and not getattr(given, "report_after_run", False):
        return False
    return not any(getattr(given, option, None) for option in _NO_RUN)


def wants(given: Any, target: str) -> bool:
    """Whether the command line names a target.

    Args:
        given: what `arguments` returns.
        target: such as ``preflight``.
    """
    return target in (getattr(given, "targets", None) or ())


def chosen_options(given: Any) -> str:
    """The options that say which study is meant, as for a shell: ``--configfile X --profile Y``."""
    words: list[str] = []
    for name in ("directory", "profile", "configfile", "config"):
        value = getattr(given, name, None)
        if value:
            values = value if isinstance(value, list) else [value]
            words += [f"--{name}", *map(str, values)]
    return shlex.join(words)
