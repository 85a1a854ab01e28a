#!/usr/bin/env python3
"""Makes the Resource Manager template that main.bicep means: `twin.py --write` puts it into azuredeploy.json.

What Bicep's own compiler does for the words that are used here, in its way: names become resourceId(),
properties of what is made become reference(), and what is mentioned is depended on.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bicep  # noqa: E402

HERE = Path(__file__).resolve().parent.parent
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
PARTS_BESIDE = ("parent", "scope", "dependsOn", "name")


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


class Twin:
    """The declarations of one file, and how each of their names is said in the template."""

    def __init__(self, source, folder):
        self.folder, self.files = folder, {}
        self.all = bicep.read(source)
        self.params = {d.name: d for d in self.all if d.kind == "param"}
        self.vars = {d.name: d for d in self.all if d.kind == "var"}
        self.resources = {d.name: d for d in self.all if d.kind == "resource"}
        self.loops = {}

    # --- expressions, inside [ ] ---

    def expression(self, e):
        return getattr(self, "on_" + e[0])(*e[1:])

    def on_number(self, number):
        return str(number)

    def on_text(self, parts):
        if all(isinstance(part, str) for part in parts):
            return quoted("".join(parts))
        form, values = "", []
        for part in parts:
            if isinstance(part, str):
                form += part.replace("{", "{{").replace("}", "}}")
            else:
                form += "{%d}" % len(values)
                values.append(self.expression(part))
        return f"format({quoted(form)}, {', '.join(values)})"

    def on_word(self, name):
        if name in self.loops:
            return self.loops[name]
        if name in ("true", "false", "null"):
            return name + "()"
        if name in self.params:
            return f"parameters('{name}')"
        if name in self.vars:
            # What is known only after something was made cannot stand among the variables.
            late = self.is_late(self.vars[name].value)
            return self.expression(self.vars[name].value) if late else f"variables('{name}')"
        raise bicep.Mistake(f"{name} is not declared, or is a resource and needs a property")

    def on_call(self, name, arguments):
        if name == "loadTextContent":
            path = arguments[0][1][0]
            variable = self.files.setdefault(path, f"$fxv#{len(self.files)}")
            return f"variables('{variable}')"
        return f"{name}({', '.join(self.expression(a) for a in arguments)})"

    def on_member(self, of, name):
        if of[0] == "word" and of[1] in self.resources:
            made = self.resources[of[1]]
            if name == "id":
                return self.id(made)
            if name == "name":
                return self.names(made)[-1]
            if name == "properties":
                return f"reference({self.id(made)}, {quoted(made.type.split('@')[1])})"
            raise bicep.Mistake(f"{of[1]}.{name} is not understood: id, name and properties are")
        return f"{self.expression(of)}.{name}"

    def on_index(self, of, at):
        return f"{self.expression(of)}[{self.expression(at)}]"

    def on_not(self, what):
        return f"not({self.expression(what)})"

    def on_same(self, a, b):
        return f"equals({self.expression(a)}, {self.expression(b)})"

    def on_choice(self, condition, then, otherwise):
        return f"if({self.expression(condition)}, {self.expression(then)}, {self.expression(otherwise)})"

    def on_list(self, items):
        return f"createArray({', '.join(self.expression(item) for item in items)})"

    def on_object(self, pairs):
        said = [self.expression(one) for pair in pairs for one in pair]
        return f"createObject({', '.join(said)})"

    # --- resources ---

    def property(self, made, name):
        return next((value for key, value in made.value[1] if key[1] == [name]), None)

    def names(self, made):
        parent = self.property(made, "parent")
        own = self.expression(self.property(made, "name"))
        return (self.names(self.resources[parent[1]]) if parent else []) + [own]

    def id(self, made):
        return f"resourceId({quoted(made.type.split('@')[0])}, {', '.join(self.names(made))})"

    def mentioned(self, e):
        """The resources that an expression names, through variables too."""
        if isinstance(e, list):
            return set().union(*(self.mentioned(one) for one in e)) if e else set()
        if not isinstance(e, tuple):
            return set()
        if e[0] == "word":
            if e[1] in self.resources:
                return {e[1]}
            return self.mentioned(self.vars[e[1]].value) if e[1] in self.vars else set()
        return self.mentioned(list(e[1:]))

    def is_late(self, e):
        if isinstance(e, list):
            return any(self.is_late(one) for one in e)
        if not isinstance(e, tuple):
            return False
        if e[0] == "member" and e[1][0] == "word" and e[1][1] in self.resources:
            return e[2] == "properties"
        if e[0] == "word" and e[1] in self.vars:
            return self.is_late(self.vars[e[1]].value)
        return self.is_late(list(e[1:]))

    def dependencies(self, made):
        found = self.mentioned([value for _, value in made.value[1]])
        if made.condition:
            found |= self.mentioned(made.condition)
        order = [name for name in self.resources if name in found - {made.name}]
        return ["[" + self.id(self.resources[name]) + "]" for name in order]

    def resource(self, made):
        kind, version = made.type.split("@")
        said = {"condition": self.value(made.condition)} if made.condition else {}
        names = self.names(made)
        name = f"[format('{'/'.join('{%d}' % i for i in range(len(names)))}', {', '.join(names)})]"
        said |= {"type": kind, "apiVersion": version}
        scope = self.property(made, "scope")
        if scope:
            said["scope"] = "[" + self.id(self.resources[scope[1]]) + "]"
        said["name"] = self.value(self.property(made, "name")) if len(names) == 1 else name
        for key, value in made.value[1]:
            if key[1][0] not in PARTS_BESIDE:
                said[key[1][0]] = self.value(value)
        depends = self.dependencies(made)
        return said | ({"dependsOn": depends} if depends else {})

    # --- values, as JSON ---

    def value(self, e):
        if e[0] == "text" and all(isinstance(part, str) for part in e[1]):
            text = "".join(e[1])
            return "[" + text if text.startswith("[") else text
        if e[0] == "number":
            return e[1]
        if e[0] == "word" and e[1] in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[e[1]]
        if e[0] == "list":
            return [self.value(item) for item in e[1]]
        if e[0] == "object":
            return self.object(e[1])
        return "[" + self.expression(e) + "]"

    def object(self, pairs):
        said, copies = {}, []
        for key, value in pairs:
            name = self.value(key)
            if value[0] == "each":
                copies.append(self.copy(name, *value[1:]))
            else:
                said[name] = self.value(value)
        return ({"copy": copies} if copies else {}) | said

    def copy(self, name, item, place, of, body):
        of = self.expression(of)
        self.loops = {item: f"{of}[copyIndex('{name}')]", place: f"copyIndex('{name}')"}
        made = {"name": name, "count": f"[length({of})]", "input": self.value(body)}
        self.loops = {}
        return made

    def parameter(self, made):
        marks = made.decorators
        said = {"type": "secure" + made.type.capitalize() if "secure" in marks else made.type}
        if made.value:
            said["defaultValue"] = self.value(made.value)
        for word in ("minValue", "maxValue", "minLength", "maxLength"):
            if word in marks:
                said[word] = self.value(marks[word][0])
        if "allowed" in marks:
            said["allowedValues"] = self.value(marks["allowed"][0])
        return said | self.metadata(made)

    def metadata(self, made):
        return {"metadata": {"description": self.value(made.decorators["description"][0])}}

    def template(self):
        outputs = {
            made.name: {"type": made.type, "value": self.value(made.value)} | self.metadata(made)
            for made in self.all if made.kind == "output"
        }
        resources = [self.resource(made) for made in self.resources.values()]
        variables = {
            name: self.value(made.value) for name, made in self.vars.items() if not self.is_late(made.value)
        }
        files = {name: (self.folder / path).read_text() for path, name in self.files.items()}
        return {
            "$schema": SCHEMA,
            "contentVersion": "1.0.0.0",
            "parameters": {name: self.parameter(made) for name, made in self.params.items()},
            "variables": files | variables,
            "resources": resources,
            "outputs": outputs,
        }


def made_from(source, folder=HERE):
    """The template, as a tree."""
    return Twin(source, folder).template()


def main():
    tree = made_from((HERE / "main.bicep").read_text())
    text = json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
    if sys.argv[1:] == ["--write"]:
        (HERE / "azuredeploy.json").write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
