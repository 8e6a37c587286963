"""Build Snakemake's HTML report of a finished study and say where everything lies."""

import subprocess
import sys
from pathlib import Path

from mixmerge.config.load import load_config
from mixmerge.core.cli import parser, path_argument, run
from mixmerge.core.errors import UserError
from mixmerge.study.plan import Study


def main() -> None:
    args = parser(__doc__)
    args.add_argument("--config", type=path_argument, required=True, help="the study's YAML")
    options = args.parse_args()
    study = Study(load_config(options.config))
    report = study.root / "report.html"
    _build_report(options.config, report)
    for name in ("timing", "verdict"):
        print(f"\n{(study.root / 'tables' / f'{name}.txt').read_text(encoding='utf-8').rstrip()}")
    print(f"\nReport   {report}")
    print(f"Tables   {study.root / 'tables'}/   (index.md has all of them; CSV, Markdown, LaTeX)")
    print(f"Figures  {study.root / 'figures'}/  (SVG, PNG)")


def _build_report(config: Path, report: Path) -> None:
    """Run ``snakemake --report``; its own output is shown only if it fails."""
    result = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--configfile", str(config)),
            *("--report", str(report), "all"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise UserError(f"{report}: the report could not be built:\n{result.stdout}{result.stderr}")


if __name__ == "__main__":
    run(main)
