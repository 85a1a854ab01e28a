"""Holds each resource to Microsoft's own model of it: the names, types and known values in the `azure-mgmt-*`
packages, which are read as text and never imported. What an expression gives is looked into as far as it says."""

import ast
import re
from functools import cache
from pathlib import Path

import expressions

BASE = {"type", "apiVersion", "name", "condition", "dependsOn", "scope"}
# Of each type: the package (and its folder, where it has one for each version), and the class.
CLASSES = {
    "Microsoft.Authorization/roleAssignments": ("authorization/v2022_04_01", "RoleAssignmentCreateParameters"),
    "Microsoft.Compute/virtualMachineScaleSets": ("compute", "VirtualMachineScaleSet"),
    "Microsoft.DocumentDB/databaseAccounts": ("cosmosdb", "DatabaseAccountCreateUpdateParameters"),
    "Microsoft.DocumentDB/databaseAccounts/sqlDatabases": ("cosmosdb", "SqlDatabaseCreateUpdateParameters"),
    "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers":
        ("cosmosdb", "SqlContainerCreateUpdateParameters"),
    "Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments":
        ("cosmosdb", "SqlRoleAssignmentCreateUpdateParameters"),
    "Microsoft.KeyVault/vaults": ("keyvault", "VaultCreateOrUpdateParameters"),
    "Microsoft.KeyVault/vaults/secrets": ("keyvault", "SecretCreateOrUpdateParameters"),
    "Microsoft.ManagedIdentity/userAssignedIdentities": ("msi/v2024_11_30", "Identity"),
    "Microsoft.Network/loadBalancers": ("network", "LoadBalancer"),
    "Microsoft.Network/natGateways": ("network", "NatGateway"),
    "Microsoft.Network/networkSecurityGroups": ("network", "NetworkSecurityGroup"),
    "Microsoft.Network/privateDnsZones": ("privatedns", "PrivateZone"),
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": ("privatedns", "VirtualNetworkLink"),
    "Microsoft.Network/privateEndpoints": ("network", "PrivateEndpoint"),
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": ("network", "PrivateDnsZoneGroup"),
    "Microsoft.Network/publicIPAddresses": ("network", "PublicIPAddress"),
    "Microsoft.Network/virtualNetworks": ("network", "VirtualNetwork"),
}
PARAMETERS = {"string": str, "secureString": str, "int": int, "bool": bool, "array": list, "object": dict}
OLD_TYPES = {"str": "str", "int": "int", "bool": "bool"}


class Package:
    """What one package says of its resources."""

    def __init__(self, folder):
        self.folder = folder
        new = folder / "types.py"
        self.aliases, self.classes = {}, {}
        if new.exists():
            for node in ast.parse(new.read_text()).body:
                if isinstance(node, ast.ClassDef):
                    self.classes[node.name] = node
                elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    self.aliases[node.targets[0].id] = node.value
            self.old = {}
            kinds = folder / "models" / "_enums.py"
        else:
            self.old = self.attribute_maps(folder / "models" / "_models_py3.py")
            kinds = next((folder / "models").glob("_*_enums.py"))
        self.known = {
            node.name: {line.targets[0].id: line.value.value for line in node.body if isinstance(line, ast.Assign)}
            for node in ast.parse(kinds.read_text()).body if isinstance(node, ast.ClassDef)
        }

    @staticmethod
    def attribute_maps(path):
        """Of the older packages: {"properties.roleDefinitionId": "str"} for each class."""
        found = {}
        for node in ast.parse(path.read_text()).body:
            for line in getattr(node, "body", []):
                if isinstance(line, ast.Assign) and line.targets[0].id == "_attribute_map":
                    said = ast.literal_eval(line.value)
                    found.setdefault(node.name, {}).update({v["key"]: v["type"] for v in said.values()})
        return found

    def has_version(self, version):
        """Whether its calls are made with this version of the service's interface."""
        if re.match(r"v20\d\d_", self.folder.name):
            return self.folder.name == "v" + version.replace("-", "_")
        files = [self.folder / "_configuration.py", self.folder / "operations" / "_operations.py"]
        return any(f'"{version}"' in file.read_text() for file in files)

    @cache
    def fields(self, name):
        """The fields of a class and of those it extends: name → type, and which must be there."""
        node, found, required = self.classes[name], {}, set()
        for base in node.bases:
            if getattr(base, "id", "") in self.classes:
                found |= self.fields(base.id)[0]
                required |= self.fields(base.id)[1]
        for line in node.body:
            if isinstance(line, ast.AnnAssign):
                kind = line.annotation
                if isinstance(kind, ast.Subscript) and kind.value.id == "Required":
                    required.add(line.target.id)
                    kind = kind.slice
                found[line.target.id] = kind
        return found, required


@cache
def read_package(folder):
    return Package(folder)


