"""Mistakes that are put into copies of the files: each must be found, and by the check that is there for it.
A check that finds nothing wrong anywhere would pass as well."""

import copy
import tempfile

import bicep
import machine
import models
import serving
import template
import twin


def find(tree, kind):
    return next(one for one in tree["resources"] if one["type"] == kind)


def account(tree):
    return find(tree, "Microsoft.DocumentDB/databaseAccounts")["properties"]


def balancer(tree):
    return find(tree, "Microsoft.Network/loadBalancers")["properties"]


def scale_set(tree):
    return find(tree, "Microsoft.Compute/virtualMachineScaleSets")


def no_parameter(tree):
    del tree["parameters"]["regions"]


def no_variable(tree):
    del tree["variables"]["balancerName"]


def new_parameter(tree):
    tree["parameters"]["nobody"] = {"type": "string", "metadata": {"description": "unused"}}


def no_dependency(tree):
    del find(tree, "Microsoft.DocumentDB/databaseAccounts/sqlDatabases")["dependsOn"]


def no_dependency_of_variable(tree):
    del find(tree, "Microsoft.DocumentDB/databaseAccounts")["dependsOn"]


def no_version(tree):
    del scale_set(tree)["apiVersion"]


def no_probe(tree):
    balancer(tree)["probes"][0]["name"] = "alive"


def short_name(tree):
    find(tree, "Microsoft.KeyVault/vaults/secrets")["name"] = "client-ca"


def circle(tree):
    network = find(tree, "Microsoft.Network/virtualNetworks")
    find(tree, "Microsoft.Network/networkSecurityGroups")["dependsOn"] = [
        f"[resourceId('Microsoft.Network/virtualNetworks', {network['name'][1:-1]})]"
    ]


def late_variable(tree):
    tree["variables"]["secretsUser"] = "[reference('x')]"


def broken_expression(tree):
    tree["variables"]["balancerName"] = "[format('{0}-balancer', parameters('name')]"


STRUCTURE = {
    "a parameter that is not declared": (no_parameter, "parameters('regions') is not declared"),
    "a variable that is not declared": (no_variable, "variables('balancerName') is not declared"),
    "a parameter that nobody uses": (new_parameter, "parameters('nobody') is not used"),
    "a child that does not wait for its parent": (no_dependency, "does not depend on it"),
    "an account that does not wait for the subnet in a variable": (no_dependency_of_variable, "does not depend on"),
    "no version of the interface": (no_version, "has no apiVersion"),
    "a rule with another probe": (no_probe, "no 'ready' among the probes"),
    "a name without its parent's": (short_name, "a name of 1 parts"),
    "a circle": (circle, "in a circle"),
    "what is known late among the variables": (late_variable, "reference() cannot stand in a variable"),
    "a bracket that is not closed": (broken_expression, ", expected"),
}


def set_in(where, key, value):
    return lambda tree: where(tree).__setitem__(key, value)


def policy(tree):
    return find(tree, "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers")["properties"]["resource"]


MODELS = {
    "a property that does not exist": (
        set_in(account, "minimumTlsVersion", "Tls12"), "minimumTlsVersion: there is no such property"),
    "a value that is not known": (set_in(account, "minimalTlsVersion", "Tls1_2"), "'Tls1_2' is none of Tls, Tls11, Tls12"),
    "a text where a switch should be": (set_in(account, "disableLocalAuth", "yes"), "disableLocalAuth: should be bool"),
    "a backup of no kind": (set_in(account, "backupPolicy", {"type": "Continous"}), "backupPolicy: is none of"),
    "a value in one way of an if()": (
        set_in(account, "consistencyPolicy",
               "[if(variables('internal'), createObject('defaultConsistencyLevel', 'Strict'), createObject())]"),
        "'Strict' is none of"),
    "a parameter of another type": (
        set_in(account, "enableAutomaticFailover", "[parameters('autoscaleMaxThroughput')]"),
        "enableAutomaticFailover: should be bool"),
    "something that must be there and is not": (lambda tree: policy(tree).pop("id"), "id is missing"),
    "a list where an object should be": (set_in(policy, "partitionKey", ["/pk"]), "should be an object"),
    "another version than the model's": (
        set_in(scale_set, "apiVersion", "2015-06-15"), "the model is not that of 2015-06-15"),
    "a copy with a wrong property": (
        lambda tree: account(tree)["copy"][0]["input"].update(region="x"), "region: there is no such property"),
}
BICEP = {
    "a property of another name": ("disableLocalAuth:", "disableLocalAuthentication:"),
    "a dependency less": ("    peerCaKey\n", ""),
    "another default": ("param autoscaleMaxThroughput int = 4000", "param autoscaleMaxThroughput int = 1000"),
    "a limit less": ("@minValue(1000)\n", ""),
    "another condition": ("= if (!internal)", "= if (internal)"),
    "an output that says something else": ("= account.properties.documentEndpoint", "= account.name"),
}


