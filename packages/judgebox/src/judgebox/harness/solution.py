"""The solution's side of unit tests: holds the model's code, and does what the examiner asks.

Nothing that this process says is believed: it can only answer the examiner's calls with values, and
those are data, or numbers of things that it keeps.
"""

import asyncio
import builtins
import collections
import copy
import os
import random
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy.random

from judgebox import codec
from judgebox.harness import describing
from judgebox.harness.decoder import Decoder
from judgebox.harness.files import Files
from judgebox.harness.foreign import ForeignCall, ForeignIterator, ForeignObject
from judgebox.harness.graph import Encoder, Node
from judgebox.harness.link import (
    Channel,
    Link,
    Message,
    exception_class,
    made_exception,
)
from judgebox.harness.reliability import guard, swallow
from judgebox.harness.streams import forward_streams

#: Frames that a solution gets below its first.
_HEADROOM = 990
#: What tests that write files need, and the guard takes.
_FILES = ("getcwd", "chdir", "putenv")
_MARK = "__examiners_number__"


def run(request: bytes, channel: Channel) -> None:
    """Serve until the examiner is done.

    Args:
        request: ``{"form", "prelude", "code", "files"}``.
        channel: pipes to the judge.
    """
    program = codec.unpack(request)
    leave = os._exit
    link = SolutionLink(channel)
    random.seed(0)
    numpy.random.seed(0)
    module = types.ModuleType("solution")
    if program["form"] == "check":
        guard()
        with swallow():
            _serve(link, module, program)
    else:
        _write(program["code"])
        _guard_but_files()
        module.__file__ = str(Path.cwd() / "solution.py")
        forward_streams(link)
        if program["files"]:
            link.files = Files(Path.cwd())
        _serve(link, module, program)
    leave(0)


def _write(code: str) -> None:
    """The module's file, for what looks at its own source."""
    Path("solution.py").write_text(code, encoding="utf-8", errors="surrogatepass")
    sys.path.insert(0, str(Path.cwd()))


def _guard_but_files() -> None:
    kept = {name: getattr(os, name) for name in _FILES}
    opened = builtins.open
    guard()
    for name, function in kept.items():
        setattr(os, name, function)
    builtins.open = opened


def _depth() -> int:
    depth, frame = 0, sys._getframe()
    while frame := frame.f_back:  # type: ignore[assignment]
        depth += 1
    return depth


def _serve(link: "SolutionLink", module: types.ModuleType, program: dict[str, str]) -> None:
    def load() -> list[str]:
        if program["form"] == "check":
            names: dict[str, Any] = {}
            text = program["prelude"] + "\n" + program["code"]
            exec(compile(text, "<program>", "exec"), names)
            vars(module).update(names)
        else:
            sys.modules["solution"] = module
            text = program["code"]
            exec(compile(text, module.__file__ or "solution.py", "exec"), vars(module))
        return [
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and not describing.is_imported(value)
        ]

    link.load, link.module = load, module
    sys.setrecursionlimit(_depth() + _HEADROOM)
    link.serve()


