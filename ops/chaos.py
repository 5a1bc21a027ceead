#!/usr/bin/env python3
"""A chaos campaign: one coordinator, four workers, and whatever can happen to them.

Every round does one random thing to real processes: SIGKILL, a pause, a drain, a cut cable, a
revoked key, or SIGKILL for the coordinator. Records are deleted and texts are classified all the
while. Afterwards the run is left in peace until every block stands and every deletion is certified,
and each of its blocks must have the bits that a quiet run with one worker makes of the retained
records alone.

Workers live in network namespaces of their own, all of them inside one that holds the whole
campaign, so that nothing of this machine's network is touched and nothing is left behind. Where
namespaces are not permitted, cables are SKIPPED. Prints a summary; ends with 0 when nothing was
violated, else with 1, and keeps the logs. Build first: swift build -c release
"""
import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))
from runs import LETHE, Run, Unanswered, record_line, tool, whole  # noqa: E402
from waiting import Late, patience, wait_for  # noqa: E402

# A round takes one card; the deck is shuffled anew when it is through.
DECK = {
    "kill a worker": 2, "short pause": 2, "long pause": 1, "drain": 2, "cut": 2,
    "revoke a key": 1, "kill the coordinator": 2,
}
SHAPE = (3, 3, 2)
RECORDS = 600
EPOCHS = 60
CHECKPOINT_SECONDS = 0.4
LEASE_SECONDS = 15
# The coordinator's own deadline for an answer.
ANSWER_SECONDS = 60
# On a quiet machine, as `waiting` takes it.
DRAIN_QUIET_SECONDS = 3
FINISH_QUIET_SECONDS = 60
# How long a worker may go on trying with a revoked key before its place gets another.
REVOCATION_SECONDS = 8
FORGETFUL = "a worker has seen deletions that this run does not know"
TEXTS = ["a bird", "the old stone house", "small green river tree", "bread"]


# MARK: - Networks


class Network:
    """A bridge with a cable to each worker's namespace. Ends with the processes in it."""

    MARK = "LETHE_CHAOS_NETWORK"
    ADDRESS = "198.18.0.1"
    PROBE = ("ip link add bridge0 type bridge && ip link add cable0 type veth peer name cable1"
             " && unshare --net true")

    def __init__(self):
        self.holders = []
        self.call("ip", "link", "set", "lo", "up")
        self.call("ip", "link", "add", "bridge0", "type", "bridge")
        self.call("ip", "addr", "add", f"{self.ADDRESS}/24", "dev", "bridge0")
        self.call("ip", "link", "set", "bridge0", "up")

    @classmethod
    def enter(cls):
        """Starts this program again inside a namespace; what forbids it, if something does."""
        unshare = ["unshare", "--net"]
        if os.geteuid() != 0:
            unshare = ["unshare", "--user", "--map-root-user", "--net"]
        for program in ("unshare", "nsenter", "ip"):
            if not shutil.which(program):
                return f"there is no {program} here"
        probe = subprocess.run([*unshare, "sh", "-c", cls.PROBE], capture_output=True, text=True)
        if probe.returncode:
            return probe.stderr.strip() or "network namespaces are not permitted"
        os.environ[cls.MARK] = "entered"
        os.execvp("unshare", [*unshare, sys.executable, *sys.argv])

    @staticmethod
    def call(*arguments):
        done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(map(str, arguments))}: {done.stderr.strip()}")

    def join(self, number):
        """A namespace with a cable; the words that start a program in it."""
        holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self.holders.append(holder)
        wait_for("a namespace of its own", pause=0.002, condition=lambda:
                 os.readlink(f"/proc/{holder.pid}/ns/net") != os.readlink("/proc/self/ns/net"))
        inside = ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
        self.call("ip", "link", "add", f"cable{number}", "type", "veth", "peer", "name", "eth0",
                  "netns", holder.pid)
        self.call("ip", "link", "set", f"cable{number}", "master", "bridge0", "up")
        self.call(*inside, "ip", "addr", "add", f"198.18.0.{10 + number}/24", "dev", "eth0")
        self.call(*inside, "ip", "link", "set", "eth0", "up")
        return inside

    def switch(self, number, word):
        self.call("ip", "link", "set", f"cable{number}", word)

    def end(self):
        for holder in self.holders:
            holder.kill()
            holder.wait()


