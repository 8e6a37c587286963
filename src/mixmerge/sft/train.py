"""One training process, alone or as a rank of several: the Trainer's set-up, DeepSpeed's too.

Imports the training libraries: not before their environment is set.
"""

import logging
import shutil
import tomllib
import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import is_flash_attn_2_available
from trl import SFTConfig

from mixmerge.checkpoint.architecture import parameter_count
from mixmerge.checkpoint.index import read_index
from mixmerge.checkpoint.side_files import trusts_code
from mixmerge.core.io import read_json
from mixmerge.sft.adapters import lora_config
from mixmerge.sft.attention import EAGER
from mixmerge.sft.examples import COUNTS, fill_up
from mixmerge.sft.job import Job, StopRequest
from mixmerge.sft.settings import Sft
from mixmerge.sft.trainer import Stopped, Trainer

logger = logging.getLogger(__name__)

LIBRARIES = tomllib.loads(Path(__file__).with_name("libraries.toml").read_text(encoding="utf-8"))


def train(job: Job, request: StopRequest) -> None:
    """Train from the base, or the last checkpoint in scratch, to the last step or a stop: saved."""
    settings, cuda = job.settings, torch.cuda.is_available()
    torch.set_num_threads(settings.threads)
    # The libraries' advice to their own developers stays out of the rule's log.
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name in ("DeepSpeed", "accelerate"):
        logging.getLogger(name).setLevel(logging.ERROR)
    libraries = "(torch|transformers|accelerate|deepspeed|trl|peft)"
    for category in (FutureWarning, UserWarning):
        warnings.filterwarnings("ignore", category=category, module=libraries)
    # First of all: they tell transformers about ZeRO-3, under which a model is loaded in parts.
    args = arguments(job, cuda)
    if settings.zero_stage is not None:
        # accelerate on CPU does so after the model is loaded: for ZeRO-3 a run of one process.
        import deepspeed.comm

        deepspeed.comm.init_distributed("nccl" if cuda else "gloo")
    if args.process_index == 0:
        shutil.rmtree(args.output_dir, ignore_errors=True)  # what a kill left half-written
        if job.last:
            logger.info("resuming after step %d", job.step)
    half = settings.precision == "bf16"
    # DeepSpeed keeps fp32 master weights beside a bf16 model; without it the weights themselves
    # stay in fp32 and the arithmetic runs in bf16 under autocast: at 1e-5 an update is smaller than
    # a bf16 weight's last digit.
    dtype = torch.bfloat16 if half and settings.zero_stage is not None else torch.float32
    trusted = trusts_code(job.base)
    rows = Dataset.from_file(str(job.tokens / "train.arrow"))
    trainer = Trainer(
        settings,
        request,
        read_json(job.tokens / COUNTS)["train"]["tokens"],
        flash=half and cuda and is_flash_attn_2_available(),
        model=AutoModelForCausalLM.from_pretrained(
            job.base,
            dtype=dtype,
            attn_implementation=EAGER,  # what the model is compared with; then the fastest alike
            local_files_only=True,
            trust_remote_code=trusted,
            use_safetensors=True,
        ),
        args=args,
        train_dataset=fill_up(rows, settings.batch_size),
        eval_dataset=Dataset.from_file(str(job.tokens / "validation.arrow")),
        processing_class=AutoTokenizer.from_pretrained(
            job.base, local_files_only=True, trust_remote_code=trusted
        ),
        peft_config=settings.lora and lora_config(settings.lora),
    )
    try:
        trainer.train(resume_from_checkpoint=str(job.last) if job.last else None)
    except Stopped:
        logger.info("stopped before a further step")


def arguments(job: Job, cuda: bool) -> SFTConfig:
    """The Trainer's arguments."""
    settings, zero = job.settings, None
    if settings.zero_stage is not None:
        zero = zero_config(settings, parameter_count(job.base, read_index(job.base)))
    distributed = settings.processes > 1 or settings.zero_stage is not None
    # Named alike; packing switches the padding-free collator on.
    same_names = {"learning_rate", "weight_decay", "max_grad_norm", "packing", "max_length"}
    return SFTConfig(
        **LIBRARIES["trainer"],
        **settings.model_dump(include=same_names),
        output_dir=str(job.trainer / "partial"),
        seed=job.seed,
        data_seed=job.seed,
        use_cpu=not cuda,
        ddp_backend=("nccl" if cuda else "gloo") if distributed else None,
        deepspeed=zero,
        bf16=settings.precision == "bf16",
        per_device_train_batch_size=settings.micro_batch,
        per_device_eval_batch_size=settings.micro_batch,
        gradient_accumulation_steps=settings.gradient_accumulation,
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup_ratio,
        activation_checkpointing=settings.gradient_checkpointing,
        dataloader_pin_memory=cuda,
    )


def zero_config(settings: Sft, parameters: int) -> dict[str, Any]:
    """The DeepSpeed configuration of a run."""
    half = settings.precision == "bf16"
    config: dict[str, Any] = {**deepcopy(LIBRARIES["deepspeed"]), "bf16": {"enabled": half}}
    if half:
        # Else micro-batches are summed in bf16 and accumulation no longer equals a large batch.
        config["data_types"] = {"grad_accum_dtype": "fp32"}
    zero = config["zero_optimization"]
    zero["stage"] = settings.zero_stage
    # DeepSpeed's own 5e8 elements a communication bucket would allocate gigabytes for small models.
    zero["reduce_bucket_size"] = zero["allgather_bucket_size"] = min(200_000_000, parameters)
    offloaded = {"none": [], "optimizer": ["optimizer"], "all": ["optimizer", "param"]}
    for part in offloaded[settings.offload]:
        zero[f"offload_{part}"] = {"device": "cpu", "pin_memory": True}
    return config
