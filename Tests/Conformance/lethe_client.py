#!/usr/bin/env python3
"""A worker's side of Lethe wire, version 2, written from Protocols/wire.md alone.

As a module: `Connection` speaks to a coordinator, `Session` is the same without a socket. As a
command it joins a coordinator, asks for work, fetches what the lease names, uploads a made-up block
or the bytes of a file or gives the lease back, and drains. It trains nothing.

Needs Python 3.8 and its standard library.
"""

import argparse
import hashlib
import hmac
import json
import os
import pathlib
import random
import socket
import struct
import sys
import time

VERSION = 2
MAGIC = b"lethewir"
HEADER = 17
TAG = 32
CHUNK = 1 << 20
UNSEALED_LIMIT = 256
CONTROL_LIMIT = 1 << 16
WELCOME_LIMIT = 1 << 20
CHUNK_LIMIT = HEADER + CHUNK + TAG
UNFINISHED_LIMIT = 4
OPENING, CHALLENGE, PROOF, CHUNK_TYPE = 124, 125, 126, 127
HEARTBEAT_SECONDS = 5.0
SILENCE_SECONDS = 20.0
# How many times slower than a quiet machine this one is: as ops/support/waiting.py measures it for
# the tests. This client waits as many times as long.
PACE = max(1.0, float(os.environ.get("LETHE_PACE") or 1))
PATIENCE_SECONDS = 60 * PACE

NAMES = {
    1: "hello", 2: "requestWork", 3: "heartbeat", 4: "fetchSlice", 5: "fetchArtifact",
    6: "upload", 7: "failed", 8: "forgotten", 9: "predictions", 10: "predictionFailed",
    11: "checkpoint", 12: "fetchCheckpoint", 13: "draining",
    64: "welcome", 65: "turnedAway", 66: "lease", 67: "cancel", 68: "uploadAccepted",
    69: "uploadRefused", 70: "slice", 71: "artifact", 72: "unavailable", 73: "forget",
    74: "predict", 75: "head", 76: "heard", 77: "notice",
}
TYPES = {name: number for number, name in NAMES.items()}
# Type: bytes of the head before the announcement, the largest content.
CONTENT = {
    6: (88, 256 << 20), 9: (0, 16 << 20), 11: (44, 256 << 20),
    70: (0, 256 << 20), 71: (0, 256 << 20), 73: (8, 16 << 20), 74: (0, 16 << 20),
}
CAUSES = {
    1: "version", 2: "protocol error", 3: "role", 4: "backbone", 5: "full", 6: "revoked",
}
REFUSALS = {
    1: "stale lease", 2: "committed already", 3: "invalid artifact", 4: "confirmed", 5: "busy",
    6: "disputed",
}
RETRYABLE, HOST, FATAL, CANCELLED = 1, 2, 3, 4


class ProtocolError(Exception):
    """The other end broke the protocol; the connection is over."""


class TurnedAway(Exception):
    """The coordinator does not take this worker."""

    def __init__(self, cause, reason):
        super().__init__("turned away (%s): %s" % (CAUSES.get(cause, cause), reason))
        self.cause = cause
        self.reason = reason


# Encoding


def sha256(data):
    return hashlib.sha256(data).digest()


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def hkdf(secret, salt, info):
    """32 bytes by RFC 5869; one round is enough for them."""
    return mac(mac(salt or bytes(32), secret), info.encode("ascii") + b"\x01")


def u8(value):
    return struct.pack("<B", value)


def u32(value):
    return struct.pack("<I", value)


def u64(value):
    return struct.pack("<Q", value)


def f64(value):
    return struct.pack("<d", value)


def byte_string(data):
    return u32(len(data)) + data


def text(value):
    return byte_string(value.encode("utf-8"))


def sequence(elements, write):
    return u32(len(elements)) + b"".join(write(element) for element in elements)


def optional(value, write):
    return b"\x00" if value is None else b"\x01" + write(value)


class Reader:
    """Reads the canonical encoding and trusts no length."""

    def __init__(self, data):
        self.data = data
        self.position = 0

    def raw(self, count):
        if count > len(self.data) - self.position:
            raise ProtocolError("a body ends too soon")
        self.position += count
        return self.data[self.position - count:self.position]

    def number(self, form):
        return struct.unpack("<" + form, self.raw(struct.calcsize("<" + form)))[0]

    def u8(self):
        return self.number("B")

    def u32(self):
        return self.number("I")

    def u64(self):
        return self.number("Q")

    def f64(self):
        return self.number("d")

    def digest(self):
        return self.raw(32)

    def boolean(self):
        value = self.u8()
        if value > 1:
            raise ProtocolError("a boolean is %d" % value)
        return value == 1

    def byte_string(self, limit=None):
        count = self.u32()
        if limit is not None and count > limit:
            raise ProtocolError("a field of %d bytes" % count)
        return self.raw(count)

    def text(self, limit=None):
        try:
            return self.byte_string(limit).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ProtocolError("a text is not UTF-8") from error

    def sequence(self, read):
        count = self.u32()
        if count > len(self.data) - self.position:
            raise ProtocolError("a count of %d" % count)
        return [read() for _ in range(count)]

    def optional(self, read):
        return read() if self.boolean() else None

    def finish(self):
        if self.position != len(self.data):
            raise ProtocolError("a body has bytes left over")


