"""What Snakemake says in a run that the board says better; the log file keeps all of it."""

_STARTS = (
    "Assuming unrestricted shared filesystem",
    "Using shell:",
    "Provided ",
    "Rules claiming more threads",
    "Conda environments: ignored",
    "Singularity containers: ignored",
    "Group jobs: inactive",
    "Select jobs to execute",
    "Execute ",
    "Job rate limit reached",
    "Removing temporary output",
    "Removing output files of failed job",
    "Touching output file",
    "Shutting down, this might take some time",
    "Complete log(s):",
    "Elapsed time:",
    "Waiting at most",
    "Cleaning up SLURM log files",
    # Told again with the job, without the traceback.
    "Exception in run_job for rule",
)


def is_noise(message: str) -> bool:
    """Whether a message of Snakemake's is shown by the board, or of no use to who watches."""
    return not message.strip() or message.startswith(_STARTS)
