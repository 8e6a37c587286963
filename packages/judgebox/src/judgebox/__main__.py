"""The command ``judgebox``, also ``python -m judgebox``."""

import argparse
import sys

from judgebox import evaluate
from judgebox.runtime import SetupError


def main() -> int:
    """Run a subcommand; returns the exit code."""
    parser = argparse.ArgumentParser(prog="judgebox", description="Judge generated programs.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="say which sandboxes this machine offers").set_defaults(
        run=_check
    )
    evaluate.add_command(commands)
    arguments = parser.parse_args()
    try:
        code: int = arguments.run(arguments)
    except SetupError as error:
        print(f"judgebox: {error}", file=sys.stderr)
        return 1
    return code


def _check(arguments: argparse.Namespace) -> int:
    """Start each sandbox, and say what works; 1 where none does."""
    from judgebox.detect import available

    statuses = available()
    for status in statuses:
        print(f"{status.label}: {'works' if status.works else status.reason}")
    return 0 if any(status.works for status in statuses) else 1


if __name__ == "__main__":
    sys.exit(main())
