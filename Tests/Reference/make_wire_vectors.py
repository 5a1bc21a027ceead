#!/usr/bin/env python3
"""Writes Protocols/vectors/wire.txt: one conversation in Lethe wire, version 2, byte for byte.

    python3 make_wire_vectors.py [OUTPUT]

Written from Protocols/wire.md and Protocols/encoding.md, with the standard library only.
"""

import hashlib
import hmac
import pathlib
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

KEY_ID = bytes(range(1, 17))
SECRET = bytes([7] * 32)
WORKER_NONCE = bytes([101] * 32)
COORDINATOR_NONCE = bytes([1] * 32)


def sha256(data):
    return hashlib.sha256(data).digest()


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def hkdf(secret, salt, info):
    return mac(mac(salt or bytes(32), secret), info.encode() + b"\x01")


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
    return byte_string(value.encode())


def sequence(elements):
    return u32(len(elements)) + b"".join(elements)


def optional(encoded):
    return u8(0) if encoded is None else u8(1) + encoded


DIGEST = sha256(b"\x01")
REFERENCE = u32(1) + u32(2) + DIGEST
RECIPE = (
    text("lethe-recipe-1") + sequence([text("a"), text("b")])
    + sequence([text("query"), text("value")]) + u32(4) + f64(8) + u8(0) + u32(3) + u32(16)
    + f64(0.001) + f64(0.002) + text("linear") + f64(0.1) + f64(0.01) + f64(1) + u32(64))


class Direction:
    """One end's key and count."""

    def __init__(self, key):
        self.key = key
        self.count = 0

    def seal(self, kind, request, body):
        self.count += 1
        length = u32(17 + len(body) + 32)
        frame = length + u8(kind) + u64(self.count) + u64(request) + body
        return frame + mac(self.key, frame)

    def message(self, kind, request, head, content=None, cuts=None):
        """The frames of a message, its content cut behind each of the counts given."""
        if content is None:
            return [self.seal(kind, request, head)]
        frames = [self.seal(kind, request, head + u64(len(content)) + sha256(content))]
        edges = [0] + (cuts or []) + ([len(content)] if content else [])
        for start, end in zip(edges, edges[1:]):
            frames.append(self.seal(127, request, content[start:end]))
        return frames


def unsealed(kind, body):
    return u32(17 + len(body)) + u8(kind) + u64(0) + u64(0) + body


# name, type, request, head, content
WORKER = [
    ("hello", 1, 0,
     text("n") + text("h") + text("c") + DIGEST + u8(1) + u8(1) + optional(u64(3) + DIGEST + DIGEST), None),
    ("requestWork", 2, 0, b"", None),
    ("heartbeat", 3, 0, u64(5) + u32(1) + u32(9), None),
    ("fetchSlice", 4, 17, REFERENCE, None),
    ("fetchArtifact", 5, 18, DIGEST, None),
    ("upload", 6, 1 << 63 | 1,
     u64(5) + DIGEST + u64(1) + u64(2) + f64(0.5) + f64(0.25) + f64(1)
     + u32(3) + u32(4), b"\x01\x02\x03"),
    ("failed", 7, 0, u64(5) + u8(2) + text("r"), None),
    ("forgotten", 8, 0, u64(7), None),
    ("predictions", 9, 33, b"", sequence([sequence([f64(0.5), f64(-1)])])),
    ("predictionFailed", 10, 34, text("no"), None),
    ("checkpoint", 11, 1 << 63 | 2, u64(5) + DIGEST + u32(8), b"\x06"),
    ("fetchCheckpoint", 12, 19, DIGEST, None),
    ("draining", 13, 0, b"", None),
]
COORDINATOR = [
    ("welcome", 64, 0, byte_string(RECIPE) + u64(4) + DIGEST + DIGEST, None),
    ("lease", 66, 0,
     u64(5) + u32(1) + u32(2) + u32(3) + DIGEST + u32(2) + u32(4) + u64(6) + sequence([DIGEST])
     + sequence([REFERENCE]) + optional(u32(8) + DIGEST), None),
    ("cancel", 67, 0, u64(5), None),
    ("uploadAccepted", 68, 0, u64(5), None),
    ("uploadRefused", 69, 0, u64(5) + u8(1), None),
    ("slice", 70, 17, b"", sequence([byte_string(b"\x01"), byte_string(b"")])),
    ("artifact", 71, 18, b"", b"\x04\x05"),
    ("unavailable", 72, 19, text("gone"), None),
    ("forget", 73, 1 << 63 | 1, u64(7), sequence([DIGEST])),
    ("predict", 74, 33, b"",
     sequence([u32(0) + u32(1) + sequence([DIGEST])])
     + sequence([text("t") + optional(text("p")), text("u") + optional(None)])
     + text("vote")),
    ("head", 75, 0, u64(5) + DIGEST + DIGEST, None),
    ("heard", 76, 0, u64(5), None),
    ("notice", 77, 0, text("n"), None),
]


