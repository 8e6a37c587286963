"""A profile's own words for GPUs, as sbatch is finally called with them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from snakemake.iocontainers import ResourceList
from snakemake.resources import Resource, Resources
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string

from mixmerge.resources.requests import in_cluster_words

PARTITIONS = {"slurm_partition": "cpu", "gpu_job_slurm_partition": "gpu"}


def resources(
    defaults: dict[str, str], gpu: int | None = None, nodes: int = 1, attempt: int = 1
) -> dict[str, Any]:
    """The resources of a job, on so many GPUs at each attempt, under a profile's defaults."""
    profile = Resources.parse(
        [f"{name}={value}" for name, value in defaults.items()],
        allow_expressions=True,
        defaults="full",
    )
    rule: dict[str, Any] = {"nodes": lambda wildcards, attempt: nodes}
    if gpu is not None:
        rule["gpu"] = lambda wildcards, attempt: gpu * attempt
    own = {
        name: Resource(name, value).evaluate(SimpleNamespace(), attempt=attempt).value
        for name, value in in_cluster_words(rule, profile).items()
    }
    plain = {name: value for name, value in defaults.items() if not name.startswith("gpu_job_")}
    return {name: value for name, value in {**plain, **own}.items() if value is not None}


def sbatch(defaults: dict[str, str], gpu: int | None = None) -> str:
    """The call of sbatch for such a job, as the executor plugin writes it."""
    found = resources(defaults, gpu)
    job = SimpleNamespace(resources=ResourceList(fromdict=found), threads=1)
    about = {"run_uuid": "u", "slurm_logfile": "l", "comment_str": "c", "workdir": "/"}
    about |= {"account": "", "partition": f"-p {found['slurm_partition']}"}
    return f"{get_submit_command(job, about)} {set_gres_string(job)} "


@pytest.mark.parametrize(("gpu", "partition"), [(None, "cpu"), (0, "cpu"), (1, "gpu")])
def test_gpus_decide_on_the_partition(gpu: int | None, partition: str) -> None:
    assert resources(PARTITIONS, gpu)["slurm_partition"] == partition


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({}, "--gpus=4"),
        ({"gpu_job_gpu_model": "a100"}, "--gpus=a100:4"),
        ({"gpu_job_gres": "gpu:{gpu_per_node}"}, "--gres=gpu:4"),
        ({"gpu_job_gres": "'gpu:a100:{gpu_per_node}'"}, "--gres=gpu:a100:4"),
        ({"gpu_job_constraint": "a100|h100"}, "-C 'a100|h100'"),
        ({"gpu_job_qos": "long"}, "--qos=long"),
        ({"gpu_job_slurm_extra": "--gpus-per-node={gpu_per_node}"}, "--gpus-per-node=4"),
    ],
)
def test_words_reach_sbatch_for_gpu_jobs_alone(words: dict[str, str], expected: str) -> None:
    call = sbatch({**PARTITIONS, **words}, 4)
    assert f" {expected} " in call
    # Never both: Slurm would add them up.
    assert not ("--gres=" in call and "--gpus=" in call)
    alone = sbatch({**PARTITIONS, **words})
    assert not any(word in alone for word in ("gpu", "gres", "a100", "--qos"))


def test_gpus_of_each_node_and_of_each_attempt() -> None:
    found = resources({**PARTITIONS, "gpu_job_gres": "gpu:{gpu_per_node}"}, 8, nodes=2)
    assert (found["gres"], found["nodes"], found["gpu_count"]) == ("gpu:4", 2, 8)
    assert "gpu" not in found
    retried = resources({**PARTITIONS, "gpu_job_gres": "gpu:{gpu}"}, 2, attempt=2)
    assert retried["gres"] == "gpu:4"


def test_without_a_profile_rules_keep_their_resources() -> None:
    rule = {"gpu": 2, "mem_mb": 5}
    assert in_cluster_words(rule, None) == rule
    assert in_cluster_words(rule, Resources.default("bare")) == rule


def test_the_profile_in_the_repository() -> None:
    """Its words are understood as they stand, also those that are commented out."""
    text = (Path(__file__).parents[2] / "slurm/profile.yaml").read_text(encoding="utf-8")
    profile = yaml.safe_load(text)
    assert {"executor", "retries", "default-resources"} <= set(profile)
    assert sbatch(profile["default-resources"], 2).count("--gpus=2") == 1
    for line in [line.strip() for line in text.splitlines() if line.startswith("  #gpu_job_")]:
        name, _, word = line.lstrip("#").partition(":")
        value = word.partition(" # ")[0].strip()
        call = sbatch({**PARTITIONS, name: value}, 4)
        assert value.replace("{gpu_per_node}", "4") in call, line
