"""Read a pickle as plain data: nothing that it names is imported, called or built.

A pickle is a program for a small machine with a stack. Python's own machine imports what the program names and calls
it. This one keeps the name and the arguments instead. So a checkpoint may carry objects of any class beside its
tensors, and they stay behind as data.

Time and memory grow with the number of opcodes. Python's machine grows without bound in one more place: it hashes
tuples, and forty opcodes nest one that takes years to hash. Here only strings, numbers and names become keys.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

MOST_OPCODES = 4_000_000  # a Lightning file of 4 GB has about 200 000
LONGEST_KEY = 2**63  # a larger integer is left out: it could be made to collide with others


class PickleError(Exception):
    """A pickle that can't be read as data; the message completes "the file is refused: ..."."""


@dataclass(slots=True, eq=False)
class Name:
    """A class or function that a pickle names."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Persistent:
    """A value that a pickle keeps outside itself, as torch.save keeps the numbers of tensors."""

    key: Any


@dataclass(slots=True, eq=False)
class Inert:
    """What a pickle would have built or called: by what, with which arguments, and what was put into it."""

    maker: Any
    arguments: Any = ()
    state: Any = None
    entries: dict[Any, Any] | None = None
    elements: list[Any] | None = None


# Calls that no checkpoint makes. They'd do nothing here either, but whoever got such a file should know.
_HOSTILE_MODULES = {
    "os", "posix", "nt", "subprocess", "pty", "socket", "sys", "shutil", "runpy", "importlib", "ctypes", "commands",
    "webbrowser", "code", "pdb",
}  # fmt: skip
_HOSTILE_BUILTINS = {"eval", "exec", "execfile", "compile", "open", "input", "breakpoint", "__import__"}


def _call(maker: Any, arguments: Any) -> Any:
    if isinstance(maker, Name):
        root = maker.module.partition(".")[0]
        if root in _HOSTILE_MODULES or (
            root in ("builtins", "__builtin__") and maker.name in _HOSTILE_BUILTINS
        ):
            raise PickleError(f"it would call {' '.join(str(maker).split())[:80]}")
        if (maker.module, maker.name) == ("collections", "OrderedDict"):
            return _ordered(arguments)
    return Inert(maker, arguments)


def _ordered(arguments: Any) -> dict[Any, Any]:
    """Return the dict of an OrderedDict's arguments: none, or one list of pairs."""
    made: dict[Any, Any] = {}
    for pair in arguments[0] if arguments else ():
        _put(made, *pair)
    return made


def _put(target: Any, key: Any, value: Any) -> None:
    if isinstance(target, Inert):
        target.entries = {} if target.entries is None else target.entries
        return _put(target.entries, key, value)
    if not isinstance(target, dict):
        raise PickleError(f"it puts a key into a {type(target).__name__}")
    if isinstance(key, str | bytes | float | bool | None | Name | Inert) or (
        isinstance(key, int) and abs(key) < LONGEST_KEY
    ):
        target[key] = value
    return None


def _add(target: Any, values: list[Any]) -> None:
    if isinstance(target, Inert):
        target.elements = [] if target.elements is None else target.elements
        target.elements += values
    elif isinstance(target, list):
        target += values
    else:
        raise PickleError(f"it appends to a {type(target).__name__}")


