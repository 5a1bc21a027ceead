#!/usr/bin/env python3
"""Attacks a coordinator of the built executable over real sockets, beside honest traffic.

    strangers    every frame type before authentication, and in each state of the handshake
    frames       changed, replayed, reordered, dropped, truncated, reflected frames on a session
    bombs        lengths that no frame has
    slow         512 sockets of a byte a second, half-open ones, and peers that never read
    descriptors  a coordinator with few descriptors, and all of them taken
    storm        a stranger who connects and connects

Fails on a frame that was accepted, on state that changed, on a coordinator that ended, on memory
and on deadlines that pass by more than a slow machine explains. The honest workers' waiting times
are printed; unless --quick, as ops/test says, they must also stay below twice the quiet ones.
Needs Python's standard library. Build first: swift build -c release
"""
import argparse
import heapq
import json
import os
import random
import resource
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "Tests/Conformance"), str(ROOT / "ops/support")]
sys.dont_write_bytecode = True
import lethe_client as wire  # noqa: E402
import runs  # noqa: E402
from waiting import PACE, Late, patience, wait_for  # noqa: E402

MEGABYTE = 1 << 20
MEMORY_LIMIT = 64 * MEGABYTE
HANDSHAKE_SECONDS = 5
# How much later than its deadline a connection may end: the look at deadlines, a busy machine, and
# the time it waits in the kernel's queue before the coordinator knows of it.
SLACK_SECONDS = patience()
# How a deadline is said, in CoordinatorEnd: whoever should be refused at once is not to be refused
# by these.
DEADLINES = ("nothing more arrived", "the handshake took too long")


class Target:
    """A coordinator with keys, and what an attacker knows of it."""

    def __init__(self, folder, prefix=(), shape=(4, 2, 2)):
        self.run = runs.Run(
            folder, [runs.record_line(f"r{n}", n) for n in range(24)], policy="eager",
            shape=shape)
        self.run.start(prefix=prefix)
        self.port = self.endpoint()
        self.key = self.make_key("honest", "worker")
        self.serving_key = self.make_key("serving", "serve")
        self.backbone = backbone_digest()
        # Pinned: no block is ever finished here that would pin it.
        status, answer = self.run.ask("POST", "/v1/train", {"numericClass": "attack"})
        if status != 200:
            raise SystemExit(f"training was not begun: {answer}")

    def endpoint(self):
        data = json.loads((self.run.directory / "endpoint.json").read_text())
        return int(data["workers"].rpartition(":")[2])

    def make_key(self, name, role):
        path = self.run.folder / f"{name}.key"
        code, _, errors = runs.tool(
            "key", "new", "--name", name, "--role", role, "--output", path, "--run",
            self.run.run_file)
        if code:
            raise SystemExit(f"lethe key new: {errors}")
        return wire.Key.parse(path.read_text())

    def hello(self, name="attack"):
        return {
            "name": name, "host": name, "numericClass": "attack", "backbone": self.backbone,
            "trains": True, "serves": False}

    def connect(self, seconds=None):
        return socket.create_connection(("127.0.0.1", self.port), seconds or patience())

    def resident(self, field="VmRSS"):
        return self.run.resident(field)

    def descriptors(self):
        return self.run.descriptors()

    def is_alive(self):
        return self.run.coordinator.poll() is None

    def state(self):
        """What no attack may change."""
        status = self.run.status()
        return {
            name: status[name] for name in (
                "journalSequence", "records", "deleted", "blocks", "blocksTrained",
                "blocksMasked", "alarms")}

    def problems_since(self, before, what):
        if not self.is_alive():
            return [f"{what}: the coordinator ended"]
        try:
            after = self.state()
        except runs.Unanswered as error:
            return [f"{what}: the coordinator does not answer: {error}"]
        return [] if after == before else [f"{what}: state went from {before} to {after}"]


def backbone_digest():
    """As in Protocols/block-key.md."""
    names = ["config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"]
    files = [name for name in names if (runs.BACKBONE / name).exists()]
    return wire.sha256(wire.text("lethe-backbone-1") + wire.sequence(
        files, lambda name: wire.text(name) + wire.sha256((runs.BACKBONE / name).read_bytes())))


