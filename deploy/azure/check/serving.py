"""Starts the program with a machine's own settings and certificates, on free ports of this machine and with
its journal in a file, and asks it as a client does."""

import os
import socket
import subprocess
import time


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def here(settings, machine):
    """The settings as they are on this machine, and the ports."""
    ports = dict(zip(("2379", "2380", "2381"), free_ports(3)))
    found = {}
    for name, value in settings.items():
        value = value.replace("/etc/meridian/pki", str(machine.pki)).replace("/var/lib/meridian", str(machine.folder))
        value = value.replace("0.0.0.0", "127.0.0.1").replace("$address", "127.0.0.1")
        value = value.replace("$ENDPOINT", "https://127.0.0.1:2379").replace("$CLUSTER", "checked").replace("$QUOTA", "0")
        for port, free in ports.items():
            value = value.replace(":" + port, f":{free}")
        found[name] = value
    return found | {"ETCD_NAME": "m-127-0-0-1", "MERIDIAN_JOURNAL": "file"}, ports


def curl(*words):
    done = subprocess.run(["curl", "-sS", "-m", "5", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", *words],
                          capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ""


def ready(process, url):
    for _ in range(200):
        if process.poll() is not None:
            return False
        if curl(url) == "200":
            return True
        time.sleep(0.05)
    return False


def check(machine, settings, binary):
    environment, ports = here(settings, machine)
    log = open(machine.folder / "log", "wb")
    process = subprocess.Popen([binary], env=environment | {"PATH": os.environ["PATH"]}, stdout=log, stderr=log)
    try:
        # What the load balancer asks.
        if not ready(process, f"http://127.0.0.1:{ports['2381']}/readyz"):
            return ["it is not ready: " + (machine.folder / "log").read_text()[-600:]]
        return asked(machine, f"https://127.0.0.1:{ports['2379']}/health")
    finally:
        process.terminate()
        process.wait()
        log.close()


def asked(machine, url):
    trust = ["--cacert", str(machine.folder / "clients.crt"), url]

    def shows(name):
        return ["--cert", str(machine.folder / f"{name}.crt"), "--key", str(machine.folder / f"{name}.key"), *trust]

    mistakes = []
    if curl(*shows("client")) != "200":
        mistakes.append("a client with a certificate is not served")
    if curl(*trust):
        mistakes.append("a client without a certificate is served")
    if curl(*shows("peers")):
        mistakes.append("a client with somebody else's certificate is served")
    # The second CA was added by the vault while no server ran; its clients are welcome too.
    machine.leaf("second", "other-clients", "DNS:second")
    if curl(*shows("second")) != "200":
        mistakes.append("a client of the second CA is not served")
    return mistakes
