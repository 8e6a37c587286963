"""Training proper: one process of it, alone or as a rank of several."""

import logging
import os
import warnings
from pathlib import Path
from typing import Any

from mixmerge.checkpoint.code import trusts_code
from mixmerge.sft.checkpoints import last_complete, step_of
from mixmerge.sft.examples import Counts, fill_up, read_examples
from mixmerge.sft.job import Job
from mixmerge.sft.preemption import Request
from mixmerge.sft.zero import import_deepspeed, zero_config

logger = logging.getLogger(__name__)

#: File in scratch with the number of the base's parameters, for worker processes.
PARAMETERS = "parameters.json"


def train(job: Job, counts: Counts, parameters: int, request: Request) -> None:
    """Train from the base, or from the last complete checkpoint in scratch, to the last step.

    Leaves the checkpoints in ``job.trainer``; `publish` takes it from there. A run that is asked to
    stop returns early, its last step saved.

    Args:
        job: with data already prepared.
        counts: of the training split.
        parameters: number of the base's parameters.
        request: whether to stop early; made patient while there are steps to save.

    Raises:
        UserError: the loss is not finite, or DeepSpeed does not work here.
    """
    import torch

    torch.set_num_threads(job.settings.threads)
    if job.settings.zero_stage is not None:
        import_deepspeed()
    import transformers

    from mixmerge.sft.callbacks import Preemption, Progress, Schedule, Stopped
    from mixmerge.sft.trainer import Trainer

    _quieten(transformers)
    # The arguments come first: they tell transformers about ZeRO-3, under which a model is loaded
    # in parts.
    args = _arguments(job, parameters, torch.cuda.is_available())
    if job.settings.zero_stage is not None:
        # On CPU accelerate leaves this until after the model is loaded, and ZeRO-3 would take the
        # run for one of a single process.
        import deepspeed.comm

        deepspeed.comm.init_distributed("nccl" if torch.cuda.is_available() else "gloo")
    resume = _resume(job, args)
    schedule = Schedule(job.settings)
    trainer = Trainer(
        model=_load_model(job, torch),
        args=args,
        train_dataset=fill_up(read_examples(job, "train"), job.settings.batch_size),
        eval_dataset=read_examples(job, "validation"),
        processing_class=transformers.AutoTokenizer.from_pretrained(
            job.base, local_files_only=True, trust_remote_code=trusts_code(job.base)
        ),
        peft_config=_lora(job),
        callbacks=[schedule],
    )
    trainer.keep_best = job.settings.checkpoint == "best"
    trainer.request = request
    trainer.remove_callback(transformers.PrinterCallback)
    if args.process_index == 0:
        trainer.add_callback(Progress(counts.tokens))
    # The last one: it overrules the schedule, and shows its evaluation in the bar.
    trainer.add_callback(Preemption(trainer, schedule))
    try:
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    except Stopped:
        logger.info("stopped before a further step")


def _quieten(transformers: Any) -> None:
    """Keep the libraries' advice to their own developers out of the rule's log."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name in ("DeepSpeed", "accelerate"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for module in ("torch", "transformers", "accelerate", "deepspeed", "trl", "peft"):
        for category in (FutureWarning, UserWarning):
            warnings.filterwarnings("ignore", category=category, module=module)


def _resume(job: Job, args: Any) -> Path | None:
    """The checkpoint to go on from; only the first process may clean up around it."""
    from accelerate import PartialState

    with PartialState().main_process_first():
        resume = last_complete(job.trainer)
    if resume and args.process_index == 0:
        logger.info("resuming after step %d", step_of(resume))
    return resume


def _load_model(job: Job, torch: Any) -> Any:
    from transformers import AutoModelForCausalLM
    from transformers.utils import is_flash_attn_2_available

    from mixmerge.sft.attention import SAMPLEWISE, register

    settings = job.settings
    attention = "sdpa"
    if settings.packing:
        flash = torch.cuda.is_available() and is_flash_attn_2_available()
        attention = "flash_attention_2" if flash and settings.precision == "bf16" else SAMPLEWISE
        register()
    # DeepSpeed keeps fp32 master weights beside a bf16 model; without it the weights themselves
    # stay in fp32 and the arithmetic runs in bf16 under autocast: at 1e-5 an update is smaller than
    # a bf16 weight's last digit.
    half = settings.precision == "bf16" and settings.zero_stage is not None
    return AutoModelForCausalLM.from_pretrained(
        job.base,
        dtype=torch.bfloat16 if half else torch.float32,
        attn_implementation=attention,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=trusts_code(job.base),
    )


def _lora(job: Job) -> Any:
    if job.settings.lora is None:
        return None
    from peft import LoraConfig

    lora = job.settings.lora
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.targets,
    )


def _arguments(job: Job, parameters: int, cuda: bool) -> Any:
    from trl import SFTConfig

    settings = job.settings
    distributed = settings.processes > 1 or settings.zero_stage is not None
    return SFTConfig(
        output_dir=str(job.trainer),
        seed=job.seed,
        data_seed=job.seed,
        use_cpu=not cuda,
        ddp_backend=("nccl" if cuda else "gloo") if distributed else None,
        ddp_find_unused_parameters=False,
        deepspeed=None if settings.zero_stage is None else zero_config(settings, parameters),
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
        packing_strategy="bfd",
        max_length=settings.max_length,
        dataset_kwargs={"skip_prepare_dataset": True},
        eval_strategy="no",
        save_strategy="no",
        # Each step is logged: a sum over several would be cut in two by a resumption.
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        dataloader_pin_memory=cuda,
        dataloader_num_workers=0,
        average_tokens_across_devices=True,
    )


def environment(job: Job) -> None:
    """Set what libraries read when they are imported or first used; call before that."""
    if job.settings.processes == 1:
        # With several GPUs in sight the Trainer would spread one process over all of them.
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    os.environ["OMP_NUM_THREADS"] = str(job.settings.threads)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    os.environ.setdefault("DS_SKIP_CUDA_CHECK", "1")
    # transformers imports DeepSpeed wherever it is installed, and that one probes for devices.
    if not Path("/dev/nvidiactl").exists():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
