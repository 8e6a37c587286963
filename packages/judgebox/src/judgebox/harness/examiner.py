"""The tests' side of unit tests: runs the tests, holds no code of the model's.

The module `solution` is made of stand-ins here. What the reference solution let the tests do with
things that are no data is the *interface* of a problem: functions and attributes whose values were
objects, operators that were used on them. Another solution's objects beyond that are opaque: where
the reference answers with a number, an object that reckons like one is none.
"""

import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from judgebox import codec
from judgebox.harness import standins
from judgebox.harness.decoder import Decoder
from judgebox.harness.graph import Encoder, Malformed, Node
from judgebox.harness.lending import Lender
from judgebox.harness.link import (
    COMMON,
    Channel,
    Link,
    exception_class,
    exception_names,
    made_exception,
)
from judgebox.harness.standins import Function, Handle, Items, Kind, Opaque

_KINDS = {"callable", "class", "coroutine", "generator", "iterator", "object"}

#: First byte of the examiner's frames: for the solution, or for the judge.
CALL, END = b"C", b"E"


class Forfeit(BaseException):
    """The solution is gone or has broken the rules.

    No `except Exception` takes this for an error that a test expects.
    """


class ExaminerLink(Link):
    """The examiner's end of the line.

    Args:
        channel: pipes to the judge.
        interface: what the reference let the tests do; None where that is being found out.
    """

    def __init__(self, channel: Channel, interface: Iterable[str] | None) -> None:
        super().__init__(channel, first=0)
        self.forfeited = False
        self.used: set[str] = set()
        self._interface = None if interface is None else frozenset(interface)
        self._origin = ""
        self._origins: dict[int, str] = {}
        self._classes: dict[int, type] = {}
        self._standins: dict[tuple[int, str], Any] = {}
        self._numbers_of: dict[int, int] = {}
        self._lender = Lender(self)

    def ask(self, origin: str, do: str, at: dict[str, Any], **values: Any) -> Any:
        """Let the solution do something, and do in between what it asks.

        Args:
            origin: what the tests used, for the interface.
            do: see `judgebox.harness.solution`.
            at: numbers and names.
            values: what goes with it.

        Raises:
            Forfeit: the solution is gone, or its answer is none.
            BaseException: what the solution raised.
        """
        with self.lock:
            if self.forfeited:
                self.forfeit()
            self._say(do, at, **values)
            values.clear()
            while True:
                data = self.channel.receive()
                if data is None:
                    self.forfeit()
                self._origin = origin
                try:
                    message = self.unpack(data)
                    self._print(message.at.get("out"))
                except Malformed:
                    self.forfeit()
                if message.do == "reply":
                    return message.values.get("value")
                if message.do == "raise":
                    error = message.values.get("error")
                    if not isinstance(error, BaseException):
                        self.forfeit()
                    raise error
                self._lend(message.do, message.at, message.values)

    def forfeit(self) -> NoReturn:
        """The tests can't go on; whatever they make of it, they have failed."""
        self.forfeited = True
        raise Forfeit

    def call(self, number: int, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Call a function or class of the solution, which tests know by where they had it from."""
        origin = f"{self._origins.get(number, 'class')}()"
        return self.ask(origin, "call", {"on": number}, args=arguments, named=named)

    def look(self, thing: Any, name: str) -> Any:
        """An attribute of a stand-in."""
        on = thing._mixmerge_class[1] if isinstance(thing, Kind) else thing._mixmerge_number
        return self.ask(f".{name}", "get", {"on": on, "name": name})

    def operate(self, thing: Any, name: str, arguments: tuple[Any, ...]) -> Any:
        """Use an operator of a stand-in."""
        on = thing._mixmerge_class[1] if isinstance(thing, Kind) else thing._mixmerge_number
        data = not all(isinstance(value, Handle) for value in arguments)
        origin = f"{name}({'data' if data else 'object'})"
        found = self.ask(origin, "operator", {"on": on, "name": name}, args=arguments, named={})
        if found is NotImplemented or not standins.sees_operand(name):
            return found
        if not isinstance(found, (Handle, Opaque)) and not self._permitted(f"{origin}: data"):
            self.forfeit()
        return found

    def takes_hollow(self) -> bool:
        """Not where the reference sent none: such an array is close to all that numpy compares."""
        return self._permitted(f"{self._origin}: array without items")

    def _permitted(self, what: str) -> bool:
        self.used.add(what)
        return self._interface is None or what in self._interface

    def _say(self, do: str, at: dict[str, Any], **values: Any) -> None:
        self.channel.send(CALL + self.pack(do, at, **values))

    def _print(self, output: Any) -> None:
        for line in output if isinstance(output, list) else ():
            if type(line) is not list or len(line) != 2 or type(line[1]) is not str:
                raise Malformed("output")
            target = sys.stderr if line[0] == "stderr" else sys.stdout
            if target is not None:
                target.write(line[1])

    def _lend(self, do: str, at: dict[str, Any], values: dict[str, Any]) -> None:
        """Do what the solution asks of something that the tests gave it."""
        try:
            found = self._lender.do(do, at, values)
        except Forfeit:
            raise
        except Malformed:
            self.forfeit()
        except BaseException as error:
            self._say("raise", {}, error=error)
        else:
            self._say("reply", {}, value=found)

    def describe_own(self, value: Any, encoder: Encoder) -> Node:
        """The node of a stand-in, or of a thing of the tests'."""
        if isinstance(value, Kind):
            return ["y", value._mixmerge_class[1]]
        if isinstance(value, (Handle, Function, Items, Opaque)):
            return ["y", value._mixmerge_number]
        if id(value) in self._numbers_of:
            return ["y", self._numbers_of[id(value)]]
        if isinstance(value, BaseException):
            arguments = encoder.number(tuple(value.args))
            return ["e", self.export(value), exception_names(type(value)), arguments]
        return self._lender.described(value, encoder)

    def resolve_name(self, names: list[list[str]]) -> Any:
        """A type that the solution named."""
        # No function of this process is an answer of the solution's, but one that it was lent.
        module, name = names[0]
        found = vars(sys.modules[module]).get(name) if module in COMMON else None
        if not isinstance(found, type) and (module, name) not in self.lent:
            raise Malformed("no type")
        return found if self._permitted(f"{self._origin}: type") else Opaque(-1, "type")

    def resolve_own(self, node: Node, decoder: Decoder) -> Any:
        """What stands for a thing of the solution's."""
        if node[0] == "e":
            _, (number, info), arguments, attributes, text = node
            error = self._class(number, info)
            if not issubclass(error, BaseException):
                raise Malformed("no exception")
            values = decoder.value(attributes) | ({} if text is None else {"_text": text})
            return made_exception(error, tuple(decoder.value(arguments)), values)
        if node[0] == "n":
            return standins.named_tuple(node[1], node[2], decoder.values(node[3]))
        if node[0] != "x":
            raise Malformed("a tag")
        _, number, info, data = node
        kind = info["kind"]
        if kind not in _KINDS:
            raise Malformed("a kind")
        # A class and a function that makes objects are the same to who calls them.
        said = "callable" if kind == "class" else kind
        permitted = self._permitted(f"{self._origin}: {said}")
        if permitted and (number, kind) in self._standins:
            return self._standins[number, kind]
        self._origins.setdefault(number, self._origin)
        made = self._made(number, info, permitted)
        if isinstance(made, Opaque) and data is not None:
            return decoder.value(data)
        if permitted:
            self._standins[number, kind] = made
            self._numbers_of[id(made)] = number
        return made

    def _made(self, number: int, info: dict[str, Any], permitted: bool) -> Any:
        kind = info["kind"]
        if kind == "generator":
            return standins.generator(self, number)
        if kind == "iterator" or (not permitted and info.get("iterates")):
            return Items(self, number)
        if kind == "coroutine":
            return self._coroutine(number)
        if not permitted:
            return Opaque(number, kind)
        if kind == "callable":
            return Function(self, number, str(info["name"]), info["doc"])
        own = self._class(*info["class"])
        return own if kind == "class" else standins.handle(own, self, number)

    async def _coroutine(self, number: int) -> Any:
        return self.ask("await", "await", {"on": number})

    def _class(self, number: int, info: dict[str, Any] | None) -> type:
        if number not in self._classes:
            if info is None:
                raise Malformed("an unknown class")
            if info["errors"] and not info["own"]:
                self._classes[number] = exception_class(info["errors"])
            else:
                bases = tuple(self._class(*base) for base in info["bases"])
                self._classes[number] = standins.made_class(self, number, info, bases)
        return self._classes[number]


def finish(link: ExaminerLink, passed: int) -> None:
    """Tell the judge how many tests passed; 0 where one did not."""
    with link.lock:
        passed = 0 if link.forfeited else passed
        link.channel.send(END + codec.pack({"passed": passed, "interface": sorted(link.used)}))