class Peer:
    """One connection that says whatever it wants."""

    def __init__(self, target, key=None, nonce=None):
        self.session = wire.Session(key or target.key, target.hello(), nonce)
        self.socket = target.connect()
        self.messages = []
        self.is_closed = False

    def close(self):
        self.socket.close()

    def send(self, data):
        """`False` where the coordinator has closed already."""
        try:
            self.socket.settimeout(patience())
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def receive(self, seconds):
        """Raw bytes that come within a time; empty if none, None once the stream has ended."""
        self.socket.settimeout(max(0.001, seconds))
        try:
            return self.socket.recv(1 << 16) or None
        except socket.timeout:
            return b""
        except OSError:
            return None

    def hear(self, seconds=None, enough=lambda message: False):
        """Opens what comes, until enough has, the stream has ended or the time is over."""
        end = time.monotonic() + (seconds or patience())
        while time.monotonic() < end and not self.is_closed:
            data = self.receive(end - time.monotonic())
            if data is None:
                self.is_closed = True
            elif data:
                written, messages = self.session.receive(data)
                if written:
                    self.send(written)
                self.messages += messages
                if any(enough(message) for message in messages):
                    return True
        return False

    def join(self):
        self.send(self.session.begin())
        if not self.hear(enough=lambda message: message["type"] == "welcome"):
            raise wire.ProtocolError(f"an honest worker was not welcomed; seen: {self.messages}")
        self.messages.clear()
        return self

    @property
    def is_refused(self):
        """Whether the connection was ended for what was said on it, and not by a deadline."""
        return self.is_closed and not any(
            message.get("reason") in DEADLINES for message in self.messages)

    def raw_end(self):
        """Everything that comes until the stream ends; whether it did."""
        end, data = time.monotonic() + patience(), b""
        while time.monotonic() < end:
            more = self.receive(end - time.monotonic())
            if more is None:
                return data, True
            data += more
        return data, False


# MARK: - before authentication


def bodies(target):
    """A well-formed body of every type a worker may send, as far as it has one."""
    digest = wire.sha256(b"x")
    lease = {"epoch": 1, "key": digest}
    work = {"steps": 1, "examples": 1, "seconds": 1.0, "gemmSeconds": 0.5, "finalLoss": 0.0,
            "slicesKept": 0, "slicesComputed": 0}
    messages = [
        dict(target.hello(), type="hello"), {"type": "requestWork"},
        {"type": "heartbeat", "epoch": 0, "step": 0, "totalSteps": 0},
        {"type": "fetchSlice", "slice": {"shard": 0, "slice": 0, "digest": digest}},
        {"type": "fetchArtifact", "digest": digest},
        dict(lease, **work, type="upload", artifact=b"x"),
        {"type": "failed", "epoch": 1, "kind": 1, "reason": "r"},
        {"type": "forgotten", "throughDeletion": 9}, {"type": "predictions", "logits": [[0.0]]},
        {"type": "predictionFailed", "reason": "r"},
        dict(lease, type="checkpoint", step=1, state=b"x"),
        {"type": "fetchCheckpoint", "key": digest}, {"type": "draining"},
    ]
    made = {}
    for message in messages:
        kind, head, content = wire.write_message(message)
        if content is not None:
            head += wire.u64(len(content)) + wire.sha256(content)
        made[kind] = head
    return made


def is_refusal(data):
    """Whether bytes are nothing but an unsealed turned away, and not for being late."""
    if len(data) < 21 or data[4] != 65 or struct.unpack_from("<I", data)[0] != len(data) - 4:
        return False
    message = wire.read_message(65, data[21:], b"")
    return message["cause"] in (1, 2) and message["reason"] not in DEADLINES


