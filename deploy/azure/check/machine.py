"""What a machine of the scale set does when it is made: cloud-init.yaml read, its unit and settings held to
the program's, and its certificate script run against a vault of our own, on this machine alone."""

import base64
import http.server
import json
import os
import re
import subprocess
import threading
from pathlib import Path

import expressions

CLIENT_ID = "11111111-2222-3333-4444-555555555555"
SECRETS = ("client-ca", "server-certificate", "server-key", "peer-ca", "peer-ca-key")


def files_of(text):
    """The files that cloud-init writes, by their paths."""
    import yaml

    if not text.startswith("#cloud-config\n"):
        raise ValueError("cloud-init.yaml does not begin with #cloud-config")
    return {one["path"]: one["content"] for one in yaml.safe_load(text)["write_files"]}


def settings_of(files):
    """The environment that meridian-install writes."""
    body = re.search(r"meridian\.env <<END\n(.*?)^END$", files["/usr/local/sbin/meridian-install"], re.M | re.S)
    return dict(line.split("=", 1) for line in body.group(1).splitlines())


def check_words(text, tree):
    """Each @WORD@ is filled in by the template, and by one that is there."""
    there = set(re.findall(r"@[A-Z_0-9]+@", text))
    calls = [e for e in expressions.all_in(tree) if e[:2] == ("call", "replace")]
    filled = {e[2][1][1] for e in calls}
    return [f"{word} of cloud-init.yaml is filled in by nothing" for word in sorted(there - filled)] + [
        f"{word} is not in cloud-init.yaml" for word in sorted(filled - there)
    ]


def check_files(files, systemd):
    mistakes = []
    for path, file in (("/etc/systemd/system/meridian.service", "meridian.service"),):
        if files[path] != (systemd / file).read_text():
            mistakes.append(f"{path} is not deploy/systemd/{file}")
    user = files["/usr/lib/sysusers.d/meridian.conf"].strip()
    if user not in (systemd / "meridian.sysusers").read_text():
        mistakes.append("the user is not the one of deploy/systemd/meridian.sysusers")
    for path, content in files.items():
        if content.startswith("#!/bin/sh"):
            found = subprocess.run(["sh", "-n"], input=content, text=True, capture_output=True)
            if found.returncode:
                mistakes.append(f"{path}: {found.stderr.strip()}")
    return mistakes


def check_settings(settings, help_text):
    """Every setting is a flag of the program."""
    mistakes = []
    for name in settings:
        flag = "--" + re.sub("^(ETCD|MERIDIAN)_", "", name).lower().replace("_", "-")
        if not re.search(rf"{re.escape(flag)}\b(?!-)", help_text):
            mistakes.append(f"{name}: the program has no flag {flag}")
    return mistakes


