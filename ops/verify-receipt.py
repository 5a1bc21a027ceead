#!/usr/bin/env python3
"""Verifies a Lethe receipt: independent of Lethe, standard library only.

    ops/verify-receipt.py FILE [--id ID] [--checkpoint FILE] [--consistency FILE]

Written from Protocols/receipt.md and Protocols/ledger.md. ID is the id the receipt should be for; --checkpoint names
one you trust; --consistency a ledger proof between it and the receipt's. Exit code 0: holds; 1: refused; 2: wrong usage.
"""

import argparse
import base64
import datetime
import hashlib
import hmac
import json
import pathlib
import re
import sys

# A number is the bits of an unsigned integer; a key that ends in "?" may be absent; other words stand for themselves.
PLACE = {"sequence": 32, "shard": 32, "stage": 32}
RECEIPT = {
    "checkpoint": "text", "deletion": 64, "entries": [{"index": 64, "proof": ["hex"], "text": "text"}],
    "erasure": [{"level": "text", "location": "text"}], "format": "lethe-receipt-1",
    "id": {"commitment": "hex", "index": 64, "proof": ["hex"], "salt": "hex"},
    "masked": [{"commitment": "hex", **PLACE}], "replacements": [{"artifact": "hex", "key": "hex", **PLACE}],
    "run": "text", "sha256": "hex", "state": "text",
    "times": {"accepted": "text", "certified?": "text", "masked?": "text", "purged?": "text", "repaired?": "text"},
}
PROOF = {"checkpoint": "text", "format": "lethe-ledger-proof-1", "hashes": ["hex"], "kind": "consistency",
         "older": "text", "sha256": "hex"}
DECIMAL, DIGEST, LINE = "(0|[1-9][0-9]*)", "([0-9a-f]{64})", "((?! )[ -~]{1,255}(?<! ))"
ENTRIES = {
    "deletion": "number accepted-at records commitments blocks-masked masked",
    "certificate": "number masked-at purged-at repaired-at certified-at replacements replacements-root",
}

class Refused(Exception):
    """One check did not hold; the text says which."""
def check(condition, what):
    if not condition:
        raise Refused(what)

def leaf(data):
    return hashlib.sha256(b"\0" + data).digest()
def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()
def left_size(size):
    return 1 << (size - 1).bit_length() - 1
def root(leaves):
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    return node(root(leaves[:left_size(len(leaves))]), root(leaves[left_size(len(leaves)):]))

def climb(value, index, size, proof):
    """The root a proof leads to, from the definition downwards, where RFC 9162 goes upwards: they must agree."""
    check(index < size and (size == 1) == (not proof), "an inclusion proof has another length or place")
    if size == 1:
        return value
    left = left_size(size)
    if index < left:
        return node(climb(value, index, left, proof[:-1]), proof[-1])
    return node(proof[-1], climb(value, index - left, size - left, proof[:-1]))

def grow(old, size, proof, known):
    """The old and the new root a proof leads to; `known` is the old tree's while it can be a subtree."""
    if old == size:
        check(len(proof) == (0 if known else 1), "a consistency proof has another length")
        return (known or proof[0],) * 2
    check(proof, "a consistency proof is too short")
    left = left_size(size)
    if old <= left:
        before, after = grow(old, left, proof[:-1], known)
        return before, node(after, proof[-1])
    before, after = grow(old - left, size - left, proof[:-1], None)
    return node(proof[-1], before), node(proof[-1], after)

def check_consistency(old, new, proof):
    check(old[0] == new[0] and old[1] <= new[1], "the checkpoints are of two ledgers or in the wrong order")
    if 0 == old[1] < new[1]:
        return check(not proof and old[2] == root([]), "the empty ledger has another root")
    check(grow(old[1], new[1], proof, old[2]) == (old[2], new[2]), "the checkpoints are not consistent")

def typed(value, schema, where):
    """Checks fields and types, and turns hexadecimal into bytes."""
    if isinstance(schema, dict):
        known = {key.rstrip("?"): kind for key, kind in schema.items()}
        needed = {key for key in schema if not key.endswith("?")}
        check(type(value) is dict and needed <= value.keys() <= known.keys(), f"{where} has other fields")
        return {key: typed(item, known[key], key) for key, item in value.items()}
    if isinstance(schema, list):
        check(type(value) is list, f"{where} is no list")
        return [typed(item, schema[0], where) for item in value]
    if isinstance(schema, int):
        check(type(value) is int and 0 <= value < 1 << schema, f"{where} is no number of {schema} bits")
        return value
    pattern = {"hex": DIGEST, "text": r"[ -~\n]*"}.get(schema, schema)
    check(type(value) is str and re.fullmatch(pattern, value), f"{where} is not {schema}")
    return bytes.fromhex(value) if schema == "hex" else value

def canonical(value):
    text = json.dumps(value, indent=2, sort_keys=True, separators=(",", " : ")) + "\n"
    # An empty list has an empty line in it. A line cannot end like this inside a string.
    return re.sub(r"(?m)^( *)(.* : )\[\](,?)$", r"\1\2[\n\n\1]\3", text).encode()

