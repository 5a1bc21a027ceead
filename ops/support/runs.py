"""Runs over the tiny BERT with real processes, for crash-test.py and chaos.py."""
import hmac
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections import Counter
from pathlib import Path

from waiting import PACE, Late, patience, wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
LETHE = os.environ.get("LETHE", str(ROOT / ".build/release/lethe"))
BACKBONE = ROOT / "Tests/Fixtures/tiny-bert/model"
WORDS = "bird tree bread stone river small green old house animal".split()


def tool(*arguments):
    """Runs lethe; its exit code, output and complaints."""
    done = subprocess.run([LETHE, *map(str, arguments)], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def must(*arguments):
    """What lethe prints, or the end of the script with its complaint."""
    code, output, errors = tool(*arguments)
    if code:
        raise SystemExit(f"lethe {arguments[0]}: {errors or output}")
    return output


def whole(quiet):
    """Patience in whole seconds, as lethe's --timeout takes it."""
    return round(patience(quiet))


def record_line(identifier, index, text=None):
    words = [WORDS[(index * 7 + k * k * 3) % 10] for k in range(3 + index % 7)]
    return json.dumps({
        "id": identifier, "text": text or " ".join(words), "label": "abc"[index % 3]}) + "\n"


class Unanswered(Exception):
    """The coordinator did not answer a whole reply: nothing was acknowledged."""


class Run:
    """A run directory in a folder of its own, with the processes on it."""

    def __init__(self, folder, lines, epochs=1, policy="manual", directory=None, shape=(2, 2, 2),
                 labels="a,b,c"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.directory = Path(directory or self.folder / "data")
        self.run_file = self.folder / "run.json5"
        self.log = self.folder / "log"
        self.coordinator = None
        self.workers = []
        data = self.folder / "records.jsonl"
        data.write_text("".join(lines))
        shards, slices, sequences = shape
        code, _, errors = tool(
            "init", "--data", data, "--backbone", BACKBONE, "--labels", labels,
            "--shards", shards, "--slices", slices, "--sequences", sequences,
            "--partition-key", "5a" * 32, "--output", self.run_file)
        if code:
            raise SystemExit(f"lethe init: {errors}")
        text = self.run_file.read_text()
        text = text.replace('"run.lethe"', json.dumps(str(self.directory)))
        text = text.replace("epochs: 3", f"epochs: {epochs}")
        text = re.sub(r"repair: \{.*?\}", f'repair: {{ policy: "{policy}" }}', text)
        self.run_file.write_text(text)

    def copy(self, folder):
        """The same run, as it lies on disk now, elsewhere."""
        other = object.__new__(Run)
        other.folder = Path(folder)
        other.folder.mkdir(parents=True)
        other.directory = other.folder / "data"
        shutil.copytree(self.directory, other.directory)
        other.run_file = other.folder / "run.json5"
        other.run_file.write_text(
            self.run_file.read_text().replace(str(self.directory), str(other.directory)))
        other.log = other.folder / "log"
        other.coordinator, other.workers = None, []
        return other

    def start(self, prefix=(), quiet=1, must=True, limit=None):
        """Starts the coordinator; seconds until it is ready, or None if it ended before.

        That takes `quiet` seconds on a quiet machine; `limit` as in `wait_for`.
        """
        log = open(self.log, "ab")
        begin = time.monotonic()
        self.coordinator = subprocess.Popen(
            [*prefix, LETHE, "coordinator", "--run", str(self.run_file)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        endpoint = {}

        def is_ready():
            # Before the look at what it wrote: it may write and end in between.
            has_ended = self.coordinator.poll() is not None
            try:
                endpoint.update(json.loads((self.directory / "endpoint.json").read_text()))
            except (OSError, ValueError):
                pass
            return endpoint.get("processIdentifier") == self.coordinator.pid or has_ended

        wait_for("the coordinator's start", is_ready, quiet, self.said, 0.002, limit)
        if endpoint.get("processIdentifier") == self.coordinator.pid:
            seconds = time.monotonic() - begin
            host, _, port = endpoint["http"].rpartition(":")
            self.address = (host, int(port))
            self.token = (self.directory / "token").read_text().strip()
            return seconds
        if must:
            raise SystemExit(f"the coordinator did not start:\n{self.said()}")
        return None

    def said(self):
        """The last lines of the log."""
        return self.log.read_text(errors="replace")[-2000:]

    def worker(self):
        with open(self.log, "ab") as log:
            process = subprocess.Popen(
                [LETHE, "worker", "--run", str(self.run_file)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.workers.append(process)
        return process

    def kill(self):
        if self.coordinator and self.coordinator.poll() is None:
            self.coordinator.kill()
        if self.coordinator:
            self.coordinator.wait()

    def stop(self):
        self.kill()
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait()
        self.workers = []

    def resident(self, field="VmRSS"):
        """Bytes of memory that the coordinator has."""
        status = Path(f"/proc/{self.coordinator.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+)", status)[1]) << 10

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.coordinator.pid}/fd"))

    def request_bytes(self, method, path, body=None):
        content = b"" if body is None else json.dumps(body).encode()
        return (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Authorization: Bearer {self.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        ).encode() + content

    def ask(self, method, path, body=None, quiet=1, limit=None):
        """Status and decoded body; raises Unanswered without a whole reply."""
        try:
            limit = limit or patience(quiet)
            with socket.create_connection(self.address, limit) as connection:
                connection.sendall(self.request_bytes(method, path, body))
                return read_reply(connection)
        except OSError as error:
            raise Unanswered(str(error))

    def delete(self, ids, quiet=1, limit=None):
        """Outcome by id."""
        body = {"ids": list(ids)}
        status, answer = self.ask("POST", "/v1/deletions", body, quiet, limit)
        if status != 200:
            raise Unanswered(f"status {status}: {answer}")
        return {item["id"]: item for item in answer["requests"]}

    def status(self):
        return self.ask("GET", "/v1/status")[1]

    def states(self, limit=None):
        answer = self.ask("GET", "/v1/deletions", limit=limit)[1]
        return [item["state"] for item in answer["deletions"]]

    def is_purged(self):
        states = self.states()
        return bool(states) and "masked" not in states

    def wait_purged(self):
        wait_for("every deletion to be purged", self.is_purged,
                 seen=lambda: dict(Counter(self.states())))

    def wait_workers(self, count):
        """Waits until `count` workers are connected."""
        wait_for(f"{count} workers", lambda: len(self.status()["workers"]) >= count,
                 seen=lambda: f"{self.status()['workers']}\n{self.said()}")

    def violations(self, acknowledged):
        """Ids that were acknowledged as deleted and are not."""
        ids, wrong = list(acknowledged), []
        for at in range(0, len(ids), 5000):
            answer = self.delete(ids[at:at + 5000])
            wrong += [i for i in ids[at:at + 5000] if answer[i]["outcome"] != "duplicate"]
        return wrong

    def leftovers(self, ids):
        """Where the purged records with these ids still are; ids look like r12."""
        names = {i.encode() for i in ids}
        problems = []
        for path in sorted((self.directory / "slices").glob("*.jsonl")):
            left = names & set(re.findall(rb"r\d+", path.read_bytes()))
            problems += [f"{len(left)} deleted ids in {path.name}"] if left else []
        # The table beside them has no ids, but tags under the run's key.
        key = bytes.fromhex((self.directory / "tombstone.key").read_text())
        table = (self.directory / "slices" / "records.table").read_bytes()
        left = [i for i in names if hmac.digest(key, i, "sha256") in table]
        return problems + ([f"{len(left)} deleted records' tags in the table"] if left else [])

    def journal_problem(self):
        """What lethe journal verify complains about.

        A live journal moves, so a complaint counts once two looks in a row have seen it, and no
        file has changed since before the first.
        """
        complaints, before = [], self.journal_files()

        def is_settled():
            nonlocal before
            code, output, errors = tool("journal", "verify", "--run", self.run_file)
            now = self.journal_files()
            if code == 0 or now != before:
                complaints.clear()
            elif code:
                complaints.append((output + errors).strip())
            before = now
            return code == 0 or len(complaints) == 2

        try:
            wait_for("a journal that stands still", is_settled, seen=lambda: complaints,
                     pause=0.1 * PACE)
        except Late as late:
            return str(late)
        return complaints[-1] if complaints else None

    def journal_files(self):
        """Every file of both copies, with its size and when it was written."""
        found = {}
        for path in self.directory.glob("journal-*/*"):
            try:
                facts = path.stat()
            except FileNotFoundError:
                continue
            found[path] = facts.st_size, facts.st_mtime_ns
        return found


def read_reply(connection):
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    head, separator, body = b"".join(parts).partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    if not separator or not length or len(body) < int(length[1]):
        raise Unanswered("the reply is not whole")
    try:
        return int(head.split()[1]), json.loads(body)
    except ValueError:
        raise Unanswered("the reply is damaged")


def report(name, problems, figures):
    """Prints the summary line; the exit code."""
    for problem in problems[:20]:
        print(f"{name}: VIOLATION: {problem}")
    print(f"{name}: {'FAILED' if problems else 'ok'}: {figures}", flush=True)
    return 1 if problems else 0