# Messages


def read_head(reader):
    return {"size": reader.u64(), "root": reader.digest(), "tag": reader.digest()}


def write_head(head):
    return u64(head["size"]) + head["root"] + head["tag"]


def read_slice_reference(reader):
    return {"shard": reader.u32(), "slice": reader.u32(), "digest": reader.digest()}


def write_slice_reference(reference):
    return u32(reference["shard"]) + u32(reference["slice"]) + reference["digest"]


def read_recipe(data):
    reader = Reader(data)
    form = reader.text()
    if form not in ("lethe-recipe-1", "lethe-recipe-2"):
        raise ProtocolError("a recipe of another format")
    recipe = {
        "labels": reader.sequence(reader.text), "targets": reader.sequence(reader.text),
        "rank": reader.u32(), "alpha": reader.f64(), "rankStabilized": reader.boolean(),
        "epochs": reader.u32(), "batchSize": reader.u32(), "learningRate": reader.f64(),
        "headLearningRate": reader.f64(), "schedule": reader.text(), "warmup": reader.f64(),
        "weightDecay": reader.f64(), "maximumGradientNorm": reader.f64(),
        "maximumTokens": reader.u32(),
    }
    if form == "lethe-recipe-2":
        recipe["headStart"] = reader.text()
        recipe["stageRateFactor"] = reader.f64()
    reader.finish()
    return recipe


def read_lease(reader):
    return {
        "epoch": reader.u64(), "shard": reader.u32(), "sequence": reader.u32(),
        "stage": reader.u32(), "key": reader.digest(), "firstLayer": reader.u32(),
        "endLayer": reader.u32(), "seed": reader.u64(),
        "ancestors": reader.sequence(reader.digest),
        "slices": reader.sequence(lambda: read_slice_reference(reader)),
        "checkpoint": reader.optional(
            lambda: {"step": reader.u32(), "digest": reader.digest()}),
    }


def read_record(data):
    """One record of a slice."""
    reader = Reader(data)
    if reader.text() != "lethe record 1":
        raise ProtocolError("a record of another format")
    record = {
        "id": reader.byte_string(), "subject": reader.optional(reader.byte_string),
        "text": reader.text(), "textPair": reader.optional(reader.text), "label": reader.text(),
        "deletionProbability": reader.optional(reader.f64),
    }
    reader.finish()
    return record


def slice_digest(records):
    """The digest a lease names for encoded records."""
    return slice_tree(sorted(map(sha256, records)), 0)


