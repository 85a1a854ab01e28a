"""Reads the part of Bicep that main.bicep is written in; anything else is refused, with its line.

An expression is a tuple whose first word says what it is: ("text", parts), ("number", n), ("word", name),
("call", name, arguments), ("member", of, name), ("index", of, at), ("not", what), ("same", a, b),
("choice", condition, then, otherwise), ("list", items), ("object", pairs), ("each", item, place, of, body).
"""

import re
from dataclasses import dataclass, field

SPACE = re.compile(r"(?:[ \t]+|//[^\n]*)*")
NAME = re.compile(r"[A-Za-z_]\w*")
NUMBER = re.compile(r"\d+")
ESCAPES = {"n": "\n", "t": "\t", "'": "'", "\\": "\\", "$": "$"}


class Mistake(Exception):
    """Not the Bicep that is read here."""


@dataclass
class Declared:
    """One param, var, resource or output."""

    kind: str
    name: str
    type: str = ""
    value: tuple | None = None
    condition: tuple | None = None
    decorators: dict = field(default_factory=dict)


class Reader:
    """A place in the text."""

    def __init__(self, text):
        self.text, self.at = text, 0

    def fail(self, wanted):
        line = self.text.count("\n", 0, self.at) + 1
        raise Mistake(f"line {line}: {wanted} expected at {self.text[self.at:self.at + 30]!r}")

    def space(self, lines=False):
        while True:
            self.at = SPACE.match(self.text, self.at).end()
            if not (lines and self.text.startswith("\n", self.at)):
                return
            self.at += 1

    def sees(self, mark):
        self.space()
        return self.text.startswith(mark, self.at)

    def takes(self, mark):
        if not self.sees(mark):
            return False
        self.at += len(mark)
        return True

    def must(self, mark):
        if not self.takes(mark):
            self.fail(mark)

    def match(self, pattern, wanted):
        self.space()
        found = pattern.match(self.text, self.at)
        if not found:
            self.fail(wanted)
        self.at = found.end()
        return found.group()

    def name(self):
        return self.match(NAME, "a name")

    def end_of_line(self):
        self.space()
        if self.at < len(self.text) and self.text[self.at] != "\n":
            self.fail("the end of the line")

    # --- expressions ---

    def expression(self):
        condition = self.comparison()
        if not self.takes("?"):
            return condition
        then = self.expression()
        self.must(":")
        return ("choice", condition, then, self.expression())

    def comparison(self):
        left = self.single()
        return ("same", left, self.single()) if self.takes("==") else left

    def single(self):
        if self.takes("!"):
            return ("not", self.single())
        value = self.atom()
        while True:
            if self.takes("."):
                value = ("member", value, self.name())
            elif self.takes("["):
                value = ("index", value, self.expression())
                self.must("]")
            else:
                return value

    def atom(self):
        self.space()
        mark = self.text[self.at:self.at + 1]
        if mark == "'":
            return self.string()
        if mark == "[":
            return self.list()
        if mark == "{":
            return self.object()
        if mark == "(":
            self.must("(")
            inner = self.expression()
            self.must(")")
            return inner
        if mark.isdigit():
            return ("number", int(self.match(NUMBER, "a number")))
        name = self.name()
        return ("call", name, self.arguments()) if self.sees("(") else ("word", name)

    def arguments(self):
        self.must("(")
        found = []
        while not self.takes(")"):
            if found:
                self.must(",")
            found.append(self.expression())
        return found

    def string(self):
        self.must("'")
        parts, piece = [], ""
        while True:
            mark = self.text[self.at:self.at + 1]
            if mark in ("", "\n"):
                self.fail("the end of the string")
            self.at += 1
            if mark == "'":
                return ("text", [part for part in parts + [piece] if part != ""])
            if mark == "\\":
                piece += ESCAPES[self.text[self.at]]
                self.at += 1
            elif mark == "$" and self.text.startswith("{", self.at):
                self.at += 1
                parts += [piece, self.expression()]
                piece = ""
                self.must("}")
            else:
                piece += mark

    def list(self):
        self.must("[")
        if re.match(r"\s*for\b", self.text[self.at:]):
            return self.each()
        items = []
        while True:
            self.space(lines=True)
            if self.takes("]"):
                return ("list", items)
            items.append(self.expression())
            self.takes(",")

    def each(self):
        self.must("for")
        place = None
        if self.takes("("):
            item = self.name()
            self.must(",")
            place = self.name()
            self.must(")")
        else:
            item = self.name()
        self.must("in")
        of = self.expression()
        self.must(":")
        body = self.expression()
        self.must("]")
        return ("each", item, place, of, body)

    def object(self):
        self.must("{")
        pairs = []
        while True:
            self.space(lines=True)
            if self.takes("}"):
                return ("object", pairs)
            key = self.string() if self.sees("'") else ("text", [self.name()])
            self.must(":")
            pairs.append((key, self.expression()))
            if not self.sees("}"):
                self.end_of_line()

    # --- declarations ---

    def declaration(self):
        decorators = {}
        while self.takes("@"):
            word = self.name()
            decorators[word] = self.arguments()
            self.end_of_line()
            self.space(lines=True)
        made = Declared(self.name(), self.name(), decorators=decorators)
        if made.kind in ("param", "output"):
            made.type = self.name()
            made.value = self.expression() if self.takes("=") else None
        elif made.kind == "var":
            self.must("=")
            made.value = self.expression()
        elif made.kind == "resource":
            made.type = self.string()[1][0]
            self.must("=")
            if self.takes("if"):
                self.must("(")
                made.condition = self.expression()
                self.must(")")
            made.value = self.object()
        else:
            raise Mistake(f"{made.kind} {made.name}: only param, var, resource and output are read")
        self.end_of_line()
        return made


def read(text):
    """All declarations, in their order."""
    reader, found = Reader(text), []
    while True:
        reader.space(lines=True)
        if reader.at >= len(text):
            return found
        found.append(reader.declaration())