class SolutionLink(Link):
    """The solution's end of the line."""

    load: Any
    module: types.ModuleType

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel, first=1)
        self.output: list[list[Any]] = []
        self.known: set[int] = set()
        self._foreign: dict[int, Any] = {}
        # Questions of both sides that wait for an answer; the last one is answered first.
        self._open = 0
        self._turn = threading.Condition(self.lock)

    def serve(self) -> None:
        """Do what the examiner asks, until there is nobody to ask."""
        self.lock.acquire()
        while (data := self.channel.receive()) is not None:
            self._answer(self.unpack(data))

    def ask(self, do: str, at: dict[str, Any], **values: Any) -> Any:
        """Let the examiner do something, and do in between what it asks."""
        with self.lock:
            self._open += 1
            self._say(do, at, **values)
            while (data := self.channel.receive()) is not None:
                message = self.unpack(data)
                if message.do in ("reply", "raise"):
                    self._close()
                if message.do == "reply":
                    return message.values["value"]
                if message.do == "raise":
                    raise message.values["error"]
                self._answer(message)
        os._exit(1)

    def _close(self) -> None:
        self._open -= 1
        self._turn.notify_all()

    def _say(self, do: str, at: dict[str, Any], **values: Any) -> None:
        output, self.output = self.output, []
        self.channel.send(self.pack(do, at | {"out": output}, **values))

    def _answer(self, message: Message) -> None:
        self._open += 1
        depth = self._open
        self.lock.release()  # other threads of the solution may ask meanwhile
        answer: tuple[str, str, Any]
        try:
            answer = ("reply", "value", self._done(message))
        except BaseException as error:
            answer = ("raise", "error", error.with_traceback(None))
        self.lock.acquire()
        self._turn.wait_for(lambda: self._open == depth)
        self._close()
        message.values.clear()
        do, name, value = answer
        del answer
        try:
            self._say(do, {}, **{name: value})
        except Exception as error:  # a value that raises when it is looked at
            self._say("raise", {}, error=TypeError(str(type(error))))

    def _done(self, message: Message) -> Any:
        do, at, values = message
        if do == "load":
            return self.load()
        target: Any = self.exports[at["on"]] if "on" in at else self.module
        if do == "get":
            return getattr(target, at["name"])
        if do == "set":
            return setattr(target, at["name"], values.pop("value"))
        if do == "delete":
            return delattr(target, at["name"])
        if do == "next":
            return next(target)
        if do == "await":
            return asyncio.run(target)
        if do == "copy":
            duplicate: Callable[[Any], Any] = copy.deepcopy if at["deep"] else copy.copy
            return duplicate(target)
        if do == "plain":
            return describing.plain(target)
        arguments, named = values.pop("args"), values.pop("named")
        if do == "call":
            return target(*arguments, **named)
        if do == "method":
            return getattr(target, at["name"])(*arguments, **named)
        if do == "operator":
            function = getattr(type(target), at["name"], None)
            if function is None:
                raise TypeError(f"{type(target).__name__!r} object has no {at['name']}")
            return function(target, *arguments)
        raise ValueError(do)

    def describe_own(self, value: Any, encoder: Encoder) -> Node:
        """The node of a thing of the tests', or of the solution's own."""
        if isinstance(value, (ForeignCall, ForeignIterator, ForeignObject)):
            return ["y", vars(value)["_number"]]
        if isinstance(value, BaseException):
            number = getattr(value, _MARK, None)
            if number is not None:
                return ["y", number]
            return describing.exception(value, encoder, self)
        if (names := describing.fields(value)) is not None:
            return ["n", type(value).__name__, list(names), encoder.numbers(value)]
        data = None
        if not isinstance(value, type) and describing.is_plain(value):
            data = encoder.number(describing.plain(value))
        number = self.export(value)
        return ["x", number, describing.described(value, self), data]

    def resolve_own(self, node: Node, decoder: Decoder) -> Any:
        """What stands for a thing of the tests'."""
        tag, number = node[:2]
        if tag == "e":
            kind = exception_class(node[2])
            error = made_exception(kind, decoder.value(node[3]), {})
            setattr(error, _MARK, number)
            return error
        if tag == "n":
            return collections.namedtuple(node[1], node[2])(*decoder.values(node[3]))
        if number not in self._foreign:
            if node[2] == "call":
                self._foreign[number] = ForeignCall(self, number, node[3])
            elif node[2] == "iterator":
                self._foreign[number] = ForeignIterator(self, number)
            else:
                self._foreign[number] = ForeignObject.kind(node[4], node[3])(self, number)
        return self._foreign[number]

    def resolve_name(self, names: list[list[str]]) -> Any:
        """A type or function that the tests named."""
        module, name = names[0]
        self.lent.add((module, name))
        return getattr(sys.modules.get(module) or __import__(module), name)
