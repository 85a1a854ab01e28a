"""All checks, one after the other: run.py MODELS [MERIDIAN]. Called by check.sh."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
MODELS = sys.argv[1]
sys.path.append(MODELS)

import machine  # noqa: E402
import models  # noqa: E402
import planted  # noqa: E402
import serving  # noqa: E402
import template  # noqa: E402
import twin  # noqa: E402

HERE = twin.HERE
counts = {"passed": 0, "failed": 0, "skipped": 0}


def step(name, mistakes, good):
    """Says how a check ended; `good` when there is no mistake."""
    failed = bool(mistakes)
    counts["failed" if failed else "passed"] += 1
    print(f"{'FAILED' if failed else 'ok    '} {name}: " + (f"{len(mistakes)} mistakes" if failed else good))
    for mistake in mistakes:
        print(f"       {mistake}")


def skip(name, why):
    counts["skipped"] += 1
    print(f"not run {name}: {why}")


def grammar(source):
    """Where a grammar of Bicep that is not ours does not understand main.bicep."""
    import tree_sitter_bicep
    from tree_sitter import Language, Parser

    def lost(node):
        if node.type == "ERROR" or node.is_missing:
            return [f"line {node.start_point[0] + 1}: {node.text[:60]!r}"]
        return [one for child in node.children for one in lost(child)]

    return lost(Parser(Language(tree_sitter_bicep.language())).parse(source.encode()).root_node)


def check_template(tree, source):
    step("azuredeploy.json refers to what it declares", template.Template(tree).check(),
         f"{len(tree['parameters'])} parameters, {len(tree['resources'])} resources, {len(tree['outputs'])} outputs")
    example = json.loads((HERE / "azuredeploy.parameters.example.json").read_text())
    step("the example's parameters", template.check_values(tree, example), f"{len(example['parameters'])} given")
    judge = models.Judge(tree, MODELS)
    mistakes = judge.check()
    step("Microsoft's models of the resources", mistakes, f"{judge.looked_at} values have a place and a type there")
    step("main.bicep, by a grammar that is not ours", grammar(source), f"{source.count(chr(10))} lines")
    step("main.bicep means azuredeploy.json", [] if twin.made_from(source) == tree else
         ["it does not: look at `check/twin.py | diff azuredeploy.json -`, and write it with `check/twin.py --write`"],
         "the same tree")


def found_all(name, mistakes):
    """Each of them has to be found, and in the words of the check that is there for it."""
    missed, total = [], 0
    for what, words, found in mistakes:
        total += 1
        if not any(words in one for one in found):
            missed.append(f"{what}: not found; {found or 'nothing'} was")
    step(name, missed, f"all {total} were found")


def check_machine(tree, text, binary):
    files = machine.files_of(text)
    step("cloud-init.yaml", machine.check_words(text, tree) + machine.check_files(files, HERE.parent / "systemd"),
         f"{len(files)} files, {len(text)} of 65,535 bytes")
    settings = machine.settings_of(files)
    with tempfile.TemporaryDirectory() as folder:
        made = machine.Machine(folder, files)
        step("its certificates, from a vault of our own", made.check(), "made once, renewed when their source is new")
        if binary:
            said = subprocess.run([binary, "--help"], capture_output=True, text=True)
            step("its settings are flags of the program", machine.check_settings(settings, said.stdout + said.stderr),
                 f"{len(settings)} settings")
            step("a server with its settings and certificates", serving.check(made, settings, binary),
                 "serves its own clients and nobody else's; the journal in a file instead of Azure")
            found_all("mistakes planted in a server", planted.of_serving(made, settings, binary))
        else:
            skip("its settings are flags of the program", "no MERIDIAN was given")
            skip("a server with its settings and certificates", "no MERIDIAN was given")


def check_planted(tree, source, text):
    found_all("mistakes planted in the files", [
        *planted.of_template(tree), *planted.of_models(tree, MODELS), *planted.of_bicep(tree, source),
        *planted.of_machine(text, tree, HERE.parent / "systemd"), *planted.of_script(machine.files_of(text)),
    ])


def main():
    tree = json.loads((HERE / "azuredeploy.json").read_text())
    source, text = (HERE / "main.bicep").read_text(), (HERE / "cloud-init.yaml").read_text()
    check_template(tree, source)
    check_machine(tree, text, sys.argv[2] if len(sys.argv) > 2 else "")
    check_planted(tree, source, text)
    skip("a deployment", "that takes Azure")
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    sys.exit(counts["failed"] > 0)


main()