@dataclass
class _Machine:
    stack: list[Any] = field(default_factory=list)
    marks: list[list[Any]] = field(default_factory=list)  # the stacks below each mark
    memo: dict[int, Any] = field(default_factory=dict)
    persistent: list[Persistent] = field(default_factory=list)

    def pop_mark(self) -> list[Any]:
        """Pop and return what lies above the last mark of the stack."""
        items, self.stack = self.stack, self.marks.pop()
        return items

    def pop_marked(self, _: Any) -> None:
        self.pop_mark()

    def push_mark(self, _: Any) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def push(self, argument: Any) -> None:
        self.stack.append(argument)

    def pop(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.pop_mark()

    def pop_many(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise PickleError("its pickle takes more from the stack than lies there")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def tuple_of(self, count: int) -> None:
        self.stack.append(tuple(self.pop_many(count)))

    def make_dict(self, _: Any) -> None:
        made: dict[Any, Any] = {}
        items = self.pop_mark()
        self._put_pairs(made, items)
        self.stack.append(made)

    def set_item(self, _: Any) -> None:
        items = self.pop_many(2)
        self._put_pairs(self.stack[-1], items)

    def set_items(self, _: Any) -> None:
        items = self.pop_mark()
        self._put_pairs(self.stack[-1], items)

    @staticmethod
    def _put_pairs(target: Any, items: list[Any]) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            _put(target, key, value)

    def append(self, _: Any) -> None:
        items = self.pop_many(1)
        _add(self.stack[-1], items)

    def add_items(self, _: Any) -> None:
        items = self.pop_mark()
        _add(self.stack[-1], items)

    def make_set(self, name: str, items: list[Any]) -> None:
        self.stack.append(Inert(Name("builtins", name), elements=items))

    def put(self, place: int) -> None:
        self.memo[int(place)] = self.stack[-1]

    def get(self, place: int) -> None:
        self.stack.append(self.memo[int(place)])

    def name(self, text: str) -> None:
        self.stack.append(Name(*text.split(" ", 1)))

    def stack_name(self, _: Any) -> None:
        module, name = self.pop_many(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise PickleError("its pickle names something by what is no text")
        self.stack.append(Name(module, name))

    def call(self, _: Any) -> None:
        maker, arguments = self.pop_many(2)
        self.stack.append(_call(maker, arguments))

    def call_with_keywords(self, _: Any) -> None:
        maker, arguments, keywords = self.pop_many(3)
        self.stack.append(_call(maker, (arguments, keywords)))

    def call_marked(self, _: Any) -> None:
        maker, *arguments = self.pop_mark()
        self.stack.append(_call(maker, tuple(arguments)))

    def call_named(self, text: str) -> None:
        arguments = tuple(self.pop_mark())
        self.stack.append(_call(Name(*text.split(" ", 1)), arguments))

    def set_state(self, _: Any) -> None:
        """Keep an object's state. The state of a plain container or a name is ignored."""
        (state,) = self.pop_many(1)
        if isinstance(self.stack[-1], Inert):
            self.stack[-1].state = state

    def refer(self, key: Any) -> None:
        self.persistent.append(Persistent(key))
        self.stack.append(self.persistent[-1])


_VALUES = (
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE",
    "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
)  # fmt: skip
_OPCODES: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(_VALUES, _Machine.push),
    "NONE": lambda m, _: m.push(None), "NEWTRUE": lambda m, _: m.push(True), "NEWFALSE": lambda m, _: m.push(False),
    "EMPTY_LIST": lambda m, _: m.push([]), "EMPTY_DICT": lambda m, _: m.push({}),
    "EMPTY_TUPLE": lambda m, _: m.push(()), "EMPTY_SET": lambda m, _: m.make_set("set", []),
    "FROZENSET": lambda m, _: m.make_set("frozenset", m.pop_mark()),
    "LIST": lambda m, _: m.push(m.pop_mark()), "TUPLE": lambda m, _: m.push(tuple(m.pop_mark())),
    "TUPLE1": lambda m, _: m.tuple_of(1), "TUPLE2": lambda m, _: m.tuple_of(2), "TUPLE3": lambda m, _: m.tuple_of(3),
    "DICT": _Machine.make_dict, "SETITEM": _Machine.set_item, "SETITEMS": _Machine.set_items,
    "APPEND": _Machine.append, "APPENDS": _Machine.add_items, "ADDITEMS": _Machine.add_items,
    "MARK": _Machine.push_mark, "POP": _Machine.pop, "POP_MARK": _Machine.pop_marked,
    "DUP": lambda m, _: m.push(m.stack[-1]),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put), "MEMOIZE": lambda m, _: m.put(len(m.memo)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "GLOBAL": _Machine.name, "STACK_GLOBAL": _Machine.stack_name,
    "REDUCE": _Machine.call, "NEWOBJ": _Machine.call, "NEWOBJ_EX": _Machine.call_with_keywords,
    "OBJ": _Machine.call_marked, "INST": _Machine.call_named, "BUILD": _Machine.set_state,
    "PERSID": _Machine.refer, "BINPERSID": lambda m, _: m.refer(m.pop_many(1)[0]),
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda m, _: None),
}  # fmt: skip


def read_pickle(file: BinaryIO) -> tuple[Any, list[Persistent]]:
    """Return what the next pickle of a file says, and all it keeps outside itself; raises PickleError and ValueError.

    Lists, dicts with plain keys, tuples, texts and numbers are themselves. All else is an `Inert`, also sets.
    """
    machine = _Machine()
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        act = _OPCODES.get(opcode.name)
        if act is None or count >= MOST_OPCODES:
            what = f"uses {opcode.name}" if act is None else f"has more than {MOST_OPCODES} opcodes"
            raise PickleError(f"its pickle {what}")
        act(machine, argument)
    return machine.pop_many(1)[0], machine.persistent