class Place:
    """Where a worker lives: its key, its cable, and what is being done to it."""

    def __init__(self, number, prefix):
        self.number, self.prefix = number, prefix
        self.process, self.key, self.generation = None, None, 0
        # up, down, paused, cut, draining or revoked; since and until when.
        self.state, self.since, self.until = "down", 0.0, 0.0
        # When it was asked to drain.
        self.was_connected = False

    def set(self, state, seconds=0.0):
        self.state, self.since = state, time.monotonic()
        self.until = self.since + seconds


# MARK: - The campaign


class Campaign:
    def __init__(self, options, folder, network):
        self.options, self.folder, self.network = options, folder, network
        self.chance = random.Random(options.seed)
        self.began = time.monotonic()
        self.lock = threading.Lock()
        self.problems, self.tally, self.longest = [], Counter(), Counter()
        self.refusals, self.notes = Counter(), []
        self.quiet, self.nudge = threading.Event(), threading.Event()
        # Counts the coordinator's lives; changed before it is killed.
        self.life, self.is_up = 0, False
        self.asked, self.acknowledged, self.pending = set(), set(), []
        # Deletions by shards and the time in which they may have taken effect.
        self.under_way, self.deletion_times = {}, []
        self.peak, self.last_memory, self.checkpoints_seen = 0, 0, set()
        ids = [f"r{n}" for n in range(RECORDS)]
        self.lines = {i: record_line(i, n) for n, i in enumerate(ids)}
        self.run = self.make_run("chaos", ids)
        if network:
            text = self.run.run_file.read_text()
            self.run.run_file.write_text(
                text.replace('workers: "127.0.0.1:0"', f'workers: "{network.ADDRESS}:0"'))
        self.places = []
        for number in range(options.workers):
            self.places.append(Place(number, network.join(number) if network else []))

    def make_run(self, name, ids):
        return Run(self.folder / name, [self.lines[i] for i in ids], epochs=EPOCHS,
                   policy="eager", shape=SHAPE)

    def say(self, text):
        print(f"[{time.monotonic() - self.began:6.1f} s] {text}", flush=True)

    def violated(self, text):
        with self.lock:
            self.problems.append(text)
        self.say(f"VIOLATION: {text}")

    def note_longest(self, what, seconds):
        with self.lock:
            self.longest[what] = max(self.longest[what], seconds)

    def ask(self, method, path, body=None):
        """Status and answer. A living coordinator must answer, and with an error only as said."""
        life, was_up = self.life, self.is_up
        begun = time.monotonic()
        try:
            status, answer = self.run.ask(method, path, body, ANSWER_SECONDS / 10 + 6)
        except Unanswered as error:
            if was_up and life == self.life:
                self.violated(f"{method} {path}: a living coordinator did not answer: {error}")
            raise
        self.note_longest(f"{method} {path.split('?')[0]}", time.monotonic() - begun)
        if status >= 500:
            reason = answer.get("detail", "")
            with self.lock:
                self.refusals[reason] += 1
            if status != 503 or path != "/v1/predictions" or FORGETFUL in reason:
                self.violated(f"{method} {path}: {status}: {reason}")
        return status, answer

    def get(self, path):
        status, answer = self.ask("GET", path)
        if status != 200:
            raise Unanswered(f"{path}: {status}")
        return answer

    # MARK: Clients

    def deleting(self):
        """Deletes one to three records at random times, and when nudged; repeats what was not
        answered until it is."""
        chance = random.Random(self.options.seed + 1)
        while True:
            if not self.pending:
                self.nudge.wait(chance.expovariate(1 / 2))
                self.nudge.clear()
                if self.quiet.is_set():
                    return
                if len(self.asked) >= RECORDS // 2:
                    continue
                left = sorted(set(self.shards) - self.asked)
                self.pending = chance.sample(left, chance.choice((1, 1, 1, 2, 3)))
            self.delete_pending()
            if self.pending:
                time.sleep(0.1)

    def delete_pending(self):
        batch, begun = self.pending, time.monotonic()
        with self.lock:
            self.under_way[begun] = {self.shards[i] for i in batch}
        try:
            status, answer = self.ask("POST", "/v1/deletions", {"ids": batch})
        except Unanswered:
            if not self.asked.issuperset(batch):
                self.tally["deletion requests cut off"] += 1
            self.asked.update(batch)
            return
        finally:
            with self.lock:
                shards = self.under_way.pop(begun)
                self.deletion_times.append((shards, begun, time.monotonic()))
        if status != 200:
            self.violated(f"a deletion was answered with {status}: {answer}")
        for item in answer.get("requests", []):
            if item["outcome"] == "duplicate" and item["id"] in self.asked:
                self.tally["deletions that a cut off request had made"] += 1
            elif item["outcome"] != "accepted":
                self.violated(f"the deletion of {item['id']} was {item['outcome']}")
        self.asked.update(batch)
        self.acknowledged.update(batch)
        self.pending = []

    def predicting(self, number):
        chance = random.Random(self.options.seed + 10 + number)
        while not self.quiet.is_set():
            time.sleep(chance.expovariate(1 / 0.8))
            try:
                self.predict_once(chance)
            except Unanswered:
                self.tally["predictions cut off"] += 1

    def predict_once(self, chance):
        begun = time.monotonic()
        texts = chance.sample(TEXTS, chance.randint(1, len(TEXTS)))
        status, answer = self.ask(
            "POST", "/v1/predictions", {"records": [{"text": text} for text in texts]})
        if status != 200:
            self.tally["predictions refused as unavailable"] += 1
            return
        self.tally["predictions"] += 1
        # Blocks only ever come back; unless a deletion was about in between, what was served must
        # still stand.
        for prefix in answer["predictions"][0]["shards"]:
            lineage = self.get(f"/v1/lineage/shards/{prefix['shard']}")
            blocks = lineage["sequences"][prefix["sequence"]]["blocks"][:prefix["depth"]]
            if all(block["state"] == "trained" for block in blocks):
                self.tally["served prefixes checked"] += 1
            elif self.deletions_since(begun, prefix["shard"]):
                self.tally["served prefixes too close to a deletion to tell"] += 1
            else:
                self.violated(f"a prediction names {prefix}, but the blocks are {blocks}")

    def deletions_since(self, begun, shard):
        with self.lock:
            return any(shard in shards for shards in self.under_way.values()) or any(
                shard in shards and end >= begun for shards, _, end in self.deletion_times)

    # MARK: Processes

    def start_coordinator(self):
        seconds = self.run.start(must=False)
        if seconds is None:
            raise SystemExit(f"the coordinator did not start; see {self.run.log}")
        self.is_up = True
        self.note_longest("start of the coordinator", seconds)

    def start_worker(self, place):
        """Starts it anew, with another key if it has none."""
        if place.key is None:
            place.generation += 1
            name = f"place{place.number}-{place.generation}"
            place.key = self.folder / f"{name}.key"
            self.key_tool("new", "--name", name, "--role", "worker", "--output", place.key)
        endpoint = json.loads((self.run.directory / "endpoint.json").read_text())
        with open(self.folder / f"worker-{place.number}.log", "ab") as log:
            place.process = subprocess.Popen(
                [*place.prefix, LETHE, "worker", "--run", str(self.run.run_file),
                 "--coordinator", endpoint["workers"], "--key", str(place.key),
                 "--checkpoint-seconds", str(CHECKPOINT_SECONDS)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        place.set("up")

    def key_tool(self, *arguments):
        code, output, errors = tool("key", *arguments, "--run", self.run.run_file)
        if code:
            self.violated(f"lethe key {arguments[0]}: {output}{errors}")

    def is_connected(self, place):
        suffix = f"-{place.process.pid}"
        return any(w["name"].endswith(suffix) for w in self.get("/v1/status")["workers"])

    def tend(self):
        """Undoes what is over, and looks whether all is as it should be."""
        for place in self.places:
            try:
                self.tend_place(place)
            except Unanswered:
                pass
        if self.is_up and self.run.coordinator.poll() is not None:
            self.violated(f"the coordinator ended by itself: {self.run.coordinator.returncode}")
            self.is_up, self.life = False, self.life + 1
            self.start_coordinator()
        self.measure()

    def tend_place(self, place):
        code, now = place.process and place.process.poll(), time.monotonic()
        ended, late = code is not None or place.process is None, now >= place.until
        if place.state == "down":
            if late:
                self.start_worker(place)
        elif place.state == "draining":
            self.tend_draining(place, code, late)
        elif place.state == "revoked":
            self.tend_revoked(place, code, late)
        elif ended:
            self.violated(f"worker {place.number} ended by itself with {code} when {place.state}")
            place.set("down", 1)
        elif late and place.state in ("paused", "cut"):
            self.mend(place)

    def mend(self, place):
        if place.state == "paused":
            place.process.send_signal(signal.SIGCONT)
        if place.state == "cut":
            self.network.switch(place.number, "up")
        away = time.monotonic() - place.since
        self.note_longest(f"worker {place.state}", away)
        if away > LEASE_SECONDS:
            self.tally[f"workers {place.state} for longer than a lease"] += 1
        place.set("up")

    def tend_draining(self, place, code, late):
        if code is not None:
            self.note_longest("drain", time.monotonic() - place.since)
            # One that has only begun to start has nothing to hand over, and just ends.
            if code != 0 and (code != -signal.SIGTERM or place.was_connected):
                self.violated(f"worker {place.number} drained and ended with {code}")
            place.set("down", self.chance.uniform(0, 2))
        elif late:
            away = time.monotonic() - place.since
            self.violated(f"worker {place.number} does not end within {away:.0f} s of SIGTERM")
            place.process.kill()
            place.process.wait()
            place.set("down")

    def tend_revoked(self, place, code, late):
        if code is not None:
            self.note_longest("end of a worker with a revoked key", time.monotonic() - place.since)
            self.tally["workers ended by their key's revocation"] += 1
        elif late:
            if self.is_connected(place):
                # Its connection is to end; only how soon is a matter of pace.
                away = time.monotonic() - place.since
                if away < REVOCATION_SECONDS + patience():
                    return
                self.violated(f"worker {place.number} stays connected with a revoked key, "
                              f"for {away:.0f} s now")
            self.tally["workers that went on trying with a revoked key"] += 1
            place.process.kill()
            place.process.wait()
        else:
            return
        place.key = None
        place.set("down", self.chance.uniform(0, 1))

    def measure(self):
        try:
            text = Path(f"/proc/{self.run.coordinator.pid}/status").read_text()
            self.peak = max(self.peak, int(re.search(r"VmHWM:\s*(\d+)", text)[1]))
            self.last_memory = int(re.search(r"VmRSS:\s*(\d+)", text)[1])
        except (OSError, TypeError):
            pass
        for path in (self.run.directory / "checkpoints").glob("*"):
            try:
                self.checkpoints_seen.add((path.name, path.stat().st_mtime_ns))
            except OSError:
                pass

    def rest(self, seconds):
        end = time.monotonic() + seconds
        while True:
            self.tend()
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.1))

    # MARK: Rounds

    def rounds(self):
        deck = []
        for number in range(1, self.options.rounds + 1):
            while not deck:
                deck = [card for card, count in DECK.items() for _ in range(count)
                        if self.network or card != "cut"]
                self.chance.shuffle(deck)
            card = deck.pop()
            said = self.play(card)
            self.tally[card] += 1
            self.say(f"round {number}: {said}")
            self.rest(self.chance.uniform(0.3, 3.0))
        self.wait_for_teeth()

    def wait_for_teeth(self):
        """Goes on until what the campaign is about has been seen, however slowly that comes."""
        def is_seen():
            self.tend()
            return (self.acknowledged and self.checkpoints_seen
                    and self.tally["served prefixes checked"])

        try:
            wait_for("a deletion, a checkpoint on disk and a prediction that was checked", is_seen,
                     pause=0.1, seen=lambda: (
                         f"{len(self.acknowledged)} deletions, {len(self.checkpoints_seen)} "
                         f"checkpoints, {dict(self.tally)}"))
        except Late as late:
            self.violated(f"the campaign has no teeth: {late}")

    def play(self, card):
        if card == "kill the coordinator":
            return self.kill_coordinator()
        states = ("up", "paused", "cut") if card == "kill a worker" else ("up",)
        while not (fit := [place for place in self.places if place.state in states]):
            self.rest(0.1)
        place = self.chance.choice(fit)
        text = f"{card}, worker {place.number}"
        if card == "kill a worker":
            was = place.state
            place.process.kill()
            place.process.wait()
            if was == "cut":
                self.network.switch(place.number, "up")
            place.set("down", self.chance.uniform(0.2, 5))
            return f"{text}, which was {was}"
        if card == "drain":
            place.was_connected = self.is_connected(place)
            place.process.send_signal(signal.SIGTERM)
            place.set("draining", patience(DRAIN_QUIET_SECONDS))
            return text
        if card == "revoke a key":
            return self.revoke(place)
        if card == "cut":
            seconds = self.chance.uniform(1, 25)
            self.network.switch(place.number, "down")
            place.set("cut", seconds)
        else:
            seconds = self.chance.uniform(0.3, 8) if card == "short pause" else \
                self.chance.uniform(LEASE_SECONDS + 0.5, LEASE_SECONDS + 4)
            place.process.send_signal(signal.SIGSTOP)
            place.set("paused", seconds)
        return f"{text}, for {seconds:.1f} s"

    def revoke(self, place):
        old = f"place{place.number}-{place.generation}"
        self.key_tool("revoke", old)
        place.set("revoked", REVOCATION_SECONDS)
        return f"revoke a key, {old}"

    def kill_coordinator(self):
        # A deletion on its way, most times.
        if self.chance.random() < 0.7:
            self.nudge.set()
            time.sleep(self.chance.uniform(0, 0.008))
        self.is_up, self.life = False, self.life + 1
        self.measure()
        self.run.kill()
        pause = self.chance.choice((0, self.chance.uniform(0, 3)))
        end = time.monotonic() + pause
        while time.monotonic() < end:
            time.sleep(0.05)
        self.start_coordinator()
        known = sorted(self.acknowledged)
        sample = self.chance.sample(known, min(30, len(known)))
        if sample:
            self.check_deleted(sample)
        return f"kill the coordinator, for {pause:.1f} s"

    def check_deleted(self, ids):
        _, answer = self.ask("POST", "/v1/deletions", {"ids": ids})
        for item in answer["requests"]:
            if item["outcome"] != "duplicate":
                self.violated(f"{item['id']} was acknowledged as deleted and is not")

    # MARK: Beginning and end

    def begin(self):
        self.start_coordinator()
        self.shards = {}
        for i in self.chance.sample(sorted(self.lines), RECORDS // 2 + 3):
            self.shards[i] = self.get(f"/v1/lineage/records?id={i}")["shard"]
        for place in self.places:
            self.start_worker(place)
        self.ask("POST", "/v1/train")
        self.clients = [threading.Thread(target=self.deleting, daemon=True)]
        self.clients += [threading.Thread(target=self.predicting, args=(n,), daemon=True)
                         for n in range(4)]
        for client in self.clients:
            client.start()
        self.say(f"{RECORDS} records, {SHAPE[0]} shards x {SHAPE[1]} slices x {SHAPE[2]} sequences,"
                 f" {len(self.places)} workers"
                 + (" in namespaces of their own" if self.network else ""))

    def calm(self):
        """Ends the clients and undoes all that is still being done."""
        for place in self.places:
            if place.state in ("paused", "cut"):
                self.mend(place)
            elif place.state == "down":
                place.until = 0
        self.quiet.set()
        self.nudge.set()
        while any(client.is_alive() for client in self.clients):
            self.rest(0.1)

    def finish(self):
        """Waits until every block stands and every deletion is certified."""
        self.ask("POST", "/v1/train")
        status, deletions, states = {}, [], Counter()

        def is_finished():
            nonlocal status, deletions, states
            self.tend()
            status, deletions = self.get("/v1/status"), self.get("/v1/deletions")["deletions"]
            states = Counter(deletion["state"] for deletion in deletions)
            return status["blocksTrained"] == status["blocks"] and set(states) <= {"certified"} \
                and all(place.state == "up" for place in self.places)

        try:
            wait_for("every block to stand and every deletion to be certified", is_finished,
                     FINISH_QUIET_SECONDS, pause=0.2, seen=lambda: (
                         f"{dict(states)}, workers "
                         f"{[place.state for place in self.places]}, {status}"))
        except Late as late:
            self.violated(str(late))
            return status
        self.tally["deletions certified"] = states["certified"]
        for deletion in deletions:
            masked, *later = (datetime.fromisoformat(deletion[f"{state}At"])
                              for state in ("masked", "purged", "repaired", "certified"))
            for word, at in zip(("purged", "repaired", "certified"), later):
                self.note_longest(f"masked to {word}", (at - masked).total_seconds())
        return status

    def check_end(self, status):
        self.check_deleted(sorted(self.acknowledged))
        if status["records"] != RECORDS - len(self.acknowledged):
            self.violated(f"{status['records']} records are left")
        if status["alarms"]:
            self.violated(f"alarms: {status['alarms']}")
        code, output, errors = tool("verify", "--run", self.run.run_file)
        if code:
            self.violated(f"lethe verify: {output}{errors}")
        if problem := self.run.journal_problem():
            self.violated(f"lethe journal verify: {problem}")
        for i in self.chance.sample(sorted(self.acknowledged), min(5, len(self.acknowledged))):
            receipt = self.folder / f"{i}.receipt"
            tool("receipt", "show", i, "--output", receipt, "--run", self.run.run_file)
            code, output, errors = tool("receipt", "verify", receipt, "--id", i)
            if code:
                self.violated(f"receipt of {i}: {output}{errors}")
        for problem in self.run.leftovers(self.acknowledged):
            self.violated(problem)

    @staticmethod
    def outcome(run):
        """Artifacts by slot, those on disk by the SHA-256 of what is there, and some answers."""
        blocks = {}
        for shard in range(SHAPE[0]):
            lineage = run.ask("GET", f"/v1/lineage/shards/{shard}")[1]
            for sequence in lineage["sequences"]:
                for block in sequence["blocks"]:
                    slot = f"{shard}/{sequence['sequence']}/{block['stage']}"
                    # None where it is not trained: a violation was said then.
                    blocks[slot] = block.get("artifact")
        found = {hashlib.sha256(path.read_bytes()).hexdigest()
                 for path in (run.directory / "artifacts").rglob("*") if path.is_file()}
        answer = run.ask(
            "POST", "/v1/predictions", {"records": [{"text": text} for text in TEXTS]})
        return blocks, found, answer

    def compare(self):
        """With a run that never knew the deleted records, and was left in peace."""
        mine, files, answer = self.outcome(self.run)
        if files != set(mine.values()):
            self.violated(f"artifacts on disk: {len(files)}, of blocks: {len(set(mine.values()))}")
        self.stop()
        retained = [i for i in self.lines if i not in self.acknowledged]
        quiet = self.make_run("quiet", retained)
        try:
            quiet.start()
            quiet.worker()
            code, output, errors = tool(
                "train", "--watch", "--timeout", whole(FINISH_QUIET_SECONDS),
                "--run", quiet.run_file)
            if code:
                return self.violated(
                    f"the quiet run did not finish: {output}{errors}; {quiet.status()}")
            theirs, _, their_answer = self.outcome(quiet)
        finally:
            quiet.stop()
        wrong = [slot for slot in theirs if theirs[slot] is None or mine.get(slot) != theirs[slot]]
        for slot in wrong:
            self.violated(f"block {slot} is {mine.get(slot)}, and {theirs[slot]} in the quiet run")
        if answer != their_answer:
            self.violated("predictions differ from the quiet run's")
        self.tally["blocks bit-equal to the quiet run's"] = len(theirs) - len(wrong)
        self.say(f"{len(theirs) - len(wrong)} of {len(theirs)} blocks have the quiet run's bits, "
                 f"from {len(retained)} records")

    def stop(self):
        self.quiet.set()
        self.is_up, self.life = False, self.life + 1
        for place in self.places:
            if place.process and place.process.poll() is None:
                place.process.kill()
            if place.process:
                place.process.wait()
        self.run.stop()

    def summary(self):
        self.tally["records deleted"] = len(self.acknowledged)
        self.tally["checkpoints seen on disk"] = len(self.checkpoints_seen)
        rows = [(what, str(count)) for what, count in sorted(self.tally.items())]
        rows += [(f"503: {reason}", str(n)) for reason, n in sorted(self.refusals.items())]
        rows += [(f"longest: {what}", f"{seconds:.2f} s")
                 for what, seconds in sorted(self.longest.items())]
        rows.append(("coordinator's memory, most", f"{self.peak / 1024:.0f} MiB"))
        rows.append(("coordinator's memory, at the end", f"{self.last_memory / 1024:.0f} MiB"))
        width = max(len(what) for what, _ in rows)
        for what, value in rows:
            print(f"  {what:{width}}  {value}")
        print(f"chaos: {'FAILED' if self.problems else 'ok'}: {self.options.rounds} rounds, "
              f"seed {self.options.seed}, {len(self.problems)} violations, "
              f"{time.monotonic() - self.began:.0f} s", flush=True)

    def perform(self):
        try:
            self.begin()
            self.rounds()
            self.say("quiet")
            self.calm()
            status = self.finish()
            self.say("every block stands and every deletion is certified")
            self.check_end(status)
            self.compare()
        except Unanswered as error:
            self.violated(f"no answer: {error}")
        finally:
            self.stop()
        self.summary()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, help="things that happen (100)")
    parser.add_argument("--seed", type=int, default=1, help="of every random choice (1)")
    parser.add_argument("--workers", type=int, default=4, help="places for workers (4)")
    options = parser.parse_args()
    if not os.access(LETHE, os.X_OK):
        print(f"no executable at {LETHE}; swift build -c release", file=sys.stderr)
        return 69
    if Network.MARK not in os.environ:
        print(f"chaos: cut cables: SKIPPED: {Network.enter()}", flush=True)
        network = None
    else:
        network = Network()
    # So that whatever ends this program also ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="lethe-chaos-"))
    is_clean = False
    try:
        campaign = Campaign(options, folder, network)
        campaign.perform()
        is_clean = not campaign.problems
    finally:
        if network:
            network.end()
        if is_clean:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"chaos: logs and the run are kept in {folder}", flush=True)
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
