"""The plan before the bill: what a run would take, from Snakemake's own list of its jobs."""
