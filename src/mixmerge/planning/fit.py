"""Which models' training may not fit the memory of the GPUs it asks for."""

from mixmerge.config.load import parse_config
from mixmerge.config.models import parameters_of
from mixmerge.core.errors import UserError
from mixmerge.data.settings import MIX
from mixmerge.planning.dryrun import Planned
from mixmerge.resources.memory import misfit


def misfits(planned: Planned) -> list[str]:
    """One line for each model that a planned run trains on too little GPU memory."""
    models = sorted({job.wildcards["model"] for job in planned.jobs if job.rule == "sft"})
    if not models:
        return []
    try:
        config = parse_config(planned.config, "config")
    except UserError:
        # Snakemake has checked the config already; what it took from elsewhere is not ours to see.
        return []
    lines = []
    for model in models:
        parameters = parameters_of(config.models[model])
        if parameters is None:
            continue
        for training_set in (*config.tasks, MIX):
            settings = config.sft_settings(model, training_set)
            found = misfit(settings, parameters, settings.processes, config.hardware)
            if found:
                lines.append(f"models.{model}: {found}")
                break
    return lines
