"""What can be known of a Resource Manager template without Azure: that it refers to what is declared, and
that what it needs is made before."""

import re

import expressions

FUNCTIONS = {
    "base64", "base64ToString", "concat", "copyIndex", "createArray", "createObject", "empty", "equals", "false", "format",
    "guid", "if", "length", "not", "null", "parameters", "reference", "replace", "resourceGroup", "resourceId",
    "string", "subscriptionResourceId", "tenant", "toLower", "true", "uniqueString", "uriComponent", "variables",
}
VERSION = re.compile(r"20\d\d-\d\d-\d\d$")
TYPES = {"string": str, "secureString": str, "int": int, "array": list, "object": dict, "bool": bool}
# What stands inside another resource here, and where its names are.
INSIDE = {
    "Microsoft.Network/virtualNetworks/subnets": "subnets",
    "Microsoft.Network/loadBalancers/frontendIPConfigurations": "frontendIPConfigurations",
    "Microsoft.Network/loadBalancers/backendAddressPools": "backendAddressPools",
    "Microsoft.Network/loadBalancers/probes": "probes",
}


class Template:
    """One template, and what is wrong with it, in `mistakes`."""

    def __init__(self, tree):
        self.tree, self.mistakes = tree, []
        self.made = {self.key(r["type"], self.name(r)): r for r in tree["resources"]}
        if len(self.made) != len(tree["resources"]):
            self.mistakes.append("two resources have one name")

    def name(self, resource):
        """The segments of a resource's name."""
        name = resource["name"]
        if not expressions.is_expression(name):
            return [("text", part) for part in name.split("/")]
        e = expressions.read(name)
        if resource["type"].count("/") > 1 and e[:2] == ("call", "format"):
            return e[2][1:]
        return [e]

    @staticmethod
    def key(kind, names):
        return (kind, tuple(map(repr, names)))

    def check(self):
        try:
            self.references()
            self.unused()
            for resource in self.tree["resources"]:
                self.resource(resource)
            self.circles()
        except expressions.Mistake as mistake:
            self.mistakes.append(str(mistake))
        return self.mistakes

    # --- words ---

    def references(self):
        declared = {"parameters": self.tree["parameters"], "variables": self.tree["variables"]}
        for e in expressions.all_in([self.tree[part] for part in ("parameters", "variables", "resources", "outputs")]):
            if e[0] != "call":
                continue
            if e[1] not in FUNCTIONS:
                self.mistakes.append(f"there is no function {e[1]}()")
            if e[1] in declared and e[2][0][1] not in declared[e[1]]:
                self.mistakes.append(f"{e[1]}('{e[2][0][1]}') is not declared")
            if e[1] == "resourceId":
                self.resource_id(e)
        for e in expressions.all_in(self.tree["variables"]):
            if e[:2] == ("call", "reference"):
                self.mistakes.append("reference() cannot stand in a variable")

    def unused(self):
        body = [self.tree["variables"], self.tree["resources"], self.tree["outputs"]]
        defaults = [p.get("defaultValue") for p in self.tree["parameters"].values()]
        for kind in ("parameters", "variables"):
            used = {e[2][0][1] for e in expressions.all_in(body + defaults) if e[:2] == ("call", kind)}
            self.mistakes += [f"{kind}('{name}') is not used" for name in self.tree[kind] if name not in used]
        for name, parameter in self.tree["parameters"].items():
            if not parameter.get("metadata", {}).get("description"):
                self.mistakes.append(f"parameter {name} has no description")

    # --- resources ---

    def resource_id(self, e):
        """Whose id it is: the resource, or the one that it stands inside of; none is a mistake."""
        kind, names = e[2][0][1], e[2][1:]
        found = self.made.get(self.key(kind, names))
        if found or kind not in INSIDE:
            if not found:
                self.mistakes.append(f"resourceId('{kind}', …) is of nothing that is made here")
            return found
        parent = self.made.get(self.key(kind.rsplit("/", 1)[0], names[:-1]))
        inner = [part["name"] for part in parent["properties"].get(INSIDE[kind], [])] if parent else []
        if names[-1][1] not in inner:
            self.mistakes.append(f"there is no {names[-1][1]!r} among the {INSIDE[kind]} of what is made here")
        return parent

    def through_variables(self, tree):
        for e in expressions.all_in(tree):
            yield e
            if e[:2] == ("call", "variables"):
                yield from self.through_variables(self.tree["variables"].get(e[2][0][1]))

    def needs(self, resource):
        """What a resource mentions, but itself."""
        body = {key: value for key, value in resource.items() if key not in ("dependsOn", "name")}
        ids = [e for e in self.through_variables(body) if e[:2] == ("call", "resourceId")]
        found = [self.resource_id(e) for e in ids]
        parent = resource["type"].rsplit("/", 1)[0]
        found.append(self.made.get(self.key(parent, self.name(resource)[:-1])))
        return [one for one in found if one is not None and one is not resource]

    def depends(self, resource):
        return [self.resource_id(expressions.read(one)) for one in resource.get("dependsOn", [])]

    def resource(self, resource):
        what = f"{resource['type']} {resource['name']}"
        if not VERSION.match(resource.get("apiVersion", "")):
            self.mistakes.append(f"{what} has no apiVersion")
        if len(self.name(resource)) != resource["type"].count("/"):
            self.mistakes.append(f"{what}: a name of {len(self.name(resource))} parts for such a type")
        given = self.depends(resource)
        for needed in self.needs(resource):
            if not any(needed is one for one in given):
                self.mistakes.append(f"{what} mentions {needed['type']} {needed['name']} and does not depend on it")

    def circles(self):
        rest = {id(r): {id(one) for one in self.depends(r)} for r in self.tree["resources"]}
        while rest:
            free = [one for one, needed in rest.items() if not needed & rest.keys()]
            if not free:
                self.mistakes.append("resources depend on one another in a circle")
                return
            for one in free:
                del rest[one]


def check_values(tree, values):
    """What is wrong with a file of parameters for a template."""
    mistakes, given = [], values["parameters"]
    for name, parameter in tree["parameters"].items():
        if name not in given:
            if "defaultValue" not in parameter:
                mistakes.append(f"the example lacks {name}")
            continue
        value = given[name]["value"]
        if not isinstance(value, TYPES[parameter["type"]]):
            mistakes.append(f"the example's {name} is no {parameter['type']}")
            continue
        size = value if isinstance(value, int) else len(value)
        low = parameter.get("minValue", parameter.get("minLength", size))
        high = parameter.get("maxValue", parameter.get("maxLength", size))
        if not low <= size <= high or value not in parameter.get("allowedValues", [value]):
            mistakes.append(f"the example's {name} is outside of what is allowed")
    mistakes += [f"the example has {name}, which is no parameter" for name in given if name not in tree["parameters"]]
    return mistakes
