"""One training process, alone or as a rank of several: the Trainer's set-up, DeepSpeed's too."""

import logging
import os
import shutil
import socket
import warnings
from pathlib import Path
from typing import Any

from mixmerge.checkpoint.index import read_index
from mixmerge.checkpoint.side_files import trusts_code
from mixmerge.checkpoint.tensors import parameter_count
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.sft.examples import COUNTS, fill_up
from mixmerge.sft.job import Job, StopRequest
from mixmerge.sft.settings import Sft

logger = logging.getLogger(__name__)


def train(job: Job, request: StopRequest) -> None:
    """Train from the base, or from the last complete checkpoint in scratch, to the last step.

    Leaves the checkpoints in ``job.trainer``; `publish_run` takes it from there. A run asked to
    stop returns early, its last step saved.
    """
    import torch

    settings, cuda = job.settings, torch.cuda.is_available()
    torch.set_num_threads(settings.threads)
    if settings.zero_stage is not None:
        if settings.processes == 1:  # DeepSpeed insists on a process group
            os.environ.update(RANK="0", LOCAL_RANK="0", **meeting_point(1, 1))
        _import_deepspeed()
    import transformers
    from datasets import Dataset

    from mixmerge.sft.trainer import Schedule, Stopped, Trainer

    _quieten(transformers)
    # The arguments come first: they tell transformers about ZeRO-3, under which a model is loaded
    # in parts.
    args = _arguments(job, cuda)
    if settings.zero_stage is not None:
        # On CPU accelerate leaves this until after the model is loaded, and ZeRO-3 would take the
        # run for one of a single process.
        import deepspeed.comm

        deepspeed.comm.init_distributed("nccl" if cuda else "gloo")
    lora = None
    if settings.lora is not None:
        from peft import LoraConfig

        lora = LoraConfig(
            task_type="CAUSAL_LM",
            r=settings.lora.rank,
            lora_alpha=settings.lora.alpha,
            lora_dropout=settings.lora.dropout,
            target_modules=settings.lora.targets,
        )
    if args.process_index == 0:  # what a kill left half-written
        shutil.rmtree(args.output_dir, ignore_errors=True)
    if job.last and args.process_index == 0:
        logger.info("resuming after step %d", job.step)
    trainer = Trainer(
        model=_load_model(job.base, settings),
        args=args,
        train_dataset=fill_up(
            Dataset.from_file(str(job.tokens / "train.arrow")), settings.batch_size
        ),
        eval_dataset=Dataset.from_file(str(job.tokens / "validation.arrow")),
        processing_class=transformers.AutoTokenizer.from_pretrained(
            job.base, local_files_only=True, trust_remote_code=trusts_code(job.base)
        ),
        peft_config=lora,
    )
    trainer.keep_best = settings.checkpoint == "best"
    trainer.request = request
    trainer.remove_callback(transformers.PrinterCallback)
    tokens = read_json(job.tokens / COUNTS)["train"]["tokens"]
    trainer.add_callback(Schedule(settings, trainer, tokens))
    try:
        trainer.train(resume_from_checkpoint=str(job.last) if job.last else None)
    except Stopped:
        logger.info("stopped before a further step")