def strangers(target, options):
    before, problems, count = target.state(), [], 0
    known = bodies(target)
    forged = lambda kind, body: (  # noqa: E731
        wire.u32(17 + len(body) + 32) + wire.u8(kind) + wire.u64(1) + wire.u64(1) + body
        + wire.mac(bytes(32), body))
    for kind in range(256):
        body = known.get(kind, b"")
        for stage, frame in (
                ("opening", wire.unsealed(kind, body)), ("opening", forged(kind, body)),
                ("proof", wire.unsealed(kind, body or bytes(32))), ("proof", forged(kind, body))):
            if stage == "opening" and kind == wire.OPENING:
                frame = wire.unsealed(kind, b"lethewix" + bytes(52))
            peer = Peer(target)
            if stage == "proof":
                peer.send(peer.session.begin())
                while len(peer.session.buffer) < 87 and (data := peer.receive(patience())):
                    peer.session.buffer += data
            peer.send(frame)
            answer, ended = peer.raw_end()
            if not ended or not is_refusal(answer):
                problems.append(f"type {kind} as {stage}: {answer[:40].hex()}, ended {ended}")
            peer.close()
            count += 1
    # The key is proved, and something other than hello follows.
    for kind in range(256):
        if kind == 1:
            continue
        peer = Peer(target)
        peer.send(peer.session.begin())
        data = b""
        while len(data) < 87 and (more := peer.receive(patience())):
            data += more
        peer.session.buffer = b""
        hello, peer.session.send = peer.session.send, lambda message: b""
        proof, _ = peer.session.receive(data)
        peer.session.send = hello
        peer.send(proof + peer.session.seal(kind, 0, known.get(kind, b"")))
        try:
            peer.hear()
        except wire.ProtocolError:
            # Its refusal may come before the first sealed frame of this end.
            pass
        answered = [m["type"] for m in peer.messages if m["type"] != "turnedAway"]
        if answered or not peer.is_refused:
            problems.append(f"type {kind} in place of hello: {peer.messages}, "
                            f"ended {peer.is_closed}")
        peer.close()
        count += 1
    problems += target.problems_since(before, "strangers")
    return problems, f"{count} frames before authentication, all refused"


# MARK: - changed frames