def lines():
    yield "# A conversation in Lethe wire, version 2, from Protocols/wire.md."
    yield "# Tests/Reference/make_wire_vectors.py made this file; Swift tests read and write it."
    yield "# name HEX for short values; frame NAME TYPE REQUEST, then the bytes of all its frames."
    yield "# The worker's frames come first, then the coordinator's, each numbered in this order."
    authentication = hkdf(SECRET, b"", "lethe-wire-1 authentication")
    opening = unsealed(
        124, b"lethewir" + struct.pack("<HH", 2, 2) + KEY_ID + WORKER_NONCE)
    body = struct.pack("<H", 2) + COORDINATOR_NONCE
    said = opening + unsealed(125, body + bytes(32))[:-32]
    challenge = said[len(opening):] + mac(authentication, b"coordinator" + sha256(said))
    said = opening + challenge + unsealed(126, bytes(32))[:-32]
    proof = said[-21:] + mac(authentication, b"worker" + sha256(said))
    everything = sha256(opening + challenge + proof)
    worker_key = hkdf(SECRET, everything, "lethe-wire-1 worker to coordinator")
    coordinator_key = hkdf(SECRET, everything, "lethe-wire-1 coordinator to worker")
    for name, value in [
            ("key-id", KEY_ID), ("secret", SECRET), ("worker-nonce", WORKER_NONCE),
            ("coordinator-nonce", COORDINATOR_NONCE), ("authentication-key", authentication),
            ("worker-to-coordinator-key", worker_key),
            ("coordinator-to-worker-key", coordinator_key)]:
        yield f"{name} {value.hex()}"
    for name, kind, frame in [
            ("opening", 124, opening), ("challenge", 125, challenge), ("proof", 126, proof)]:
        yield from block(f"frame {name} {kind} 0", frame)
    worker, coordinator = Direction(worker_key), Direction(coordinator_key)
    for direction, messages in [(worker, WORKER), (coordinator, COORDINATOR)]:
        for name, kind, request, head, content in messages:
            frames = direction.message(kind, request, head, content)
            yield from block(f"frame {name} {kind} {request}", b"".join(frames))
    yield "# 1 MiB and 5 bytes, byte i being i mod 251, cut at 1 MiB: SHA-256 of the three frames."
    content = bytes(index % 251 for index in range((1 << 20) + 5))
    frames = coordinator.message(71, 21, b"", content, [1 << 20])
    yield f"large 71 21 {sha256(b''.join(frames)).hex()}"
    yield "# The end of the conversation, and what a worker is told that was not authenticated."
    refusal = u8(5) + text("why")
    yield from block("frame turnedAway 65 0", coordinator.seal(65, 0, refusal))
    yield from block("frame turnedAway-unsealed 65 0", unsealed(65, refusal))

    yield "# The last of the worker: an upload of five bytes, cut behind the second."
    frames = worker.message(
        6, 1 << 63 | 3, u64(6) + DIGEST + u64(1) + u64(2) + f64(0.5) + f64(0.25) + f64(1)
        + u32(3) + u32(4),
        b"\x0a\x0b\x0c\x0d\x0e", [2])
    yield from block(f"frame two-chunks 6 {1 << 63 | 3}", b"".join(frames))

def block(title, data):
    yield title
    digits = data.hex()
    for start in range(0, len(digits), 64):
        yield "  " + digits[start:start + 64]


def main():
    default = ROOT / "Protocols" / "vectors" / "wire.txt"
    output = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    output.write_text("\n".join(lines()) + "\n")


if __name__ == "__main__":
    main()
