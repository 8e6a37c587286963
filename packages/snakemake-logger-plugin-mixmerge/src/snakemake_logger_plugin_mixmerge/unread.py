"""What is said of a config file that Snakemake itself cannot read: which one, where, and why.

Snakemake reads the files of ``--configfile`` before the study's own checks can run. Of a broken one
it says that it is neither JSON nor YAML, without its name, or shows a traceback.
"""

import sys
from pathlib import Path

from mixmerge.config.load import read_yaml
from mixmerge.core.errors import UserError

#: In Snakemake's messages, or in the traceback of an error that it did not expect.
_SIGNS = ("Config file ", "in load_configfile", "in _get_overwrite_config")

#: The Snakefile's own, where the command line names none.
_DEFAULT = Path("config/config.yaml")

#: How Snakemake begins and ends an error that the Snakefile raised: with a place in our code.
_HEAD, _TAIL = "WorkflowError in file ", '\n  File "'


def restated(text: str) -> str:
    """An error message of Snakemake's as the study's own checks would put it.

    Args:
        text: what Snakemake says.

    Returns:
        The same text where it is about something else, or where the files can be read.
    """
    if text.startswith(_HEAD) and "common.smk" in text.partition("\n")[0]:
        return "error: " + text.partition("\n")[2].partition(_TAIL)[0]
    if not any(sign in text for sign in _SIGNS):
        return text
    for file in _files():
        try:
            if not isinstance(read_yaml(file), dict):
                return f"error: {file}: expected sections such as `study:` and `models:` at the top"
        except UserError as error:
            return f"error: {error}"
    return text


def _files() -> list[Path]:
    """The config files that the command line and the profile name."""
    from snakemake.cli import parse_args

    try:
        _, args = parse_args(sys.argv[1:])
    except (Exception, SystemExit):  # not started from a command line
        return []
    return list(args.configfile or [_DEFAULT])
