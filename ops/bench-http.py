#!/usr/bin/env python3
"""Two hundred HTTP clients at once, reading and deleting, while two workers train.

usage: ops/bench-http.py [--clients N] [--seconds N] [--pause SECONDS]

MiniLM on rows of WordNet (ops/fetch-backbone, ops/fetch-data wordnet10), a coordinator and two
workers. Every client has one connection of its own, kept alive, and rests between its questions for
--pause on average (0.5 s): 400 questions a second in all. One question in twenty deletes a record of
its own; the others read: status, shards, one shard, blocks, workers, deletions, one deletion, a
record's and a block's lineage, the ledger's checkpoint. Prints how long answers took, by kind, and
fails if one was no success, if the coordinator grew by more than 64 MiB, or if training stood still.
The goal is a 99th percentile of reads below 50 ms.
"""
import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))
import runs  # noqa: E402
from runs import ROOT, Run, must  # noqa: E402
from waiting import wait_for  # noqa: E402

BACKBONE = ROOT / ".cache/minilm"
DATA = ROOT / ".cache/data/wordnet10.jsonl"
LABELS = "animal,plant,food,person,location,body,artifact,substance,time,feeling"
GROWTH_LIMIT = 64 << 20
RECORDS = 6_000


class Figures:
    def __init__(self):
        self.seconds = {}
        self.failures = []

    def add(self, kind, seconds):
        self.seconds.setdefault(kind, []).append(seconds)


def percentile(values, share):
    ordered = sorted(values)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def questions(rng, ids, key):
    """An endless mix; a deletion names a record that nobody else asks for."""
    reads = [
        ("status", lambda: "/v1/status"), ("shards", lambda: "/v1/shards"),
        ("shard", lambda: f"/v1/shards/{rng.randrange(5)}"), ("blocks", lambda: "/v1/blocks"),
        ("workers", lambda: "/v1/workers"), ("deletions", lambda: "/v1/deletions?last=20"),
        ("record", lambda: f"/v1/lineage/records?id={rng.choice(ids)}"),
        ("block", lambda: f"/v1/lineage/blocks/{key}"),
        ("checkpoint", lambda: "/v1/ledger/checkpoint")]
    mine = iter(ids)
    while True:
        if rng.random() < 0.05:
            yield "delete", "POST", "/v1/deletions", {"ids": [next(mine)]}
        else:
            kind, path = rng.choice(reads)
            yield kind, "GET", path(), None


async def client(run, number, ids, key, options, figures):
    rng = random.Random(number)
    reader, writer = await asyncio.open_connection(*run.address)
    end = time.monotonic() + options.seconds
    await asyncio.sleep(rng.random() * options.pause)
    for kind, method, path, body in questions(rng, ids, key):
        if time.monotonic() >= end:
            break
        content = json.dumps(body).encode() if body else b""
        begun = time.monotonic()
        writer.write((
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {run.token}\r\nContent-Length: {len(content)}\r\n\r\n"
        ).encode() + content)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n")
                      if line.lower().startswith(b"content-length:"))
        answer = await reader.readexactly(length)
        figures.add(kind, time.monotonic() - begun)
        # The block may have a new key by now: a deletion gives it one.
        status = int(head.split()[1])
        if status != 200 and not (kind == "block" and status == 404):
            figures.failures.append(f"{kind}: {status}: {answer[:200]!r}")
        await asyncio.sleep(rng.uniform(0.5, 1.5) * options.pause)
    writer.close()


async def crowd(run, ids, key, options, figures):
    share = len(ids) // options.clients
    results = await asyncio.gather(*(
        client(run, number, ids[number * share:(number + 1) * share], key, options, figures)
        for number in range(options.clients)), return_exceptions=True)
    figures.failures += [repr(one) for one in results if one is not None]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--pause", type=float, default=0.5)
    options = parser.parse_args()
    if not DATA.exists() or not BACKBONE.exists():
        print("bench-http: SKIPPED: ops/fetch-backbone and ops/fetch-data wordnet10 come first")
        return 0
    lines = open(DATA).readlines()
    lines = [line for line in lines if '"train"' in line][:RECORDS]
    ids = [json.loads(line)["id"] for line in lines]
    runs.BACKBONE = BACKBONE
    with tempfile.TemporaryDirectory() as folder:
        run = Run(folder, lines, epochs=3, policy="eager", shape=(5, 3, 3), labels=LABELS)
        run.start()
        for _ in range(2):
            run.worker()
        try:
            must("train", "--run", run.run_file)
            wait_for("the first blocks", lambda: run.status()["blocksTrained"] >= 5, quiet=60,
                     seen=run.status, pause=0.5)
            key = run.ask("GET", "/v1/blocks")[1]["blocks"][0]["key"]
            before, memory = run.status(), run.resident()
            figures = Figures()
            asyncio.run(crowd(run, ids, key, options, figures))
            after, grown = run.status(), run.resident() - memory
        finally:
            run.stop()
    reads = [value for kind, values in figures.seconds.items() if kind != "delete"
             for value in values]
    deletions = figures.seconds.get("delete", [])
    for kind, values in sorted(figures.seconds.items()):
        print(f"{kind:<11} {len(values):6,}  median {percentile(values, 0.5):7.1f} ms  "
              f"99 % {percentile(values, 0.99):7.1f} ms  longest {max(values) * 1000:7.1f} ms")
    total = len(reads) + len(deletions)
    problems = figures.failures
    if grown > GROWTH_LIMIT:
        problems.append(f"the coordinator grew by {grown >> 20} MiB")
    if not any(worker.get("training") for worker in before["workers"] + after["workers"]):
        problems.append("nobody trained")
    return runs.report(
        "bench-http", problems,
        f"{options.clients} clients, {total / options.seconds:.0f} questions/s for "
        f"{options.seconds} s; reads: 99 % within {percentile(reads, 0.99):.1f} ms; "
        f"deletions: 99 % within {percentile(deletions, 0.99):.1f} ms; "
        f"memory +{max(grown, 0) >> 20} MiB")


if __name__ == "__main__":
    sys.exit(main())