def slice_tree(digests, bit):
    """The digest of a node; `digests` ascend and agree in the bits before `bit`."""
    if len(digests) <= 16:
        return sha256(text("lethe-slice-leaf-2") + sequence(digests, bytes))
    halves = [], []
    for digest in digests:
        halves[digest[bit // 8] >> (7 - bit % 8) & 1].append(digest)
    return sha256(text("lethe-slice-node-2") + u64(len(digests))
                  + b"".join(slice_tree(half, bit + 1) for half in halves))


def read_message(kind, head, content):
    """A coordinator's message as a dictionary with its `type`."""
    reader, rest = Reader(head), Reader(content)
    fields = {}
    if kind == 64:
        fields = {"recipe": read_recipe(reader.byte_string()), "head": read_head(reader)}
    elif kind == 65:
        fields = {"cause": reader.u8(), "reason": reader.text(512)}
        if fields["cause"] not in CAUSES:
            raise ProtocolError("there is no cause %d" % fields["cause"])
    elif kind == 66:
        fields = read_lease(reader)
        if fields["firstLayer"] > fields["endLayer"]:
            raise ProtocolError("a lease's layers end before they begin")
    elif kind in (67, 68, 76):
        fields = {"epoch": reader.u64()}
    elif kind == 69:
        fields = {"epoch": reader.u64(), "refusal": reader.u8()}
        if fields["refusal"] not in REFUSALS:
            raise ProtocolError("there is no refusal %d" % fields["refusal"])
    elif kind == 70:
        fields = {"records": rest.sequence(rest.byte_string)}
    elif kind == 71:
        fields = {"bytes": rest.raw(len(content))}
    elif kind in (72, 77):
        fields = {"reason": reader.text(512)}
    elif kind == 73:
        fields = {"throughDeletion": reader.u64(), "artifacts": rest.sequence(rest.digest)}
    elif kind == 74:
        fields = {
            "view": rest.sequence(lambda: {
                "shard": rest.u32(), "sequence": rest.u32(),
                "artifacts": rest.sequence(rest.digest)}),
            "inputs": rest.sequence(lambda: {
                "text": rest.text(), "textPair": rest.optional(rest.text)}),
            "aggregation": rest.text(),
        }
    elif kind == 75:
        fields = {"head": read_head(reader)}
    else:
        raise ProtocolError("a coordinator does not send type %d" % kind)
    reader.finish()
    rest.finish()
    return dict(fields, type=NAMES[kind])


def write_message(message):
    """Type, head and content (None for a message without) of a worker's message."""
    name = message["type"]
    head, content = b"", None
    if name == "hello":
        head = (
            text(message["name"]) + text(message["host"]) + text(message["numericClass"])
            + message["backbone"] + u8(message["trains"]) + u8(message["serves"])
            + optional(message.get("head"), write_head))
    elif name == "heartbeat":
        head = u64(message["epoch"]) + u32(message["step"]) + u32(message["totalSteps"])
    elif name == "fetchSlice":
        head = write_slice_reference(message["slice"])
    elif name == "fetchArtifact":
        head = message["digest"]
    elif name == "fetchCheckpoint":
        head = message["key"]
    elif name == "upload":
        head = (
            u64(message["epoch"]) + message["key"] + u64(message["steps"])
            + u64(message["examples"]) + f64(message["seconds"]) + f64(message["gemmSeconds"])
            + f64(message["finalLoss"]) + u32(message["slicesKept"])
            + u32(message["slicesComputed"]))
        content = message["artifact"]
    elif name == "failed":
        head = u64(message["epoch"]) + u8(message["kind"]) + text(message["reason"])
    elif name == "forgotten":
        head = u64(message["throughDeletion"])
    elif name == "predictions":
        content = sequence(message["logits"], lambda logits: sequence(logits, f64))
    elif name == "predictionFailed":
        head = text(message["reason"])
    elif name == "checkpoint":
        head = u64(message["epoch"]) + message["key"] + u32(message["step"])
        content = message["state"]
    elif name not in ("requestWork", "draining"):
        raise ValueError("a worker does not send " + name)
    return TYPES[name], head, content


# Keys


class Key:
    """One line of a key file."""

    def __init__(self, identifier, role, name, secret):
        self.identifier = identifier
        self.role = role
        self.name = name
        self.secret = secret

    @classmethod
    def parse(cls, line):
        words = line.rstrip("\n").split(" ")
        if len(words) != 5 or words[0] != "lethe-key-1":
            raise ValueError("this is not a line of a key file")
        identifier, secret = bytes.fromhex(words[1]), bytes.fromhex(words[4])
        if len(identifier) != 16 or len(secret) != 32:
            raise ValueError("a key has an id of 16 bytes and a secret of 32")
        return cls(identifier, words[2], words[3], secret)

    @classmethod
    def development(cls):
        return cls(bytes(16), "worker", "development", bytes(32))


# The worker's end, without a socket


def unsealed(kind, body):
    return u32(HEADER + len(body)) + u8(kind) + u64(0) + u64(0) + body


class Session:
    """The worker's end as a state machine: bytes in, messages out.

    `begin()` gives the first bytes to write; `receive(data)` gives (bytes to write, messages), each
    message a dictionary with its `type` and `request`.
    """

    def __init__(self, key, hello, nonce=None):
        self.key = key
        self.hello = dict(hello, type="hello")
        self.opening = unsealed(
            OPENING,
            MAGIC + struct.pack("<HH", VERSION, VERSION) + key.identifier
            + (nonce or os.urandom(32)))
        self.state = "challenge"
        self.frame_count = 0
        self.buffer = b""
        self.sending_key = self.receiving_key = None
        self.sent = self.received = 0
        self.unfinished = {}
        self.last_request = 1 << 63

    def begin(self):
        return self.opening

    def send(self, message, request=0, chunk=CHUNK):
        """The bytes of a message; `chunk` is the size its content is cut into."""
        return b"".join(self.frames(message, request, chunk))

    def frames(self, message, request=0, chunk=CHUNK):
        """The frames of a message, each sealed when it is taken; others may go between them."""
        kind, head, content = write_message(message)
        if content is None:
            yield self.seal(kind, request, head)
            return
        if len(content) > CONTENT[kind][1]:
            raise ValueError("%s of %d bytes is too large" % (message["type"], len(content)))
        if request == 0:
            self.last_request += 1
            request = self.last_request
        yield self.seal(kind, request, head + u64(len(content)) + sha256(content))
        for start in range(0, len(content), chunk):
            yield self.seal(CHUNK_TYPE, request, content[start:start + chunk])

    def seal(self, kind, request, body):
        if self.sending_key is None:
            raise ProtocolError("the coordinator has not proved its key yet")
        self.sent += 1
        frame = u32(HEADER + len(body) + TAG) + u8(kind) + u64(self.sent) + u64(request) + body
        return frame + mac(self.sending_key, frame)

    def receive(self, data):
        self.buffer += data
        written, messages = b"", []
        while self.state != "closed":
            frame = self.next_frame()
            if frame is None:
                break
            answer, message = self.handle(frame)
            self.frame_count += 1
            written += answer
            if message is not None:
                messages.append(message)
        return written, messages

    def next_frame(self):
        if len(self.buffer) < 5:
            return None
        length, kind = struct.unpack_from("<IB", self.buffer)
        if self.receiving_key is None:
            least, most = HEADER, UNSEALED_LIMIT
        else:
            least = HEADER + TAG
            most = {CHUNK_TYPE: CHUNK_LIMIT, 64: WELCOME_LIMIT}.get(kind, CONTROL_LIMIT)
        if not least <= length <= most:
            raise ProtocolError("a frame announces %d bytes" % length)
        if len(self.buffer) < 4 + length:
            return None
        frame, self.buffer = self.buffer[:4 + length], self.buffer[4 + length:]
        return frame

    def handle(self, frame):
        kind, count, request = struct.unpack_from("<BQQ", frame, 4)
        if self.state == "challenge":
            if count or request:
                raise ProtocolError("a frame before authentication is numbered")
            return self.answer(kind, frame), None
        body = frame[4 + HEADER:-TAG]
        if not hmac.compare_digest(mac(self.receiving_key, frame[:-TAG]), frame[-TAG:]):
            raise ProtocolError("a frame's tag is wrong")
        self.received += 1
        if count != self.received:
            raise ProtocolError("frame %d came where %d was due" % (count, self.received))
        allowed = (64, 65) if self.state == "welcome" else tuple(range(65, 78)) + (CHUNK_TYPE,)
        if kind not in allowed:
            raise ProtocolError("type %d is not expected here" % kind)
        message = self.assemble(kind, request, body)
        if message is None:
            return b"", None
        self.state = "closed" if message["type"] == "turnedAway" else "open"
        return b"", dict(message, request=request)

    def answer(self, kind, frame):
        body = frame[4 + HEADER:]
        if kind == 65:
            refusal = read_message(65, body, b"")
            raise TurnedAway(refusal["cause"], refusal["reason"] + " (not authenticated)")
        if kind != CHALLENGE or len(body) != 66:
            raise ProtocolError("this is no challenge")
        if struct.unpack_from("<H", body)[0] != VERSION:
            raise ProtocolError("the coordinator chose a version that was not offered")
        authentication = hkdf(self.key.secret, b"", "lethe-wire-1 authentication")
        said = self.opening + frame[:-TAG]
        tag = mac(authentication, b"coordinator" + sha256(said))
        if not hmac.compare_digest(tag, frame[-TAG:]):
            raise ProtocolError("the coordinator does not know this key's secret")
        said = self.opening + frame + unsealed(PROOF, bytes(TAG))[:-TAG]
        proof = unsealed(PROOF, mac(authentication, b"worker" + sha256(said)))
        salt = sha256(self.opening + frame + proof)
        self.sending_key = hkdf(self.key.secret, salt, "lethe-wire-1 worker to coordinator")
        self.receiving_key = hkdf(self.key.secret, salt, "lethe-wire-1 coordinator to worker")
        self.state = "welcome"
        return proof + self.send(self.hello)

    def assemble(self, kind, request, body):
        if kind == CHUNK_TYPE:
            content = self.unfinished.get(request)
            if content is None or not 0 < len(body) <= content["byteCount"] - content["arrived"]:
                raise ProtocolError("a chunk fits no content")
            content["chunks"].append(body)
            content["arrived"] += len(body)
            if content["arrived"] < content["byteCount"]:
                return None
            del self.unfinished[request]
            return self.finish(content)
        if kind not in CONTENT:
            return read_message(kind, body, b"")
        head_count, limit = CONTENT[kind]
        if len(body) != head_count + 40:
            raise ProtocolError("a %s of %d bytes" % (NAMES[kind], len(body)))
        content = {
            "kind": kind, "head": body[:head_count], "digest": body[-32:], "chunks": [],
            "arrived": 0, "byteCount": struct.unpack_from("<Q", body, head_count)[0],
        }
        if content["byteCount"] > limit or request == 0 or request in self.unfinished:
            raise ProtocolError("a content is too large or has no number of its own")
        if len(self.unfinished) == UNFINISHED_LIMIT:
            raise ProtocolError("too many contents are under way")
        if content["byteCount"] == 0:
            return self.finish(content)
        self.unfinished[request] = content
        return None

    def finish(self, content):
        data = b"".join(content["chunks"])
        if sha256(data) != content["digest"]:
            raise ProtocolError("a content does not have the announced digest")
        return read_message(content["kind"], content["head"], data)


# The worker's end, on a socket


class Connection:
    """A worker's connection; beats whenever it waits, and keeps what comes in between.

    A message nobody waits for is in `messages`. `forget` is answered at once, as this client keeps
    nothing from one call to the next; `predict` is answered that it cannot.
    """

    def __init__(self, host, port, key, hello, timeout=SILENCE_SECONDS * PACE):
        self.session = Session(key, hello)
        self.socket = socket.create_connection((host, port), timeout=timeout)
        # Or a small frame behind another waits for an acknowledgement, some forty milliseconds.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout = timeout
        self.heard_at = self.beaten_at = time.monotonic()
        self.pause = self.next_pause()
        self.epoch = self.step = self.total_steps = 0
        self.messages = []
        self.reason = ""
        self.last_request = 0
        self.head = hello.get("head")
        self.socket.sendall(self.session.begin())
        self.welcome = self.wait_for(lambda message: message["type"] == "welcome", seconds=timeout)
        if self.welcome is None:
            raise ProtocolError("the coordinator did not say welcome")
        self.recipe = self.welcome["recipe"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    @staticmethod
    def next_pause():
        return HEARTBEAT_SECONDS * random.uniform(0.8, 1.2)

    def send(self, message, request=0, chunk=CHUNK):
        for frame in self.session.frames(message, request, chunk):
            self.socket.settimeout(max(30, self.timeout))
            self.socket.sendall(frame)
            # A heartbeat does not wait for a large content to end.
            if time.monotonic() >= self.beaten_at + self.pause:
                self.beat()

    def beat(self):
        self.beaten_at, self.pause = time.monotonic(), self.next_pause()
        self.send({
            "type": "heartbeat", "epoch": self.epoch, "step": self.step,
            "totalSteps": self.total_steps})

    def hears(self, lease, seconds=PATIENCE_SECONDS):
        """Whether a heartbeat of a lease is answered."""
        return self.wait_for(
            lambda message: message["type"] == "heard" and message["epoch"] == lease["epoch"],
            seconds) is not None

    def read(self, seconds):
        """Reads for a while, beating when it is time; what came is in `messages` afterwards."""
        end = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            is_open = self.session.state == "open"
            if is_open and now >= self.beaten_at + self.pause:
                self.beat()
                continue
            due = min(end, self.beaten_at + self.pause) if is_open else end
            self.socket.settimeout(max(0.01, due - now))
            try:
                data = self.socket.recv(1 << 16)
            except socket.timeout:
                if time.monotonic() > self.heard_at + self.timeout:
                    raise ProtocolError("nothing was heard for %g seconds" % self.timeout)
                if time.monotonic() >= end:
                    return
                continue
            if not data:
                raise ProtocolError("the coordinator has closed the connection")
            frames = self.session.frame_count
            written, messages = self.session.receive(data)
            now = time.monotonic()
            if self.session.frame_count > frames:
                self.heard_at = now
            elif now > self.heard_at + self.timeout:
                raise ProtocolError("no frame was whole for %g seconds" % self.timeout)
            if written:
                self.socket.sendall(written)
            for message in messages:
                self.take(message)
            if messages or time.monotonic() >= end:
                return

    def take(self, message):
        kind = message["type"]
        if kind == "turnedAway":
            raise TurnedAway(message["cause"], message["reason"])
        if kind in ("welcome", "head"):
            self.head = message["head"]
        if kind == "forget":
            self.send({"type": "forgotten", "throughDeletion": message["throughDeletion"]})
        elif kind == "predict":
            self.send(
                {"type": "predictionFailed", "reason": "this client computes nothing"},
                message["request"])
        elif kind == "cancel" and message["epoch"] == self.epoch:
            self.epoch = 0
        elif kind == "unavailable" and message["request"] >> 63:
            # Not the answer to a question: why what was handed in under this number is refused.
            self.reason = message["reason"]
            return
        self.messages.append(message)

    def wait_for(self, belongs, seconds=PATIENCE_SECONDS):
        """The first message that belongs; None if none comes in time."""
        end = time.monotonic() + seconds
        while True:
            for index, message in enumerate(self.messages):
                if belongs(message):
                    return self.messages.pop(index)
            # Nobody will ask for these any more.
            self.messages = [
                message for message in self.messages
                if message["type"] not in ("heard", "head", "forget", "predict", "notice")]
            if time.monotonic() >= end:
                return None
            self.read(min(1.0, end - time.monotonic()))

    def ask(self, message, seconds=PATIENCE_SECONDS):
        self.last_request += 1
        request = self.last_request
        self.send(message, request)
        return self.wait_for(
            lambda answer: answer["request"] == request
            and answer["type"] in ("slice", "artifact", "unavailable"), seconds)

    def request_work(self, seconds=PATIENCE_SECONDS):
        """A lease; None if there is no work in time."""
        self.send({"type": "requestWork"})
        return self.next_lease(seconds)

    def next_lease(self, seconds=PATIENCE_SECONDS):
        lease = self.wait_for(lambda message: message["type"] == "lease", seconds)
        if lease is not None:
            self.epoch, self.step, self.total_steps = lease["epoch"], 0, 0
        return lease

    def fetch_slice(self, reference):
        """Encoded records that have the leased digest; None if they are gone."""
        answer = self.ask({"type": "fetchSlice", "slice": reference})
        if answer is None or answer["type"] == "unavailable":
            return None
        if slice_digest(answer["records"]) != reference["digest"]:
            raise ProtocolError("a slice has other records than its digest names")
        return answer["records"]

    def fetch_bytes(self, message, digest):
        answer = self.ask(message)
        if answer is None or answer["type"] == "unavailable":
            return None
        if sha256(answer["bytes"]) != digest:
            raise ProtocolError("bytes came that have another digest")
        return answer["bytes"]

    def fetch_artifact(self, digest):
        return self.fetch_bytes({"type": "fetchArtifact", "digest": digest}, digest)

    def fetch_checkpoint(self, lease):
        return self.fetch_bytes(
            {"type": "fetchCheckpoint", "key": lease["key"]}, lease["checkpoint"]["digest"])

    def checkpoint(self, lease, step, state, chunk=CHUNK):
        self.send({
            "type": "checkpoint", "epoch": lease["epoch"], "key": lease["key"], "step": step,
            "state": state}, chunk=chunk)

    def upload(self, lease, artifact, steps=0, examples=0, seconds=0.0, loss=0.0, chunk=CHUNK):
        """Offers trained bytes; "accepted", or why not."""
        while True:
            self.send({
                "type": "upload", "epoch": lease["epoch"], "key": lease["key"], "steps": steps,
                "examples": examples, "seconds": seconds, "gemmSeconds": 0.0, "finalLoss": loss,
                "slicesKept": 0, "slicesComputed": 0,
                "artifact": artifact}, chunk=chunk)
            answer = self.wait_for(
                lambda message: message["type"] in ("uploadAccepted", "uploadRefused")
                and message["epoch"] == lease["epoch"])
            if answer is not None and REFUSALS.get(answer.get("refusal")) == "busy":
                time.sleep(1)
                continue
            self.epoch = 0
            if answer is None:
                return "no answer"
            return "accepted" if "refusal" not in answer else REFUSALS[answer["refusal"]]

    def fail(self, lease, kind, reason):
        self.send({"type": "failed", "epoch": lease["epoch"], "kind": kind, "reason": reason})
        self.epoch = 0

    def drain(self, lease=None):
        """Takes no more work; gives back a lease that is not finished, and closes."""
        self.send({"type": "draining"})
        if lease is not None:
            self.fail(lease, CANCELLED, "drained")
        self.read(0.2)
        self.close()


# What a block must be


class BlockForm:
    """The tensors of a run's blocks, from its recipe and the `config.json` of its backbone."""

    MODULES = {
        "query": "attention.self.query", "key": "attention.self.key",
        "value": "attention.self.value", "attention.output.dense": "attention.output.dense",
        "intermediate.dense": "intermediate.dense", "output.dense": "output.dense"}

    def __init__(self, recipe, config):
        self.recipe = recipe
        self.hidden = config.get("hidden_size", config.get("dim"))
        self.inner = config.get("intermediate_size", config.get("hidden_dim"))
        self.labels = len(recipe["labels"])

    def tensors(self, layers):
        """Name and shape of every tensor, in the order of the file."""
        rank, found = self.recipe["rank"], []
        for layer in layers:
            for target in self.recipe["targets"]:
                path = "base_model.model.bert.encoder.layer.%d.%s" % (layer, self.MODULES[target])
                inputs = self.inner if target == "output.dense" else self.hidden
                outputs = self.inner if target == "intermediate.dense" else self.hidden
                found.append((path + ".lora_A.weight", [rank, inputs]))
                found.append((path + ".lora_B.weight", [outputs, rank]))
        found.append(("base_model.model.classifier.weight", [self.labels, self.hidden]))
        found.append(("base_model.model.classifier.bias", [self.labels]))
        return sorted(found, key=lambda tensor: tensor[0].encode("ascii"))

    def encode(self, layers, values):
        """The one form of a block; `values` gives a tensor's numbers from its count."""
        entries, data = [], b""
        for name, shape in self.tensors(layers):
            count = shape[0] * (shape[1] if len(shape) > 1 else 1)
            end = len(data) + 4 * count
            entries.append('"%s":{"dtype":"F32","shape":[%s],"data_offsets":[%d,%d]}' % (
                name, ",".join(map(str, shape)), len(data), end))
            data += struct.pack("<%df" % count, *values(count))
        header = ("{" + ",".join(entries) + "}").encode("ascii")
        header += b" " * (-len(header) % 8)
        return u64(len(header)) + header + data

    def handed_on(self, parent):
        """What a stage without records hands in: its parent's head, or one of zeros."""
        zero = self.encode([], lambda count: [0.0] * count)
        count = 4 * self.labels * (self.hidden + 1)
        return zero if parent is None else zero[:-count] + parent[-count:]

    def figures(self, record_count):
        """Steps and examples of a stage over that many records."""
        batch = max(self.recipe["batchSize"], 1)
        epochs = self.recipe["epochs"]
        return epochs * ((record_count + batch - 1) // batch), epochs * record_count


# The command


def self_test(path):
    """Reads the vectors and writes them again."""
    values, frames, large = {}, {}, None
    for line in pathlib.Path(path).read_text().splitlines():
        words = line.split()
        if line.startswith("#"):
            continue
        if line.startswith("  "):
            frames[entry][1] += bytes.fromhex(words[0])
        elif words[0] == "frame":
            entry = words[1]
            frames[entry] = [int(words[3]), b""]
        elif words[0] == "large":
            large = words[3]
        else:
            values[words[0]] = bytes.fromhex(words[1])
    digest = sha256(b"\x01")
    key = Key(values["key-id"], "worker", "w", values["secret"])
    hello = {
        "name": "n", "host": "h", "numericClass": "c", "backbone": digest, "trains": True,
        "serves": True, "head": {"size": 3, "root": digest, "tag": digest}}
    work = {"steps": 1, "examples": 2, "seconds": 0.5, "gemmSeconds": 0.25, "finalLoss": 1.0,
            "slicesKept": 3, "slicesComputed": 4}
    says = [
        {"type": "requestWork"},
        {"type": "heartbeat", "epoch": 5, "step": 1, "totalSteps": 9},
        {"type": "fetchSlice", "slice": {"shard": 1, "slice": 2, "digest": digest}},
        {"type": "fetchArtifact", "digest": digest},
        dict(work, type="upload", epoch=5, key=digest, artifact=b"\x01\x02\x03"),
        {"type": "failed", "epoch": 5, "kind": HOST, "reason": "r"},
        {"type": "forgotten", "throughDeletion": 7},
        {"type": "predictions", "logits": [[0.5, -1.0]]},
        {"type": "predictionFailed", "reason": "no"},
        {"type": "checkpoint", "epoch": 5, "key": digest, "step": 8, "state": b"\x06"},
        {"type": "fetchCheckpoint", "key": digest},
        {"type": "draining"},
    ]
    session = Session(key, hello, values["worker-nonce"])
    check("opening", session.begin(), frames["opening"][1])
    written, messages = session.receive(frames["challenge"][1])
    check("proof and hello", written, frames["proof"][1] + frames["hello"][1])
    check("the worker's key", session.sending_key, values["worker-to-coordinator-key"])
    check("the coordinator's key", session.receiving_key, values["coordinator-to-worker-key"])
    for message in says:
        request, expected = frames[message["type"]]
        check(message["type"], session.send(message, request), expected)

    heard = []
    names = [NAMES[kind] for kind in (64,) + tuple(range(66, 78))]
    stream = b"".join(frames[name][1] for name in names)
    for position in range(len(stream)):
        heard += session.receive(stream[position:position + 1])[1]
    check("the coordinator's messages", [message["type"] for message in heard], names)
    for message in heard:
        check("a request number", message["request"], frames[message["type"]][0])
    fields = {message["type"]: message for message in heard}
    check("labels", fields["welcome"]["recipe"]["labels"], ["a", "b"])
    check("the head", fields["head"]["head"],
          {"size": 5, "root": digest, "tag": digest})
    check("the checkpoint", fields["lease"]["checkpoint"], {"step": 8, "digest": digest})
    check("records", fields["slice"]["records"], [b"\x01", b""])
    check("artifacts", fields["forget"]["artifacts"], [digest])
    check("inputs", [entry["textPair"] for entry in fields["predict"]["inputs"]], ["p", None])
    check("aggregation", fields["predict"]["aggregation"], "vote")

    # The large artifact's frames follow from its formula.
    content = bytes(index % 251 for index in range((1 << 20) + 5))
    sealer = Session(key, hello)
    sealer.sending_key, sealer.sent = session.receiving_key, session.received
    stream = sealer.seal(71, 21, u64(len(content)) + sha256(content))
    stream += sealer.seal(CHUNK_TYPE, 21, content[:CHUNK])
    stream += sealer.seal(CHUNK_TYPE, 21, content[CHUNK:])
    check("the large artifact's frames", sha256(stream).hex(), large)
    check("the large artifact", session.receive(stream)[1][0]["bytes"], content)

    # Changed on the way: nothing of it is believed.
    changed = bytearray(frames["turnedAway"][1])
    changed[25] ^= 1
    damaged = Session(key, hello)
    damaged.__dict__.update(session.__dict__)
    check("a changed frame", refusal_of(lambda: damaged.receive(bytes(changed))), "ProtocolError")
    last = session.receive(frames["turnedAway"][1])[1][0]
    check("turned away", (last["cause"], last["reason"]), (5, "why"))
    fresh = Session(key, hello)
    unsealed_refusal = frames["turnedAway-unsealed"][1]
    check("a stranger's refusal", refusal_of(lambda: fresh.receive(unsealed_refusal)), "TurnedAway")
    other = Session(Key(key.identifier, "worker", "w", bytes(32)), hello, values["worker-nonce"])
    check("a wrong key", refusal_of(lambda: other.receive(frames["challenge"][1])), "ProtocolError")
    two = dict(work, type="upload", epoch=6, key=digest, artifact=b"\x0a\x0b\x0c\x0d\x0e")
    request, expected = frames["two-chunks"]
    head = write_message(two)[1]
    data = session.seal(6, request, head + u64(5) + sha256(two["artifact"]))
    data += session.seal(CHUNK_TYPE, request, two["artifact"][:2])
    data += session.seal(CHUNK_TYPE, request, two["artifact"][2:])
    check("an upload in two chunks", data, expected)
    print("the vectors agree")


def refusal_of(action):
    try:
        action()
    except (ProtocolError, TurnedAway) as error:
        return type(error).__name__
    return "nothing"


def check(what, found, expected):
    if found != expected:
        raise SystemExit("%s: %r where %r was expected" % (what, found, expected))


def carry_out(connection, arguments):
    """Works through one lease; says whether the coordinator accepted its result."""
    lease = connection.request_work(arguments.wait)
    if lease is None:
        print("no work came within %g seconds" % arguments.wait)
        connection.drain()
        return arguments.upload is None and arguments.make_up is None
    print("lease %d: shard %d, sequence %d, stage %d, layers %d to %d" % (
        lease["epoch"], lease["shard"], lease["sequence"], lease["stage"], lease["firstLayer"],
        lease["endLayer"] - 1))
    gone, record_count, artifact = False, 0, None
    for reference in lease["slices"]:
        records = connection.fetch_slice(reference)
        gone = gone or records is None
        print("slice %d: %s" % (
            reference["slice"], "gone" if records is None else "%d records" % len(records)))
        for record in records or []:
            read_record(record)
            record_count += 1
    for digest in lease["ancestors"]:
        artifact = connection.fetch_artifact(digest)
        gone = gone or artifact is None
        print("artifact %s: %s" % (
            digest.hex(), "gone" if artifact is None else "%d bytes" % len(artifact)))
    if lease["checkpoint"] is not None:
        state = connection.fetch_checkpoint(lease)
        print("checkpoint: %s" % ("gone" if state is None else "%d bytes" % len(state)))
    end = time.monotonic() + arguments.hold
    while time.monotonic() < end and connection.epoch == lease["epoch"]:
        connection.read(end - time.monotonic())
    if connection.epoch != lease["epoch"]:
        connection.drain(lease)
        print("cancelled")
        return False
    if gone or arguments.upload is None and arguments.make_up is None:
        connection.drain(lease)
        print("given back and drained")
        return not gone
    connection.beat()
    if not connection.hears(lease):
        print("the heartbeat was not answered")
        return False
    print("heard: lease %d" % lease["epoch"])
    steps = examples = 0
    if arguments.make_up is not None:
        config = json.loads(pathlib.Path(arguments.make_up).read_text())
        form = BlockForm(connection.recipe, config)
        steps, examples = form.figures(record_count)
        layers = range(lease["firstLayer"], lease["endLayer"])
        offered = form.handed_on(artifact) if record_count == 0 else form.encode(
            layers, lambda count: [random.uniform(-1, 1) for _ in range(count)])
    else:
        offered = pathlib.Path(arguments.upload).read_bytes()
    answer = connection.upload(
        lease, offered, steps=steps, examples=examples, chunk=arguments.chunk)
    print("upload of %d bytes: %s" % (len(offered), answer))
    if answer == "invalid artifact":
        print("because " + connection.reason)
    connection.drain()
    return answer in ("accepted", "confirmed")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--address", metavar="HOST:PORT", help="where the coordinator listens")
    parser.add_argument(
        "--key-file", metavar="FILE",
        help="a file with one line lethe-key-1; without it the development key")
    parser.add_argument(
        "--backbone-digest", metavar="HEX", help="the backbone's 64 hexadecimal digits")
    parser.add_argument("--numeric-class", default="conformance", metavar="TEXT")
    parser.add_argument("--name", default="stranger")
    parser.add_argument("--role", choices=["train", "serve", "both"], default="train")
    parser.add_argument("--upload", metavar="FILE", help="what to upload for the lease")
    parser.add_argument(
        "--make-up", metavar="FILE",
        help="upload a block of the right form with random numbers; the backbone's config.json")
    parser.add_argument("--chunk", type=int, default=CHUNK, metavar="BYTES", help="of an upload")
    parser.add_argument(
        "--wait", type=float, default=PATIENCE_SECONDS, metavar="SECONDS",
        help="how long for a lease")
    parser.add_argument(
        "--hold", type=float, default=0, metavar="SECONDS", help="beat so long before going on")
    parser.add_argument("--self-test", metavar="VECTORS", help="check this client, and no more")
    arguments = parser.parse_args()
    if arguments.self_test:
        return self_test(arguments.self_test)
    if not arguments.address or not arguments.backbone_digest:
        parser.error("--address and --backbone-digest are needed")
    if not 1 <= arguments.chunk <= CHUNK:
        parser.error("--chunk is 1 to %d" % CHUNK)
    key = Key.development()
    if arguments.key_file:
        key = Key.parse(pathlib.Path(arguments.key_file).read_text())
    host, _, port = arguments.address.rpartition(":")
    hello = {
        "name": arguments.name, "host": socket.gethostname(),
        "numericClass": arguments.numeric_class,
        "backbone": bytes.fromhex(arguments.backbone_digest),
        "trains": arguments.role != "serve", "serves": arguments.role != "train"}
    try:
        with Connection(host.strip("[]"), int(port), key, hello) as connection:
            print("welcome: %d labels, ledger of %d entries" % (
                len(connection.recipe["labels"]), connection.head["size"]))
            return 0 if carry_out(connection, arguments) else 1
    except (ProtocolError, TurnedAway, OSError) as error:
        print("lethe_client: %s" % error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