def frames(target, options):
    """One change to an honest session each; a session ends with it."""
    chance = random.Random(options.seed)
    total = options.frames or (1_000 if options.quick else 10_000)
    before, problems, kinds, controls = target.state(), [], {}, 0
    known = bodies(target)
    # Types whose effect would be seen, by an answer or in the state.
    subjects = [2, 3, 4, 5, 6, 7, 8, 11, 12, 13]
    # Changes after which a frame may be of a length that it has not.
    waiting = ("bit", "byte", "length", "truncate", "join")
    old = Peer(target).join()
    recorded = [old.session.seal(3, 0, wire.u64(77) + wire.u32(1) + wire.u32(1)) for _ in range(4)]
    old.close()
    for number in range(total):
        peer = Peer(target).join()
        seal = peer.session.seal
        # With an epoch nobody has: `cancel` shows that the heartbeat was believed.
        beat = lambda epoch: seal(  # noqa: E731
            3, 0, wire.u64(epoch) + wire.u32(1) + wire.u32(1))
        honest = 0
        kind = chance.choice(subjects)
        first = seal(kind, number + 1 if kind in (4, 5, 6, 11, 12) else 0, known[kind])
        what = chance.choice([
            "bit", "bit", "bit", "byte", "replay", "reorder", "drop", "truncate", "extend",
            "reflect", "old", "direction", "tagless", "join", "length", "control"])
        if what == "bit":
            data = bytearray(first)
            place = chance.randrange(8 * len(data))
            data[place // 8] ^= 1 << place % 8
            said = bytes(data) + beat(9)
        elif what == "byte":
            data = bytearray(first)
            place = chance.randrange(len(data))
            data[place] = (data[place] + chance.randrange(1, 256)) % 256
            said = bytes(data) + beat(9)
        elif what == "replay":
            # The first is honest and answered once.
            peer.session.sent -= 1
            one = beat(8)
            said, honest = one + one, 1
        elif what == "reorder":
            said = beat(9) + first
        elif what == "drop":
            said = beat(9)
        elif what == "truncate":
            said = first[:chance.randrange(1, len(first))] + beat(9) + beat(9)
        elif what == "extend":
            # Honest up to its end; what it asked for may be answered.
            peer.session.sent -= 1
            first, honest = seal(3, 0, known[3]), 1
            said = first + bytes([chance.randrange(256)]) * chance.randrange(1, 40) + beat(9)
        elif what == "reflect":
            # Under the coordinator's key, as its own frame would come back.
            key, peer.session.sending_key = peer.session.sending_key, peer.session.receiving_key
            peer.session.sent -= 1
            said = beat(9)
            peer.session.sending_key = key
        elif what == "old":
            said = b"".join(recorded)
        elif what == "direction":
            peer.session.sent -= 1
            said = seal(chance.choice([64, 66, 68, 71, 73, 76]), 1, wire.u64(9))
        elif what == "tagless":
            peer.session.sent -= 1
            frame = beat(9)
            said = wire.u32(len(frame) - 36) + frame[4:-32] + beat(9)
        elif what == "join":
            # Two frames in one, under the second's tag.
            other = beat(9)
            body = first[4:-32] + other[4:-32]
            said = wire.u32(len(body) + 32) + body + other[-32:]
        elif what == "length":
            data = bytearray(first)
            struct.pack_into("<I", data, 0, chance.randrange(1 << 32))
            said = bytes(data) + beat(9)
        else:
            peer.session.sent -= 1
            said, honest = beat(8), 1
        kinds[what] = kinds.get(what, 0) + 1
        peer.send(said)
        if what == "control":
            if not peer.hear(enough=lambda message: message["type"] == "cancel"):
                problems.append(f"frame {number}: the control was not answered")
            controls += 1
            peer.close()
            continue
        # One that waits on, its end not being there, would be refused by a deadline.
        peer.hear(0.5 * PACE if what in waiting else None)
        believed = [m["type"] for m in peer.messages if m["type"] not in ("turnedAway", "head")]
        if len(believed) > honest:
            problems.append(f"frame {number}, {what} of type {kind}: {believed}")
        if not peer.is_refused and what not in waiting:
            problems.append(f"frame {number}, {what} of type {kind}: the connection stood; "
                            f"seen: {peer.messages}")
        peer.close()
        if len(problems) > 20 or not target.is_alive():
            break
    problems += target.problems_since(before, "frames")
    changed = sum(kinds.values()) - controls
    if changed < total // 2:
        problems.append(f"only {changed} frames were changed")
    return problems, f"{changed} changed frames, 0 accepted; {controls} honest controls answered"


# MARK: - lengths


def bombs(target, options):
    before, problems, count = target.state(), [], 0
    resident = target.resident()
    lengths = [0, 1, 16, 257, 65_537, 1 << 20, (1 << 20) + 50, 1 << 31, (1 << 31) - 1,
               (1 << 32) - 1]
    for length in lengths:
        for kind in (1, 6, 64, 124, 126, 127):
            for is_sealed in (False, True):
                if is_sealed and kind == 127 and 50 <= length <= 1_048_625:
                    continue
                if is_sealed and kind != 127 and 49 <= length <= 65_536:
                    continue
                if is_sealed and kind == 64 and length <= 1 << 20:
                    continue
                peer = Peer(target)
                if is_sealed:
                    peer.join()
                peer.send(wire.u32(length) + wire.u8(kind))
                if is_sealed:
                    peer.hear()
                    ended, said = peer.is_refused, peer.messages
                else:
                    said, ended = peer.raw_end()
                    ended = ended and is_refusal(said)
                if not ended:
                    problems.append(
                        f"length {length} of type {kind}: not refused at once; seen: {said}")
                peer.close()
                count += 1
    grown = target.resident() - resident
    if grown > MEMORY_LIMIT:
        problems.append(f"memory grew by {grown >> 20} MiB")
    problems += target.problems_since(before, "bombs")
    return problems, f"{count} impossible lengths refused; memory +{max(0, grown) >> 10} KiB"


# MARK: - honest work, measured


class Honest:
    """A worker that holds a lease, beats and reads its records; how long answers took."""

    def __init__(self, target):
        self.connection = wire.Connection(
            "127.0.0.1", target.port, target.key, target.hello("honest"), patience())
        self.lease = None
        self.times = []

    def hold(self):
        """Has a lease: the first, or another where one ran out while nobody measured."""
        connection = self.connection
        connection.beat()
        if self.lease is not None and connection.epoch and connection.hears(self.lease, 1):
            return
        self.lease = connection.request_work(patience())
        if self.lease is None:
            raise wire.ProtocolError(f"an honest worker got no lease in {patience():.0f} s")

    def turn(self):
        connection = self.connection
        begin = time.monotonic()
        if connection.fetch_slice(self.lease["slices"][0]) is None:
            raise wire.ProtocolError("an honest worker was refused the records of its lease")
        self.times.append(time.monotonic() - begin)
        for _ in range(3):
            begin = time.monotonic()
            connection.beat()
            if not connection.hears(self.lease, patience()):
                raise wire.ProtocolError(
                    f"an honest heartbeat was not answered in {time.monotonic() - begin:.0f} s")
            self.times.append(time.monotonic() - begin)
        time.sleep(0.003)

    def window(self, seconds):
        """The time that 99 of 100 answers stay below, in milliseconds."""
        self.hold()
        self.times = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn()
        self.times.sort()
        return 1000 * self.times[int(0.99 * (len(self.times) - 1))]


def measured(target, options, attack, problems, what):
    """Quiet windows and windows under attack, in turns.

    `attack()` starts one, returns once it is under way, and gives its end.
    """
    honest = Honest(target)
    seconds, rounds = (1.5, 2) if options.quick else (5, 5)
    honest.window(1)
    quiet, busy = [], []
    try:
        for _ in range(rounds):
            quiet.append(honest.window(seconds))
            finish = attack()
            try:
                busy.append(honest.window(seconds))
            finally:
                finish()
    except (wire.ProtocolError, wire.TurnedAway, OSError) as error:
        problems.append(f"{what}: honest work failed: {error}")
        return "honest work failed"
    finally:
        honest.connection.close()
    calm, loud = statistics.median(quiet), statistics.median(busy)
    if not options.quick and loud > 2 * calm:
        problems.append(f"{what}: honest p99 went from {calm:.2f} to {loud:.2f} ms")
    return f"honest p99 {calm:.2f} ms quiet, {loud:.2f} ms under attack"


# MARK: - slow peers


def slow_process(port, count, key_line):
    """Holds sockets that say a byte a second, in a process of its own.

    Whenever the coordinator closes one, the next takes its place, until standard input ends. Prints
    a line when all are there; in the end how many were closed, how long the longest lived and how
    many bytes were said.
    """
    import select
    # Slow peers are elsewhere: what they take from others must be the coordinator's time, not that
    # of the cores which this process happens to share with it.
    os.nice(19)
    done = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
    sockets, longest, closed, said, opened = {}, 0.0, 0, 0, 0
    frame = wire.Session(wire.Key.parse(key_line), {}).begin()
    poll = select.epoll()
    # When which descriptor says its next byte; a closed one's number may be a later one's.
    due = []

    def open_one():
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", port))
        number, now = connection.fileno(), time.monotonic()
        sockets[number] = [connection, now, 0]
        poll.register(number, select.EPOLLIN)
        # A third says nothing at all, as a peer that vanished in the handshake.
        if len(sockets) % 3:
            heapq.heappush(due, (now, number, now))

    while not done.is_set():
        for _ in range(min(16, count - len(sockets))):
            open_one()
            opened += 1
            if opened == count:
                print("begun", flush=True)
        for number, _ in poll.poll(0.01):
            connection, since, _ = sockets[number]
            try:
                if connection.recv(4096):
                    continue
            except BlockingIOError:
                continue
            except OSError:
                pass
            longest, closed = max(longest, time.monotonic() - since), closed + 1
            connection.close()
            del sockets[number]
        while due and due[0][0] <= time.monotonic():
            when, number, since = heapq.heappop(due)
            entry = sockets.get(number)
            if entry is None or entry[1] != since or entry[2] == len(frame):
                continue
            try:
                entry[0].send(frame[entry[2]:entry[2] + 1])
                entry[2], said = entry[2] + 1, said + 1
            except OSError:
                pass
            heapq.heappush(due, (when + 1, number, since))
        time.sleep(0.01)
    oldest = max((time.monotonic() - entry[1] for entry in sockets.values()), default=0)
    print(closed, max(longest, oldest), said, flush=True)


def never_reads(target, kind, body, count=4000):
    """A worker that asks and asks and does not take one answer."""
    peer = Peer(target).join()
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.socket.setblocking(False)
    waiting, sent = b"", 0
    # It says no more once nothing has been read from it for a while.
    moved, still = time.monotonic(), PACE
    while time.monotonic() < moved + still and sent < count:
        if not waiting:
            waiting, sent = peer.session.seal(kind, sent + 1, body), sent + 1
        try:
            waiting = waiting[peer.socket.send(waiting):]
            moved = time.monotonic()
        except BlockingIOError:
            time.sleep(0.005)
        except OSError:
            break
    return peer


def slow(target, options):
    before, problems = target.state(), []
    resident, lives = target.resident(), []
    peak = [resident]
    line = f"lethe-key-1 {target.key.identifier.hex()} worker honest {target.key.secret.hex()}\n"

    def attack():
        process = subprocess.Popen(
            [sys.executable, "-B", __file__, "--hold-slowly", str(target.port), "512", line],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        # Two with a key: one whose frame never ends, one that reads nothing.
        trickle = Peer(target).join()
        trickle.send(wire.u32(60_000) + b"\x03")
        deaf = never_reads(target, 3, wire.u64(5) + wire.u32(0) + wire.u32(0), 20_000)
        process.stdout.readline()

        def finish():
            peak.append(target.resident())
            output = process.communicate()[0].split()
            lives.append((int(output[0]), float(output[1]), int(output[2])))
            trickle.close()
            deaf.close()
        return finish

    figures = measured(target, options, attack, problems, "slow")
    closed, said = (sum(life[index] for life in lives) for index in (0, 2))
    longest = max((life[1] for life in lives), default=0)
    if longest > HANDSHAKE_SECONDS + SLACK_SECONDS:
        problems.append(f"a slow stranger lived {longest:.1f} s")
    problems += deadlines(target, options)
    peak.append(target.resident())
    grown = max(peak) - resident
    if grown > MEMORY_LIMIT:
        problems.append(f"memory grew by {grown >> 20} MiB")
    problems += target.problems_since(before, "slow")
    return problems, (
        f"{figures}; {closed} slow strangers closed after {said} bytes, the longest lived "
        f"{longest:.1f} s; memory +{max(0, grown) >> 10} KiB")


def deadlines(target, options):
    """The ends of peers with a key that are slow: of a frame, of silence, of not reading."""
    problems = []

    def life(peer, byte=b"", every=1.0, limit=20):
        begin, due = time.monotonic(), time.monotonic()
        while time.monotonic() < begin + limit:
            if byte and time.monotonic() >= due:
                due += every
                if not peer.send(byte):
                    break
            if peer.receive(0.1) is None:
                break
        peer.close()
        return time.monotonic() - begin

    def expect(what, seconds, peer, **rest):
        # The look at the clock comes after the last at the peer.
        lived = life(peer, limit=seconds + SLACK_SECONDS, **rest)
        if not lived < seconds + SLACK_SECONDS:
            problems.append(f"{what} lived {lived:.1f} s where {seconds} s are allowed")

    open_before = target.descriptors()
    trickle = Peer(target).join()
    trickle.send(wire.u32(60_000) + b"\x03")
    rows = [("a frame of a byte a second", 5, trickle, {"byte": b"x"})]
    half = Peer(target)
    half.send(half.session.begin()[:40])
    half.socket.shutdown(socket.SHUT_WR)
    rows.append(("a half-open handshake", HANDSHAKE_SECONDS, half, {}))
    # Fewer than there are places for strangers, so that none makes room for another.
    for _ in range(20):
        rows.append(("a stranger of a byte a second", HANDSHAKE_SECONDS, Peer(target), {
            "byte": b"M"}))
    if not options.quick:
        rows.append(("a silent worker", 60, Peer(target).join(), {}))
        # It asks for what is long until nothing more is read from it, and then for nothing.
        deaf = never_reads(target, 3, wire.u64(5) + wire.u32(0) + wire.u32(0), 200_000)
    threads = [
        threading.Thread(target=expect, args=row[:3], kwargs=row[3]) for row in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not options.quick:
        # Reading would help it; the coordinator's own descriptors tell.
        problems += still_open(target, open_before, 60, "after peers that never read")
        deaf.close()
    return problems


def still_open(target, before, deadline, when):
    """What is wrong if the coordinator keeps more than `before` descriptors."""
    try:
        # `deadline` seconds are the coordinator's own, the rest is slack.
        wait_for(f"{before} descriptors {when}", lambda: target.descriptors() <= before,
                 quiet=6 + deadline / 10, seen=target.descriptors, pause=0.1)
    except Late as late:
        return [str(late)]
    return []


# MARK: - descriptors and storms


def descriptors(target, options):
    problems = []
    folder = target.run.folder / "few"
    limit = ("prlimit", "--nofile=64:64")
    few = Target(folder, prefix=limit)
    try:
        crowd = []
        for _ in range(300):
            try:
                crowd.append(few.connect(2 * PACE))
            except OSError:
                break
        try:
            taken, status = few.descriptors(), few.run.ask("GET", "/v1/status")[0]
        except (OSError, runs.Unanswered) as error:
            return [f"the coordinator ended without descriptors: {error}"], "ended"
        if status != 200 or not few.is_alive():
            problems.append(f"people were not answered while descriptors were taken: {status}")
        held = len(crowd)
        for connection in crowd:
            connection.close()
        complaints = []

        def is_served():
            try:
                honest = Honest(few)
                honest.hold()
                honest.turn()
                honest.connection.close()
                return True
            except (OSError, wire.ProtocolError, wire.TurnedAway) as error:
                complaints.append(error)
                return False

        try:
            wait_for("an honest worker to be served after the crowd's end", is_served,
                     seen=lambda: complaints[-3:], pause=0.2)
        except Late as late:
            problems.append(str(late))
    finally:
        few.run.stop()
    return problems, (
        f"{held} connections on a limit of 64 descriptors, {taken} taken; served afterwards")


def storm_process(port, count):
    """Connects so often, as fast as it goes; says when it has begun, and how often it did."""
    made = 0
    for index in range(count):
        try:
            connection = socket.create_connection(("127.0.0.1", port), 5)
            if index % 2:
                connection.send(b"GET / HTTP/1.1\r\n\r\n")
            # A reset leaves nothing behind in this machine's table of connections.
            connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            made += 1
            if made == 1:
                print("begun", flush=True)
        except OSError:
            time.sleep(0.01)
    print(made, flush=True)


def storm(target, options):
    before, problems, made = target.state(), [], []
    resident, open_before = target.resident(), target.descriptors()
    count = 2_000 if options.quick else 10_000

    def attack():
        process = subprocess.Popen(
            [sys.executable, "-B", __file__, "--storm", str(target.port), str(count)],
            stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        return lambda: made.append(int(process.communicate(timeout=patience(30))[0]))

    figures = measured(target, options, attack, problems, "storm")
    problems += still_open(target, open_before, HANDSHAKE_SECONDS, "after the storm")
    grown = target.resident() - resident
    if grown > MEMORY_LIMIT:
        problems.append(f"memory grew by {grown >> 20} MiB")
    problems += target.problems_since(before, "storm")
    return problems, (
        f"{figures}; {sum(made)} connections; memory +{max(0, grown) >> 10} KiB")


# MARK: - command line

CAMPAIGNS = [strangers, frames, bombs, slow, descriptors, storm]


def main():
    if sys.argv[1:2] == ["--hold-slowly"]:
        return slow_process(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    if sys.argv[1:2] == ["--storm"]:
        return storm_process(int(sys.argv[2]), int(sys.argv[3]))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less of everything, no timing bar")
    parser.add_argument("--frames", type=int, default=0, help="changed frames")
    parser.add_argument("--seed", type=int, default=1, help="of every random choice")
    parser.add_argument(
        "--only", default=",".join(c.__name__ for c in CAMPAIGNS), help="attacks, with commas")
    options = parser.parse_args()
    if not os.access(runs.LETHE, os.X_OK):
        print(f"no executable at {runs.LETHE}; swift build -c release", file=sys.stderr)
        return 69
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1 << 14), hard))
    wanted, status = options.only.split(","), 0
    with tempfile.TemporaryDirectory(prefix="lethe-attack-") as folder:
        target = Target(Path(folder) / "run")
        try:
            for campaign in CAMPAIGNS:
                if campaign.__name__ in wanted:
                    begin = time.monotonic()
                    problems, figures = campaign(target, options)
                    took = time.monotonic() - begin
                    status |= runs.report(
                        f"attack {campaign.__name__}", problems, f"{figures} ({took:.0f} s)")
            if status:
                log = [line for line in target.run.log.read_text().splitlines()
                       if "worker_connection_failed" not in line]
                print("\n".join(log[-20:]), file=sys.stderr)
        finally:
            target.run.stop()
    return status


if __name__ == "__main__":
    sys.exit(main())
