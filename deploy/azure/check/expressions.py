"""Reads the expressions of a Resource Manager template: "[resourceId('a/b', parameters('c'))]".

A read one is a tuple: ("text", it), ("number", it), ("call", name, arguments), ("member", of, name),
("index", of, at).
"""

import re

TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|(-?\d+)|([A-Za-z_]\w*)|([()\[\],.]))")


class Mistake(Exception):
    """Not an expression."""


class Reader:
    def __init__(self, text):
        self.tokens, at = [], 0
        while text[at:].strip():
            found = TOKEN.match(text, at)
            if not found:
                raise Mistake(f"not understood: {text[at:at + 30]!r}")
            self.tokens.append(found)
            at = found.end()
        self.at = 0

    def next(self):
        if self.at >= len(self.tokens):
            raise Mistake("it ends too soon")
        self.at += 1
        return self.tokens[self.at - 1]

    def takes(self, mark):
        if self.at < len(self.tokens) and self.tokens[self.at].group(4) == mark:
            self.at += 1
            return True
        return False

    def must(self, mark):
        if not self.takes(mark):
            raise Mistake(f"{mark} expected")

    def expression(self):
        text, number, name, _ = (token := self.next()).groups()
        if text is not None:
            value = ("text", text[1:-1].replace("''", "'"))
        elif number is not None:
            value = ("number", int(number))
        elif name is not None:
            value = self.call(name)
        else:
            raise Mistake(f"{token.group()!r} where a value should be")
        while True:
            if self.takes("."):
                value = ("member", value, self.next().group(3))
            elif self.takes("["):
                value = ("index", value, self.expression())
                self.must("]")
            else:
                return value

    def call(self, name):
        self.must("(")
        arguments = []
        while not self.takes(")"):
            if arguments:
                self.must(",")
            arguments.append(self.expression())
        return ("call", name, arguments)


def is_expression(value):
    return isinstance(value, str) and value.startswith("[") and not value.startswith("[[")


def read(value):
    """The expression in a string of the template."""
    if not value.endswith("]"):
        raise Mistake(f"no ] at the end of {value!r}")
    reader = Reader(value[1:-1])
    found = reader.expression()
    if reader.at != len(reader.tokens):
        raise Mistake(f"more than one expression in {value!r}")
    return found


def walk(e):
    """The expression and all in it."""
    yield e
    for part in e[1:]:
        for inner in part if isinstance(part, list) else [part]:
            if isinstance(inner, tuple):
                yield from walk(inner)


def all_in(tree):
    """Every expression in a tree of JSON, keys of objects too."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from all_in(key)
            yield from all_in(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from all_in(value)
    elif is_expression(tree):
        yield from walk(read(tree))
