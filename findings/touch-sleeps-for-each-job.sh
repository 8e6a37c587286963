#!/usr/bin/env bash
# snakemake 9.27.1: `--touch` sleeps a tenth of a second for every job, one after the other.
#
# Expected: --touch marks a study's files as up to date (after a copy of the results, say, or an edit
# that changes nothing) in the time that looking at them takes, whatever the number of jobs; with
# --cores 8 at worst an eighth of any wait of its own.
# Seen: its executor calls time.sleep(0.1) before it touches a job's outputs, in the one thread that
# goes through the jobs, so the number of cores makes no difference: 6 seconds for the 60 jobs below,
# a minute and a half for a grid of 928, of which nothing is work.
# (There is no option for it; the number is the class attribute SLEEPING_TIME of
# snakemake.executors.touch.Executor.)
#
# Needs Python 3.11 or newer and a package index. Exit code 0 while it behaves so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check snakemake==9.27.1
cd "$folder"
cat > Snakefile <<'SNAKEFILE'
rule all:
    input: expand("made/{n}", n=range(60))
rule make:
    output: "made/{n}"
    shell: "echo {wildcards.n} > {output}"
SNAKEFILE
venv/bin/snakemake --cores 8 --quiet all -- all
venv/bin/snakemake --version
venv/bin/python -m cProfile -o profile -m snakemake --cores 8 --quiet all --touch --forceall -- all
venv/bin/python - <<'PYTHON'
import pstats

sleeps = {
    (calls, round(seconds, 1))
    for (_, _, name), (_, calls, seconds, _, _) in pstats.Stats("profile").stats.items()
    if name == "<built-in method time.sleep>"
}
print("time.sleep: calls, seconds in all:", *sleeps)
((calls, seconds),) = sleeps
assert calls == 60 and seconds >= 6, sleeps
print("as told: a tenth of a second for each of 60 jobs, one after the other, with 8 cores")
PYTHON