def flag_less(text):
    return text.replace("ETCD_CLIENT_CERT_AUTH=true", "ETCD_CLIENT_CERT_AUTHENTICATION=true")


def of_template(tree):
    for what, (plant, words) in STRUCTURE.items():
        planted = copy.deepcopy(tree)
        plant(planted)
        yield what, words, template.Template(planted).check()


def of_models(tree, folder):
    for what, (plant, words) in MODELS.items():
        planted = copy.deepcopy(tree)
        plant(planted)
        yield what, words, models.Judge(planted, folder).check()


def of_bicep(tree, source):
    for what, (old, new) in BICEP.items():
        if old not in source:
            raise ValueError(f"{old!r} is not in main.bicep any more: plant another mistake")
        try:
            found = [] if twin.made_from(source.replace(old, new, 1)) == tree else ["the twins differ"]
        except bicep.Mistake as mistake:
            found = [str(mistake)]
        yield "main.bicep: " + what, "the twins differ", found


def of_machine(text, tree, systemd):
    files = machine.files_of(text)
    unit = "/etc/systemd/system/meridian.service"
    yield "another unit", "is not deploy/systemd", machine.check_files(
        files | {unit: files[unit].replace("NoNewPrivileges=true\n", "")}, systemd)
    yield "a script that ends too soon", "meridian-install", machine.check_files(
        files | {"/usr/local/sbin/meridian-install": "#!/bin/sh\nif true; then\n"}, systemd)
    yield "a word that nothing fills in", "@SIZE@", machine.check_words(text + "@SIZE@", tree)
    settings = machine.settings_of(machine.files_of(flag_less(text)))
    yield "a setting that is no flag", "--client-cert-authentication", machine.check_settings(
        settings, "--client-cert-auth 'false'\n--client-cert-auth-no")


SCRIPT = {
    "files that are new each hour": ('if cmp -s "$1" "$pki/$2"; then return; fi', ":", "a second time"),
    "a key for everybody": ("chmod 0640", "chmod 0644", "can be read by everybody"),
    "a signing key that stays": ("trap 'rm -rf \"$work\"' EXIT", ":", "was left behind"),
    "a certificate for another address": ("IP:%s", "IP:9.9.9.9", "openssl verify"),
    "another signer that is not noticed": ('-CAfile "$work/signer"', '-CAfile "$work/peer-ca"', "openssl verify"),
}


def of_script(files):
    """The machine's certificates, made by a script with a mistake in it."""
    path = "/usr/local/sbin/meridian-certificates"
    for what, (old, new, words) in SCRIPT.items():
        if old not in files[path]:
            raise ValueError(f"{old!r} is not in meridian-certificates any more: plant another mistake")
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = machine.Machine(folder, files | {path: files[path].replace(old, new)}).check()
            except ValueError as mistake:
                found = [str(mistake)]
        yield what, words, found


def of_serving(made, settings, binary):
    """A server that lets everybody in, and one that cannot start."""
    open_to_all = {k: v for k, v in settings.items() if k not in ("ETCD_TRUSTED_CA_FILE", "ETCD_CLIENT_CERT_AUTH")}
    yield "a server that asks for no certificate", "without a certificate is served", serving.check(
        made, open_to_all, binary)
    yield "a server without its key", "it is not ready", serving.check(
        made, settings | {"ETCD_KEY_FILE": "/etc/meridian/pki/none.key"}, binary)