class Judge:
    """Holds one template to the packages in a folder."""

    def __init__(self, tree, folder):
        self.tree, self.folder, self.mistakes = tree, Path(folder), []
        self.looked_at = 0

    def check(self):
        for resource in self.tree["resources"]:
            kind = resource["type"]
            if kind not in CLASSES:
                self.mistakes.append(f"there is no model of {kind}")
                continue
            self.at, (name, wanted) = kind, CLASSES[kind]
            package = read_package(self.folder / "azure" / "mgmt" / name)
            if not package.has_version(resource["apiVersion"]):
                self.mistakes.append(f"{kind}: the model is not that of {resource['apiVersion']}")
            body = {key: value for key, value in resource.items() if key not in BASE}
            if package.old:
                self.old(package.old[wanted], body)
            else:
                self.object(package, wanted, body, "")
        return self.mistakes

    def say(self, path, what):
        self.mistakes.append(f"{self.at}{path}: {what}")

    def old(self, fields, body):
        flat = {key: value for key, value in body.items() if key != "properties"}
        flat |= {f"properties.{key}": value for key, value in body.get("properties", {}).items()}
        for key, value in flat.items():
            self.looked_at += 1
            if key not in fields:
                self.say("." + key, "there is no such property")
            elif fields[key] in OLD_TYPES:
                self.value(None, ast.Name(OLD_TYPES[fields[key]]), value, "." + key)

    def object(self, package, name, value, path):
        fields, required = package.fields(name)
        given = {key: one for key, one in value.items() if key != "copy"}
        for copy in value.get("copy", []):
            given[copy["name"]] = [copy["input"]]
        for key in sorted(required - given.keys() - {"type"} if not path else required - given.keys()):
            self.say(path, f"{key} is missing")
        for key, one in given.items():
            if key in fields:
                self.value(package, fields[key], one, f"{path}.{key}")
            else:
                self.say(f"{path}.{key}", "there is no such property")

    def union(self, package, kinds, value, path):
        """One of several, told apart by its type."""
        for name in kinds:
            said = self.literal(package, package.fields(name)[0]["type"].slice)
            if isinstance(value, dict) and value.get("type") == said:
                return self.object(package, name, value, path)
        return self.say(path, "is none of " + ", ".join(kinds))

    @staticmethod
    def literal(package, e):
        return e.value if isinstance(e, ast.Constant) else package.known[e.value.id][e.attr]

    def value(self, package, kind, value, path):
        self.looked_at += 1
        if expressions.is_expression(value):
            return self.given(package, kind, expressions.read(value), path)
        if isinstance(kind, ast.Constant):
            if kind.value in package.aliases:
                kinds = [one.id for one in package.aliases[kind.value].slice.elts]
                return self.union(package, kinds, value, path)
            if isinstance(value, dict):
                return self.object(package, kind.value, value, path)
            return self.say(path, f"should be an object of {kind.value}")
        if isinstance(kind, ast.Name):
            wanted = {"str": str, "int": int, "bool": bool, "float": (int, float)}.get(kind.id, object)
            if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
                self.say(path, f"should be {kind.id}")
            return None
        return self.several(package, kind, value, path)

    def several(self, package, kind, value, path):
        word, inner = kind.value.id, kind.slice
        if word == "list":
            if not isinstance(value, list):
                return self.say(path, "should be a list")
            for place, one in enumerate(value):
                self.value(package, inner, one, f"{path}[{place}]")
        elif word == "dict":
            for key, one in value.items():
                self.value(package, inner.elts[1], one, f"{path}[{key}]")
        elif word == "Literal":
            if value != self.literal(package, inner):
                self.say(path, f"should be {self.literal(package, inner)}")
        elif word == "Union":
            known = package.known[inner.elts[1].value].values()
            # Azure itself takes them in any case.
            if not isinstance(value, str) or value.lower() not in [one.lower() for one in known]:
                self.say(path, f"{value!r} is none of {', '.join(known)}")
        return None

    def given(self, package, kind, e, path):
        """What is known of an expression's value: both ways of an if(), what it makes, a parameter's type."""
        if e[0] in ("text", "number"):
            return self.value(package, kind, e[1], path)
        if e[0] != "call":
            return None
        name, arguments = e[1:]
        if name == "if":
            self.given(package, kind, arguments[1], path)
            self.given(package, kind, arguments[2], path)
        elif name == "createArray":
            self.value(package, kind, [self.tree_of(one) for one in arguments], path)
        elif name == "createObject":
            self.value(package, kind, self.tree_of(e), path)
        elif name in ("true", "false"):
            self.value(package, kind, name == "true", path)
        elif name == "parameters":
            self.parameter(package, kind, self.tree["parameters"][arguments[0][1]], path)
        return None

    def tree_of(self, e):
        if e[0] in ("text", "number"):
            return e[1]
        if e[:2] == ("call", "createArray"):
            return [self.tree_of(one) for one in e[2]]
        if e[:2] == ("call", "createObject"):
            return {key[1]: self.tree_of(value) for key, value in zip(e[2][::2], e[2][1::2])}
        return Said(e)

    def parameter(self, package, kind, parameter, path):
        if "allowedValues" in parameter:
            for one in parameter["allowedValues"]:
                self.value(package, kind, one, path)
            return
        sample = {str: "any", int: 1, bool: True, list: [], dict: {}}[PARAMETERS[parameter["type"]]]
        free = isinstance(kind, ast.Subscript) and kind.value.id == "Union" and isinstance(sample, str)
        if not free:
            self.value(package, kind, sample, path)


class Said(str):
    """An expression inside a value that an expression makes; looked into as one."""

    def __new__(cls, e):
        made = super().__new__(cls, "[" + say(e) + "]")
        return made


def say(e):
    """An expression, written again."""
    if e[0] == "text":
        return "'" + e[1].replace("'", "''") + "'"
    if e[0] == "number":
        return str(e[1])
    if e[0] == "call":
        return f"{e[1]}({', '.join(say(one) for one in e[2])})"
    if e[0] == "member":
        return f"{say(e[1])}.{e[2]}"
    return f"{say(e[1])}[{say(e[2])}]"