def opened(data, schema):
    check(len(data) <= 64 << 20, "the file is too large")
    plain = json.loads(data.decode("ascii"))
    document = typed(plain, schema, "the document")
    check(canonical(plain) == data, "the spelling is not canonical")
    del plain["sha256"]
    check(hashlib.sha256(canonical(plain)).digest() == document["sha256"], "the file is damaged")
    return document

def checkpoint(text):
    match = re.fullmatch(f"{LINE}\n{DECIMAL}\n([A-Za-z0-9+/]{{43}}=)\n", text)
    check(match and int(match[2]) < 1 << 64, "a checkpoint is malformed")
    top = base64.b64decode(match[3])
    check(base64.b64encode(top).decode() == match[3], "a root is malformed")
    return match[1], int(match[2]), top

def entry(text):
    head = re.match("lethe-ledger-entry-1 (deletion|certificate)\n", text)
    check(head, "an entry is of no known kind")
    fields, rest = {"kind": head[1], "erasure": []}, text[head.end():]
    for key in ENTRIES[head[1]].split():
        while key == "replacements" and (claim := re.match(f"erasure (E[0-3]) {LINE}\n", rest)):
            fields["erasure"].append({"level": claim[1], "location": claim[2]})
            rest = rest[claim.end():]
        pattern = DIGEST if key in ("commitments", "masked", "replacements-root") else DECIMAL
        line = re.match(f"{key} {pattern}\n", rest)
        check(line, f"an entry has no {key}")
        fields[key] = int(line[1]) if pattern == DECIMAL else bytes.fromhex(line[1])
        limit = 1 << 64 if key == "number" else 253402300800000 if key.endswith("-at") else 1 << 63
        check(pattern == DIGEST or fields[key] < limit, f"an entry's {key} is too large")
        rest = rest[line.end():]
    check(not rest, "an entry has a line too many")
    return fields

def time(milliseconds):
    passed = datetime.timedelta(milliseconds=milliseconds)
    return (datetime.datetime(1970, 1, 1) + passed).isoformat(timespec="milliseconds") + "Z"

def listed(blocks, *names):
    lines = [" ".join([f"{b['shard']}/{b['sequence']}/{b['stage']}", *(b[name].hex() for name in names)]) for b in blocks]
    return len(lines), root([leaf(line.encode()) for line in lines])

def verify_receipt(receipt, wanted, trusted, consistency):
    own, ident = checkpoint(receipt["checkpoint"]), receipt["id"]
    entries = [entry(item["text"]) for item in receipt["entries"]]
    kinds, numbers = [item["kind"] for item in entries], {item["number"] for item in entries}
    check(kinds in (["deletion"], ["deletion", "certificate"]) and len(numbers) == 1, "the entries are others")
    deletion, certificate = entries[0], entries[1] if len(entries) == 2 else None
    later = ("masked", "purged", "repaired", "certified") if certificate else ()
    times = {"accepted": time(deletion["accepted-at"]), **{name: time(certificate[name + "-at"]) for name in later}}
    said = {"run": own[0], "deletion": deletion["number"], "state": "certified" if certificate else "masked",
            "times": times, "erasure": certificate["erasure"] if certificate else []}
    check(all(receipt[name] == value for name, value in said.items()), "a field is not what the entries say")
    for item in receipt["entries"]:
        top = climb(leaf(item["text"].encode()), item["index"], own[1], item["proof"])
        check(top == own[2], "an entry is not in the ledger")
    check(climb(leaf(ident["commitment"]), ident["index"], deletion["records"], ident["proof"])
          == deletion["commitments"], "the commitment is not in the deletion")
    check(listed(receipt["masked"], "commitment") == (deletion["blocks-masked"], deletion["masked"]), "masked differs")
    made = (certificate["replacements"], certificate["replacements-root"]) if certificate else (0, root([]))
    check(listed(receipt["replacements"], "key", "artifact") == made, "the replacements differ")
    check(wanted is None or hmac.digest(ident["salt"], wanted, "sha256") == ident["commitment"], "the id is another")
    if trusted is not None and own != trusted:
        check(own[0] == trusted[0] and own[1] != trusted[1], "the trusted checkpoint has another origin or root")
        check(consistency, "the sizes differ: a consistency proof is needed")
        check_consistency(*sorted((own, trusted), key=lambda item: item[1]), consistency["hashes"])

def verify(data, wanted=None, trusted=None, consistency=None):
    """Returns what holds, or raises `Refused`, whatever the bytes are."""
    try:
        document = opened(data, RECEIPT)
        trusted = None if trusted is None else checkpoint(trusted.decode("ascii"))
        verify_receipt(document, wanted, trusted, consistency and opened(consistency, PROOF))
        return document["state"] + " receipt"
    except (ValueError, RecursionError) as problem:
        raise Refused(f"malformed: {problem}") from problem

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--id", type=str.encode)
    for name in ("--checkpoint", "--consistency"):
        parser.add_argument(name, type=pathlib.Path)
    options = parser.parse_args()
    try:
        read = [path and path.read_bytes() for path in (options.file, options.checkpoint, options.consistency)]
        what = verify(read[0], options.id, *read[1:])
    except (Refused, OSError) as problem:
        print(f"REFUSED: {problem}")
        return 1
    print(f"holds: {what}" + ("" if options.checkpoint else "; held to no checkpoint you trust"))
    return 0
if __name__ == "__main__":
    sys.exit(main())
