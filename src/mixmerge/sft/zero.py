"""DeepSpeed: its configuration for a ZeRO stage, and what it needs of the machine."""

import os
import socket
from typing import Any

from mixmerge.core.errors import UserError
from mixmerge.sft.settings import Sft

#: Elements a communication bucket; DeepSpeed's own 5e8 would allocate gigabytes for small models.
_BUCKET = 200_000_000


def zero_config(settings: Sft, parameters: int) -> dict[str, Any]:
    """The DeepSpeed configuration of a run; "auto" values are filled in by transformers.

    Args:
        settings: with `zero_stage` not None.
        parameters: number of the model's parameters; bounds the buckets.
    """
    stage = settings.zero_stage
    assert stage is not None
    bucket = min(_BUCKET, parameters)
    zero: dict[str, Any] = {
        "stage": stage,
        "contiguous_gradients": True,
        "reduce_bucket_size": bucket,
        "allgather_bucket_size": bucket,
    }
    if stage == 3:
        zero["stage3_prefetch_bucket_size"] = "auto"
        zero["stage3_param_persistence_threshold"] = "auto"
        # Without this a ZeRO-3 save is an empty shell.
        zero["stage3_gather_16bit_weights_on_model_save"] = True
    if settings.offload != "none":
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
    if settings.offload == "all":
        zero["offload_param"] = {"device": "cpu", "pin_memory": True}
    config: dict[str, Any] = {
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "bf16": {"enabled": settings.precision == "bf16"},
        "zero_optimization": zero,
        # The optimiser is torch's AdamW, at every stage and without DeepSpeed: the stages differ in
        # where the states lie, not in the arithmetic. It needs no C++ compiler either.
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
    }
    if settings.precision == "bf16":
        # Else micro-batches are summed in bf16 and accumulation no longer equals a large batch.
        config["data_types"] = {"grad_accum_dtype": "fp32"}
    return config


def import_deepspeed() -> None:
    """Import DeepSpeed without the C++ op that it would compile for CPU clusters.

    `deepspeed_shm_comm` speeds up inference all-reduces over shared memory, which training does not
    use; building it costs half a minute and a compiler, which laptops may not have.

    Raises:
        UserError: DeepSpeed cannot be imported here.
    """
    try:
        import deepspeed.ops
    except Exception as error:  # DeepSpeed probes compilers and drivers when it is imported
        raise UserError(
            f"sft.zero_stage: DeepSpeed does not work on this machine ({error}); set "
            "`zero_stage: null` to train without it"
        ) from error
    deepspeed.ops.__compatible_ops__ = {"deepspeed_shm_comm": False}


def single_process_environment() -> None:
    """Say where a process group of one meets, as torchrun would; DeepSpeed insists on one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ.update(
        RANK="0",
        LOCAL_RANK="0",
        WORLD_SIZE="1",
        LOCAL_WORLD_SIZE="1",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
