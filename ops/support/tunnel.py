"""The checks of ops/check-tls; slurm.py and services.py borrow from it."""

import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from runs import BACKBONE, LETHE, ROOT, WORDS, must, whole
from waiting import patience, wait_for

# Extensions of a ServerHello, by their numbers in RFC 8446.
PRE_SHARED_KEY, SUPPORTED_VERSIONS, KEY_SHARE = 41, 43, 51


def check(holds, what):
    if not holds:
        sys.exit(what)


def guide(page, heading, number=0):
    """A block of commands of a guide, the first after its heading or one of the next."""
    text = (ROOT / page).read_text()
    text = text[text.index(f"\n## {heading}\n"):]
    block = re.findall(r"^( *)```sh\n(.*?)^ *```$", text, re.M | re.S)[number]
    return re.sub(f"^{block[0]}", "", block[1], flags=re.M)


started = []


@contextmanager
def workshop(name):
    """A folder for one check. When the check fails, logs in it are shown; what it started ends."""
    place = Path(tempfile.mkdtemp(prefix=f"lethe-{name}-"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    try:
        yield place
    except SystemExit as end:
        for log in sorted(place.rglob("*log")):
            sys.stderr.write(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}\n")
        sys.exit(f"{name}: error: {end}")
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()
        shutil.rmtree(place)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(log, *command, **options):
    with open(log, "ab") as file:
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL,
                                   stdout=file, stderr=file, **options)
    started.append(process)
    return process


class Listener:
    """A TCP proxy that remembers what goes each way."""

    def __init__(self, target):
        self.target, self.connections = target, 0
        self.sent, self.received = bytearray(), bytearray()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.server.accept()
            self.connections += 1
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            for ends in ((near, far, self.sent), (far, near, self.received)):
                threading.Thread(target=self.copy, args=ends, daemon=True).start()

    @staticmethod
    def copy(source, sink, memory):
        try:
            while data := source.recv(65536):
                memory += data
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @property
    def heard(self):
        return bytes(self.sent + self.received)


class Tunnel:
    """One end, from the committed configuration with other ports and other files of secrets."""

    def __init__(self, folder, name, side, accept, connect, **files):
        text = (ROOT / f"Deploy/tls/{side}.conf").read_text()
        for option, value in (("accept", f"127.0.0.1:{accept}"),
                              ("connect", f"127.0.0.1:{connect}"), *files.items()):
            text, count = re.subn(rf"^{option} = .*$", f"{option} = {value}", text, flags=re.M)
            check(count == 1, f"{side}.conf sets {option} {count} times")
        file = folder / f"{name}.conf"
        file.write_text(text)
        self.port, self.log = accept, folder / f"{name}.log"
        self.process = start(self.log, "stunnel", file)
        wait_for(f"stunnel {name}", lambda: "Configuration successful" in self.log.read_text()
                 or self.process.poll() is not None, seen=self.log.read_text)
        check(self.process.poll() is None, f"stunnel {name} ended:\n{self.log.read_text()}")

    def reload(self):
        before = self.log.read_text().count("Configuration successful")
        self.process.send_signal(signal.SIGHUP)
        wait_for("a reload", seen=self.log.read_text, condition=lambda:
                 self.log.read_text().count("Configuration successful") > before)


def keys(path, *lines):
    """A key file as the README makes it: nobody else may read it, not even for a moment."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write("".join(f"{name}:{key}\n" for name, key in lines))
    return path


def answer_to(port, data):
    """What comes back until the other end closes; a reset counts as closing."""
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), patience()) as connection:
        try:
            connection.sendall(data)
            while part := connection.recv(4096):
                received += part
        except ConnectionError:
            pass
        except TimeoutError:
            sys.exit(f"port {port} keeps a stranger's connection open; "
                     f"it sent {bytes(received)!r}")
    return bytes(received)


def handshake_fails(port, newest):
    """Whether TLS without a key, and no newer than a version, is refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = newest
    with socket.create_connection(("127.0.0.1", port), patience()) as connection:
        try:
            context.wrap_socket(connection).close()
        except (ssl.SSLError, ConnectionError):
            return True
    return False


def server_hello(heard):
    """The extensions of the first ServerHello: number and content."""
    check(heard[:1] == b"\x16" and heard[5] == 2, "the answer does not begin with a ServerHello")
    position = 9 + 2 + 32
    position += 1 + heard[position] + 2 + 1
    end = position + 2 + int.from_bytes(heard[position:position + 2], "big")
    position += 2
    extensions = {}
    while position < end:
        number, length = (int.from_bytes(heard[position + k:position + k + 2], "big")
                          for k in (0, 2))
        extensions[number] = heard[position + 4:position + 4 + length]
        position += 4 + length
    return extensions


def run_file(folder, texts):
    data, path = folder / "records.jsonl", folder / "run.json5"
    data.write_text("".join(
        json.dumps({"id": f"person-{index}", "text": text, "label": "abc"[index % 3]}) + "\n"
        for index, text in enumerate(texts)))
    must("init", "--data", data, "--backbone", BACKBONE,
         "--labels", "a,b,c", "--shards", 1, "--slices", 2, "--sequences", 1, "--output", path)
    text = path.read_text()
    text = text.replace('"run.lethe"', json.dumps(str(folder / "data")))
    path.write_text(text.replace("epochs: 3", "epochs: 2"))
    return path


def main(folder):
    begun = time.monotonic()
    texts = [f"a {secrets.token_hex(12)} {WORDS[index % 10]} tree" for index in range(24)]
    needles = [word.encode() for text in texts for word in text.split() if len(word) == 24]
    needles += [b"person-", b"tiny-bert"]
    path = run_file(folder, texts)
    start(folder / "log", LETHE, "coordinator", "--run", path)
    endpoint = folder / "data/endpoint.json"
    wait_for("the coordinator's start", endpoint.exists, seen=(folder / "log").read_text)
    plain_port = int(json.loads(endpoint.read_text())["workers"].rpartition(":")[2])

    # worker -> stunnel -> outside -> stunnel -> inside -> coordinator
    first, second, wrong = (secrets.token_hex(32) for _ in range(3))
    inside = Listener(plain_port)
    server_keys = keys(folder / "psk", ("site", first))
    server = Tunnel(folder, "server", "coordinator", free_port(), inside.port,
                    PSKsecrets=server_keys)
    outside = Listener(server.port)
    client = Tunnel(folder, "client", "worker", free_port(), outside.port,
                    PSKsecrets=keys(folder / "site.psk", ("site", first)))
    start(folder / "log", LETHE, "worker", "--run", path,
          "--coordinator", f"127.0.0.1:{client.port}")
    must("train", "--watch", "--timeout", whole(10), "--run", path)

    check(inside.connections >= 1, "the worker did not come through the tunnel")
    for needle in needles:
        check(needle not in outside.heard, "a record crossed the network in clear")
    seen = sum(needle in inside.heard for needle in needles[:24])
    check(seen == 24, f"only {seen} of 24 records seen behind the tunnel: the search is blind")
    extensions = server_hello(bytes(outside.received))
    check(extensions.get(SUPPORTED_VERSIONS) == b"\x03\x04", "it is not TLS 1.3")
    check(PRE_SHARED_KEY in extensions, "the handshake did not use the key")
    check(KEY_SHARE in extensions, "the key exchange is not ephemeral")
    print(f"trained through TLS 1.3 with a pre-shared key: {len(outside.heard)} bytes outside,"
          f" none of {len(needles)} words in them; 24 records in clear behind it")

    frame = bytes([9, 0, 0, 0, 2]) + bytes(8)
    passed = inside.connections

    def passes(name, line):
        """Whether a worker's end with this key reaches the coordinator."""
        before = inside.connections
        other = Tunnel(folder, name, "worker", free_port(), server.port,
                       PSKsecrets=keys(folder / f"{name}.psk", line))
        answer = answer_to(other.port, frame)
        check(not answer or inside.connections > before, f"{name}: an answer from nowhere")
        return inside.connections > before

    check(not passes("wrong-key", ("site", wrong)), "a wrong key was let in")
    check(not passes("unknown-name", ("other", first)), "a key of an unknown name was let in")
    answer = answer_to(server.port, frame)
    check(answer[:1] in (b"", b"\x15"), "plain text got more than an alert")
    check(handshake_fails(server.port, ssl.TLSVersion.TLSv1_3), "TLS without a key was let in")
    check(handshake_fails(server.port, ssl.TLSVersion.TLSv1_2), "TLS 1.2 was let in")
    check(inside.connections == passed, "something refused still reached the coordinator")
    print("refused: a wrong key, an unknown name, plain text, TLS without a key, TLS 1.2")

    check(not passes("early", ("site-2", second)), "a key was let in before it was added")
    keys(server_keys, ("site", first), ("site-2", second))
    server.reload()
    check(passes("new", ("site-2", second)), "the new key is not let in")
    check(passes("old", ("site", first)), "the old key is refused while both stand")
    keys(server_keys, ("site-2", second))
    server.reload()
    check(not passes("revoked", ("site", first)), "a revoked key was let in")
    check(passes("stays", ("site-2", second)), "the new key is refused once it is alone")
    print("rotated: both keys, then the new one alone")

    read_metrics(folder, path, json.loads(endpoint.read_text())["http"])
    print(f"{time.monotonic() - begun:.1f} s in all")


def read_metrics(folder, run, address):
    """What Prometheus does: HTTPS to http.conf's port, with a reader's token."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-subj", "/CN=lethe-coordinator", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", key, "-out", certificate], check=True, capture_output=True)
    door = Tunnel(folder, "http", "http", free_port(), int(address.rpartition(":")[2]),
                  cert=certificate, key=key)
    _, identifier, _, _, secret = must("key", "new", "--name", "watch", "--role", "reader",
                                       "--run", run).split()
    context = ssl.create_default_context(cafile=certificate)

    def status(path, token):
        connection = http.client.HTTPSConnection("localhost", door.port, timeout=patience(),
                                                 context=context)
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status

    check(status("/metrics", f"{identifier}.{secret}") == 200, "the metrics are not to be had")
    check(status("/metrics", f"{identifier}.{secret[::-1]}") == 401, "a wrong token was taken")
    check(status("/readyz", "") == 200, "a probe needs a token")
    answer = answer_to(door.port, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    check(b"ok" not in answer, "plain HTTP was answered")
    check(handshake_fails(door.port, ssl.TLSVersion.TLSv1_2), "HTTPS over TLS 1.2 was let in")
    print("HTTPS: metrics with a reader's token; refused: another token, plain HTTP, TLS 1.2")


if __name__ == "__main__":
    with workshop("check-tls") as place:
        main(place)
