"""Chat templates made to do harm: each is stopped, with one message, and the next one renders."""

import os
import signal
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

from fixtures import checkpoints as material
from mixmerge.checkpoint import chat as rendering
from mixmerge.checkpoint.chat import BadTemplate, Chat
from mixmerge.checkpoint.settings import LocalCheckpoint
from mixmerge.checkpoint.snapshot import snapshot
from mixmerge.checkpoint.tokenizer import load_tokenizer
from mixmerge.core.errors import UserError
from mixmerge.sft.encoding import Encoder, load_encoder

CHAT = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
GOOD = "{% for m in messages %}{{ m['content'] }}.{% endfor %}"


def chat_of(template: str, **special: str) -> Chat:
    tokenizer = SimpleNamespace(
        all_special_tokens=[], added_tokens_decoder={}, special_tokens_map=special
    )
    return Chat(tokenizer, template, "x.jinja")


def written(template: str) -> str:
    return chat_of(template).render(CHAT)[0]


def refused(template: str) -> str:
    with pytest.raises(BadTemplate) as caught:
        written(template)
    message = str(caught.value)
    assert message.startswith("chat template (x.jinja): ") and "\n" not in message
    assert len(message) < 700
    assert written(GOOD) == "q.a."
    return message


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('touch CANARY').read() }}",
        "{{ self.__init__.__globals__ }}",
        "{{ messages.append.__self__.clear() }}",
        "{{ messages.clear() }}",
        "{{ messages[0].update({'role': 'system'}) }}",
        "{{ ''['__class__']['__mro__'] }}{{ (''|attr('__class__')).x }}",
        "{{ raise_exception.__globals__.x }}",
        "{{ namespace(__class__=1) }}",
        "{{ (lipsum|attr('__globals__'))['os'] }}",
    ],
)
def test_reaching_for_pythons_insides(tmp_path: Path, template: str) -> None:
    canary = tmp_path / "canary"
    assert "refuses a chat: " in refused(template.replace("CANARY", str(canary)))
    assert not canary.exists()


TOO_LARGE = "needs over 1024 MiB for one chat, and was stopped"
LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that gives a chat one second."""
    monkeypatch.setattr(rendering, "CPU_SECONDS", 1.0)
    monkeypatch.setattr(rendering, "_renderer", cache(rendering._start))


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "template",
    [
        LOOP,
        "{% for i in range(99999) %}{{ (messages[0].content * 9999999) | length }}{% endfor %}",
        "{% set x = namespace(n=3) %}{% for i in range(99) %}{% set x.n = x.n * x.n %}{% endfor %}",
    ],
)
def test_loops_without_end(template: str) -> None:
    message = refused(template)
    assert "takes over 1 s for one chat, and was stopped" in message or "needs over" in message
    assert "under the model's `chat_template`" in message


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ 'a' * 10**10 }}", TOO_LARGE),
        ("{{ '%5000000000d' % 1 }}", TOO_LARGE),
        ("{{ 'a'.ljust(10**10) }}", TOO_LARGE),
        ("{% for i in range(9999) %}{{ 'a' * 999999 }}{% endfor %}", TOO_LARGE),
        ("{% set x = namespace(v='a') %}" + 99 * "{% set x.v = x.v*2 %}", TOO_LARGE),
        ("{{ 'a' * 100000000 }}", "writes over 64 MiB for one chat"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "RecursionError"),
        ("{{ range(10**12) | list }}", "OverflowError"),
        ("{% for %}", "TemplateSyntaxError"),
        ("{{ ((((", "TemplateSyntaxError"),
        ("{{ " + "(" * 50_000, "RecursionError"),
    ],
)
def test_what_is_too_much(template: str, message: str) -> None:
    assert message in refused(template)


def test_megabytes_of_text_are_not_too_much() -> None:
    assert written("{{ 'a' * 1000000 }}") == "a" * 1_000_000


def test_what_a_template_says_itself_is_passed_on() -> None:
    with pytest.raises(
        BadTemplate, match=r"^chat template \(x\.jinja\): refuses a chat: no system$"
    ):
        written("{{ raise_exception('no system') }}")
    with pytest.raises(BadTemplate) as caught:
        written("a\nb\n{% for %}")
    assert caught.value.line == 3


def test_no_file_no_program_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_planted")
    monkeypatch.setattr(rendering, "_renderer", cache(rendering._start))
    assert written(GOOD) == "q.a."
    folder = Path(f"/proc/{rendering._renderer()[0].pid}")
    assert b"planted" not in (folder / "environ").read_bytes()
    limits = (folder / "limits").read_text()
    bounds = {"Max open files": "0", "Max file size": "0", "Max processes": "0"}
    for name, bound in {**bounds, "Max core file size": "1"}.items():
        line = next(line for line in limits.splitlines() if line.startswith(name))
        assert line.removeprefix(name).split()[:2] == [bound, bound], line
    status = (folder / "status").read_text()
    if "Seccomp_filters" in Path("/proc/self/status").read_text():
        assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status
    # The way to the caller and the empty device, nothing else of the caller's.
    held = {str(fd.readlink()).split(":")[0] for fd in (folder / "fd").iterdir()}
    assert held == {"socket", "/dev/null"}


def test_a_fork_has_a_process_of_its_own() -> None:
    def rendered() -> list[str]:
        return [written(GOOD), str(rendering._renderer()[0].pid)]

    ours = rendered()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, " ".join(rendered()).encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    text, process = os.read(reader, 100).decode().split()
    assert text == "q.a." and process != ours[1]
    assert rendered() == ours


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_training_and_generation_say_which_checkpoint(tmp_path: Path) -> None:
    base = material.write_checkpoint(tmp_path / "base", "llama", material.values("llama", 1))
    (base / "chat_template.jinja").write_text("{% generation %}" + LOOP + "{% endgeneration %}")
    with pytest.raises(UserError, match=rf"^chat template \({base}\): takes over 1 s"):
        load_encoder(base)
    # Without marks TRL is asked for a training variant, and would render it to find that out.
    (base / "chat_template.jinja").write_text(LOOP)
    with pytest.raises(UserError, match=r"no `{% generation %}` marks"):
        load_encoder(base)
    # One that turns hostile on a certain row only: the row is named.
    turning = "{% for m in messages %}{% if m.content == 'go' %}" + LOOP + "{% endif %}{% endfor %}"
    encoder = Encoder(Chat(load_tokenizer(base), turning, "own.jinja"), [256])
    message = r"^rows.jsonl:7: chat template \(own.jinja\): takes over 1"
    with pytest.raises(UserError, match=message):
        encoder.encode([{"role": "user", "content": "go"}], "rows.jsonl:7")


def test_a_snapshot_whose_template_is_compared(tmp_path: Path) -> None:
    """The one place where a template from outside runs while its checkpoint is fetched."""
    source = material.write_checkpoint(tmp_path / "source", "llama", material.values("llama", 1))
    (source / "chat_template.jinja").write_text("{{ ''.__class__ }}" + GOOD)
    mine = tmp_path / "mine.jinja"
    mine.write_text(GOOD)
    entry = LocalCheckpoint(kind="local", path=source, chat_template=mine)
    snapshot("mine", entry, tmp_path / "base")
    assert (tmp_path / "base/chat_template.jinja").read_text() == GOOD


def test_a_process_that_does_not_read_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "_WALL_SECONDS", 1)
    monkeypatch.setattr(rendering, "_renderer", cache(rendering._start))
    os.kill(rendering._renderer()[0].pid, signal.SIGSTOP)
    assert "takes over" in rendering._ask({"chat": "x" * 1_000_000})["fault"]
