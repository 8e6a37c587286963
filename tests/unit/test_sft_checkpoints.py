"""Which of the Trainer's checkpoints may be resumed from, published, deleted."""

import json
from pathlib import Path

from mixmerge.sft.resume import best_step, is_complete, last_complete, mark_complete, prune


def save(trainer: Path, step: int, losses: dict[int, float], complete: bool = True) -> Path:
    """What the Trainer leaves: weights, optimiser states, its log."""
    checkpoint = trainer / f"checkpoint-{step}"
    (checkpoint / f"global_step{step}").mkdir(parents=True)
    (checkpoint / f"global_step{step}" / "states.pt").write_bytes(b"12345678")
    (checkpoint / "model.safetensors").write_bytes(b"1234")
    (checkpoint / "config.json").write_text("{}")
    (checkpoint / "optimizer.pt").write_bytes(b"123")
    log = [{"step": at, "eval_loss": loss} for at, loss in losses.items()]
    (checkpoint / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    if complete:
        mark_complete(checkpoint)
    return checkpoint


def test_a_half_written_checkpoint_is_deleted_not_resumed(tmp_path: Path) -> None:
    whole = save(tmp_path, 9, {9: 1.0})
    half = save(tmp_path, 10, {9: 1.0, 10: 0.9}, complete=False)
    assert last_complete(tmp_path) == whole
    assert not half.exists()


def test_a_truncated_or_missing_file_makes_it_incomplete(tmp_path: Path) -> None:
    for name in ("optimizer.pt", "global_step2/states.pt"):
        checkpoint = save(tmp_path / name.replace("/", "-"), 2, {})
        assert is_complete(checkpoint)
        (checkpoint / name).write_bytes(b"1")
        assert not is_complete(checkpoint)
        (checkpoint / name).unlink()
        assert not is_complete(checkpoint)
    assert last_complete(tmp_path / "nowhere") is None


def test_steps_are_numbers_not_text(tmp_path: Path) -> None:
    for step in (2, 10, 9):
        save(tmp_path, step, {})
    last = last_complete(tmp_path)
    assert last is not None and last.name == "checkpoint-10"


def test_pruning_keeps_the_last_whole_and_the_best_weights(tmp_path: Path) -> None:
    losses = {2: 1.0, 4: 0.5, 6: 0.7, 8: 0.6}
    for step in losses:
        save(tmp_path, step, {s: v for s, v in losses.items() if s <= step})
    prune(tmp_path, keep_best=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-4", "checkpoint-8"]
    kept = sorted(p.name for p in (tmp_path / "checkpoint-4").iterdir())
    assert kept == ["config.json", "model.safetensors"]
    assert is_complete(tmp_path / "checkpoint-8")
    # The stripped one is below the last, so a resumption leaves it for the publication.
    assert last_complete(tmp_path) == tmp_path / "checkpoint-8"
    assert (tmp_path / "checkpoint-4" / "model.safetensors").exists()
    prune(tmp_path, keep_best=False)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint-8"]


def test_the_best_step_is_the_earliest_lowest() -> None:
    log = [{"step": s, "eval_loss": v} for s, v in ((1, 0.9), (2, 0.4), (3, 0.4), (4, 0.6))]
    assert best_step([{"step": 1, "loss": 0.1}, *log]) == 2
    assert best_step([{"step": 1, "loss": 0.1}]) is None
