"""A job takes its scratch directory, resumes its own work and discards another job's."""

import logging
from pathlib import Path

import pytest

from mixmerge.artifacts.manifest import write_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import write_jsonl
from mixmerge.sft.job import Job, close_job, load_job, open_job, was_resumed
from mixmerge.sft.settings import Sft


@pytest.fixture
def job(tmp_path: Path) -> Job:
    for name, kind in (("base", "checkpoint"), ("set", "rows")):
        write_jsonl(tmp_path / name / "x.jsonl", [{"a": 1}])
        write_manifest(tmp_path / name, kind)
    return Job(
        tmp_path / "base", tmp_path / "set", tmp_path / "out", tmp_path / "scratch", Sft(), seed=3
    )


def changed(job: Job, **values: object) -> Job:
    return Job(**{**{f: getattr(job, f) for f in job.__dataclass_fields__}, **values})


def test_a_worker_reads_the_same_job(job: Job) -> None:
    open_job(job)
    read = load_job(job.scratch)
    assert (read.settings, read.seed, read.base, read.chat_template) == (
        job.settings, job.seed, job.base, None,
    )  # fmt: skip


def test_the_same_job_keeps_its_scratch(job: Job) -> None:
    open_job(job)
    (job.scratch / "work").touch()
    open_job(job)
    assert (job.scratch / "work").exists()


def test_a_call_knows_whether_it_took_over_from_another(job: Job) -> None:
    open_job(job)
    job.tokens.mkdir()
    assert not was_resumed(job)
    open_job(job)
    assert was_resumed(job)


@pytest.mark.parametrize("what", ["settings", "seed", "data"])
def test_another_job_discards_it_and_says_so(
    job: Job, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    open_job(job)
    (job.scratch / "work").touch()
    other = job
    if what == "settings":
        other = changed(job, settings=Sft(epochs=3))
    elif what == "seed":
        other = changed(job, seed=4)
    else:
        write_jsonl(job.data / "x.jsonl", [{"a": 2}])
        write_manifest(job.data, "rows")
    with caplog.at_level(logging.WARNING):
        open_job(other)
    assert not (job.scratch / "work").exists()
    assert f"another job ({what} differ)" in caplog.text


def test_a_directory_of_others_is_never_emptied(job: Job) -> None:
    job.scratch.mkdir()
    (job.scratch / "thesis.tex").touch()
    with pytest.raises(UserError, match="not a scratch directory"):
        open_job(job)
    assert (job.scratch / "thesis.tex").exists()
    close_job(job)
    assert (job.scratch / "thesis.tex").exists()


def test_unfinished_inputs_are_refused(job: Job) -> None:
    (job.base / "manifest.json").unlink()
    with pytest.raises(UserError, match="no manifest"):
        open_job(job)


def test_a_missing_template_file_is_named(job: Job, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.jinja: chat_template"):
        open_job(changed(job, chat_template=tmp_path / "nowhere.jinja"))