def _quieten(transformers: Any) -> None:
    """Keep the libraries' advice to their own developers out of the rule's log."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name in ("DeepSpeed", "accelerate"):
        logging.getLogger(name).setLevel(logging.ERROR)
    libraries = "(torch|transformers|accelerate|deepspeed|trl|peft)"
    for category in (FutureWarning, UserWarning):
        warnings.filterwarnings("ignore", category=category, module=libraries)


def _load_model(base: Path, settings: Sft) -> Any:
    import torch
    from transformers import AttentionInterface, AutoModelForCausalLM
    from transformers.utils import is_flash_attn_2_available

    from mixmerge.sft.trainer import SAMPLEWISE, samplewise_attention

    half, attention = settings.precision == "bf16", "sdpa"
    if settings.packing:
        flash = half and torch.cuda.is_available() and is_flash_attn_2_available()
        attention = "flash_attention_2" if flash else SAMPLEWISE
        AttentionInterface.register(SAMPLEWISE, samplewise_attention)
    # DeepSpeed keeps fp32 master weights beside a bf16 model; without it the weights themselves
    # stay in fp32 and the arithmetic runs in bf16 under autocast: at 1e-5 an update is smaller than
    # a bf16 weight's last digit.
    in_half = half and settings.zero_stage is not None
    return AutoModelForCausalLM.from_pretrained(
        base,
        dtype=torch.bfloat16 if in_half else torch.float32,
        attn_implementation=attention,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=trusts_code(base),
    )


def _arguments(job: Job, cuda: bool) -> Any:
    from trl import SFTConfig

    settings, deepspeed = job.settings, None
    if settings.zero_stage is not None:
        deepspeed = zero_config(settings, parameter_count(job.base, read_index(job.base)))
    distributed = settings.processes > 1 or settings.zero_stage is not None
    return SFTConfig(
        output_dir=str(job.trainer / "partial"),
        seed=job.seed,
        data_seed=job.seed,
        use_cpu=not cuda,
        ddp_backend=("nccl" if cuda else "gloo") if distributed else None,
        ddp_find_unused_parameters=False,
        deepspeed=deepspeed,
        bf16=settings.precision == "bf16",
        per_device_train_batch_size=settings.micro_batch,
        per_device_eval_batch_size=settings.micro_batch,
        gradient_accumulation_steps=settings.gradient_accumulation,
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        optim="adamw_torch",
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup_ratio,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        activation_checkpointing=settings.gradient_checkpointing,
        # The rows come tokenised, with labels; packing switches the padding-free collator on.
        packing=settings.packing,
        max_length=settings.max_length,
        dataset_kwargs={"skip_prepare_dataset": True},
        save_strategy="no",
        # Each step is logged: a sum over several would be cut in two by a resumption.
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        dataloader_pin_memory=cuda,
    )


def environment(settings: Sft) -> None:
    """Set what libraries read when they are imported or first used; call before that."""
    if settings.processes == 1:
        # With several GPUs in sight the Trainer would spread one process over all of them.
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    os.environ["OMP_NUM_THREADS"] = str(settings.threads)
    quiet = ("HF_HUB_DISABLE_TELEMETRY", "TRANSFORMERS_NO_ADVISORY_WARNINGS", "DS_SKIP_CUDA_CHECK")
    for name in quiet:
        os.environ.setdefault(name, "1")
    # transformers imports DeepSpeed wherever it is installed, and that one probes for devices.
    if not Path("/dev/nvidiactl").exists():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")


def zero_config(settings: Sft, parameters: int) -> dict[str, Any]:
    """The DeepSpeed configuration of a run; "auto" values are filled in by transformers."""
    # DeepSpeed's own 5e8 elements a communication bucket would allocate gigabytes for small models.
    bucket = min(200_000_000, parameters)
    zero: dict[str, Any] = {
        "stage": settings.zero_stage,
        "contiguous_gradients": True,
        "reduce_bucket_size": bucket,
        "allgather_bucket_size": bucket,
        "stage3_prefetch_bucket_size": "auto",
        "stage3_param_persistence_threshold": "auto",
        # Without this a ZeRO-3 save is an empty shell.
        "stage3_gather_16bit_weights_on_model_save": True,
    }
    in_memory = {"device": "cpu", "pin_memory": True}
    if settings.offload != "none":
        zero["offload_optimizer"] = in_memory
    if settings.offload == "all":
        zero["offload_param"] = in_memory
    half = settings.precision == "bf16"
    return {
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "bf16": {"enabled": half},
        # Else micro-batches are summed in bf16 and accumulation no longer equals a large batch.
        **({"data_types": {"grad_accum_dtype": "fp32"}} if half else {}),
        "zero_optimization": zero,
        # The optimiser is torch's AdamW, at every stage and without DeepSpeed: the stages differ in
        # where the states lie, not in the arithmetic. It needs no C++ compiler either.
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
    }


def _import_deepspeed() -> None:
    """Import DeepSpeed, `UserError` where it does not work, without an op that training never uses.

    It would compile `deepspeed_shm_comm`, all-reduces of inference on CPU clusters, for half a
    minute, and with a compiler that laptops may not have.
    """
    try:
        import deepspeed.ops
    except Exception as error:  # DeepSpeed probes compilers and drivers when it is imported
        raise UserError(
            f"sft.zero_stage: DeepSpeed does not work on this machine ({error}); set "
            "`zero_stage: null` to train without it"
        ) from error
    deepspeed.ops.__compatible_ops__ = {"deepspeed_shm_comm": False}


def meeting_point(world: int, here: int, address: str | None = None) -> dict[str, str]:
    """Environment by which ``world`` ranks, ``here`` on each machine, meet at this one."""
    with socket.socket() as probe:
        probe.bind(("" if address else "127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(here),
        "MASTER_ADDR": address or "127.0.0.1",
        "MASTER_PORT": str(port),
    }