class Vault(http.server.BaseHTTPRequestHandler):
    """The machine's identity, and a vault that believes it."""

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path == "/metadata/identity/oauth2/token":
            asked = self.headers.get("Metadata") == "true" and f"client_id={CLIENT_ID}" in query
            good = asked and "resource=https%3A%2F%2Fvault.example" in query
            self.reply(200 if good else 400, {"access_token": "a-token"})
        elif self.headers.get("Authorization") != "Bearer a-token":
            self.reply(401, {})
        else:
            self.reply(200, {"value": self.server.secrets[path.rsplit("/", 1)[1]]})

    def reply(self, status, body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


class Machine:
    """A folder in the place of a machine's file system."""

    def __init__(self, folder, files):
        self.folder, self.files, self.pki = Path(folder), files, Path(folder) / "pki"
        self.made = {name: self.authority(name) for name in ("clients", "other-clients", "peers", "other-peers")}
        self.leaf("server", "clients", "IP:127.0.0.1")
        self.leaf("client", "clients", "DNS:client")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Vault)
        server.secrets = {
            "client-ca": self.text("clients.crt"), "server-certificate": self.text("server.crt"),
            "server-key": self.text("server.key"), "peer-ca": self.text("peers.crt"),
            "peer-ca-key": self.text("peers.key"),
        }
        self.vault = server
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def text(self, name):
        return (self.folder / name).read_text()

    def openssl(self, *words):
        done = subprocess.run(["openssl", *words], cwd=self.folder, capture_output=True, text=True)
        if done.returncode:
            raise ValueError(f"openssl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def authority(self, name):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9",
                     "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt")

    def leaf(self, name, authority, subject):
        (self.folder / "extensions").write_text(f"subjectAltName={subject}\n")
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                     "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", "request")
        self.openssl("x509", "-req", "-in", "request", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key",
                     "-days", "9", "-extfile", "extensions", "-out", f"{name}.crt")

    def certificates(self):
        """Runs meridian-certificates as the machine would; what it said."""
        at = f"http://127.0.0.1:{self.vault.server_address[1]}"
        (self.folder / "script").write_text(self.files["/usr/local/sbin/meridian-certificates"])
        (self.folder / "address").write_text("127.0.0.1\n")
        (self.folder / "curl").write_text(f'#!/bin/sh\nfor a; do shift; case $a in https://kv.vault.example/*) a="{at}/'
                                          '${a#https://kv.vault.example/}";; esac; set -- "$@" "$a"; done\n'
                                          'exec "$CURL" "$@"\n')
        (self.folder / "curl").chmod(0o755)
        (self.folder / "deployment").write_text(f"CLIENT_ID={CLIENT_ID}\nVAULT=https://kv.vault.example/\n")
        curl = subprocess.run(["sh", "-c", "command -v curl"], capture_output=True, text=True).stdout.strip()
        group = subprocess.run(["id", "-gn"], capture_output=True, text=True).stdout.strip()
        environment = os.environ | {
            "DEPLOYMENT": str(self.folder / "deployment"), "PKI": str(self.pki), "IMDS": at, "GROUP": group,
            "ADDRESS_FILE": str(self.folder / "address"), "RUN": str(self.folder), "CURL": curl,
            "PATH": f"{self.folder}:{os.environ['PATH']}",
        }
        done = subprocess.run(["sh", "script"], cwd=self.folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise ValueError(f"meridian-certificates: {done.stderr.strip()[-500:]}")
        return sorted(line.split()[0] for line in done.stdout.splitlines() if line.endswith("is new"))

    def check(self):
        """A first run makes all, a second one nothing, and each new secret what depends on it."""
        mistakes = []

        def expect(wanted, when):
            found = self.certificates()
            if found != wanted:
                mistakes.append(f"{when}, {found} were new, and not {wanted}")

        expect(["client-ca.crt", "peer-ca.crt", "peer.crt", "peer.key", "server.crt", "server.key"], "at first")
        self.openssl("verify", "-CAfile", "pki/peer-ca.crt", "-verify_ip", "127.0.0.1", "pki/peer.crt")
        expect([], "a second time")
        if [file.name for file in self.pki.iterdir() if file.stat().st_mode & 0o137]:
            mistakes.append("a file of the certificates can be read by everybody")
        if list(self.folder.glob("tmp.*")):
            mistakes.append("the signing key was left behind")
        secrets = self.vault.secrets
        secrets["client-ca"] += self.text("other-clients.crt")
        expect(["client-ca.crt"], "with a second CA of clients")
        secrets["peer-ca"] += self.text("other-peers.crt")
        expect(["peer-ca.crt"], "with a second CA of peers")
        secrets["peer-ca"] = self.text("other-peers.crt") + self.text("peers.crt")
        secrets["peer-ca-key"] = self.text("other-peers.key")
        expect(["peer-ca.crt", "peer.crt", "peer.key"], "with another signer")
        self.openssl("verify", "-CAfile", "other-peers.crt", "-verify_ip", "127.0.0.1", "pki/peer.crt")
        return mistakes


def filled_size(text):
    """Bytes of custom data, with room for what is filled in; Azure takes 65,535 before base64."""
    return len(base64.b64decode(base64.b64encode(text.encode()))) + 4096
