#!/usr/bin/env python3
"""How long deletions take to be masked, purged and repaired, on real text with real processes.

usage: ops/deletion-streams.py [--records N] [--workers N] [--sizes 1,10,100,1000]

Trains MiniLM on N WordNet glosses (3 shards, 3 slices, 3 sequences, 1 epoch), copies the run for
every case, and deletes so many records one request after another:

  uniform      records drawn at random
  subject      people of ten records each, person by person (delete --subject)
  adversarial  by someone who sees the lineage: always from the slice that costs most depth

Prints a table: the acknowledgement, which is also when the records are masked (median and longest
over the stream), from the last request to purged and to repaired, blocks retrained, and depth left
before repair. Writes nothing but .cache/streams/.
"""
import argparse
import json
import random
import shutil
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))
import runs  # noqa: E402
from runs import ROOT, Run, must  # noqa: E402
from waiting import wait_for  # noqa: E402

FOLDER = ROOT / ".cache/streams"
SHAPE = (3, 3, 3)
PERSON = 10


def prepare(count, workers):
    """A trained run over the first glosses, each ten of them of one person."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    rows = [json.loads(line) for line in open(ROOT / ".cache/data/wordnet10.jsonl")]
    rows = [row for row in rows if row["split"] == "train"]
    random.Random(1).shuffle(rows)
    rows = rows[:count]
    for index, row in enumerate(rows):
        row["subject"] = f"person {index // PERSON}"
    runs.BACKBONE = ROOT / ".cache/minilm"
    labels = sorted({row["label"] for row in rows})
    run = Run(FOLDER / "base", [json.dumps(row) + "\n" for row in rows], policy="manual",
              shape=SHAPE, labels=",".join(labels))
    run.start()
    for _ in range(workers):
        run.worker()
    must("train", "--watch", "--run", run.run_file)
    run.stop()
    return run, rows


def requests(kind, run, rows, size):
    """Bodies of the deletions, one request after another."""
    chosen = random.Random(size)
    if kind == "uniform":
        return [{"ids": [row["id"]]} for row in chosen.sample(rows, size)]
    if kind == "subject":
        people = chosen.sample(range(len(rows) // PERSON), (size + PERSON - 1) // PERSON)
        return [{"ids": [], "subject": f"person {person}"} for person in people]
    # The order that lethe simulate worst-case plays; records by the slice they lie in.
    shards, slices, sequences = SHAPE
    order = json.loads(must(
        "simulate", "worst-case", "--shards", shards, "--slices", slices, "--budget", sequences,
        "--format", "json"))["deletions"]
    places = {}
    for row in rows:
        _, answer = run.ask("GET", f"/v1/lineage/records?id={row['id']}")
        places.setdefault((answer["shard"], answer["slice"]), []).append(row["id"])
    bodies = []
    while len(bodies) < size:
        for place in order:
            left = places[(place["shard"], place["slice"])]
            if left and len(bodies) < size:
                bodies.append({"ids": [left.pop()]})
        if not any(places[(place["shard"], place["slice"])] for place in order):
            order = [{"shard": shard, "slice": part} for shard, part in sorted(places)]
            if not any(places.values()):
                break
    return bodies


def reached(run, state):
    """Seconds until every deletion is at least in a state."""
    order = ["masked", "purged", "repaired", "certified"]
    begin = time.monotonic()
    wait_for(f"every deletion to be {state}", quiet=600, seen=run.states, condition=lambda: all(
        order.index(one) >= order.index(state) for one in run.states()))
    return time.monotonic() - begin


def case(base, rows, kind, size, workers):
    run = base.copy(FOLDER / f"{kind}-{size}")
    run.start()
    for _ in range(workers):
        run.worker()
    run.wait_workers(workers)
    bodies = requests(kind, run, rows, size)
    waits, deleted = [], 0
    for body in bodies:
        begin = time.monotonic()
        status, answer = run.ask("POST", "/v1/deletions", body)
        waits.append(1000 * (time.monotonic() - begin))
        if status != 200:
            raise SystemExit(f"status {status}: {answer}")
        deleted += sum(one["outcome"] == "accepted" for one in answer["requests"])
    begin = time.monotonic()
    status = run.status()
    depth = statistics.mean(shard["depth"] for shard in status["shards"])
    masked = status["blocksMasked"]
    reached(run, "purged")
    purged = time.monotonic() - begin
    must("train", "--run", run.run_file)
    reached(run, "repaired")
    repaired = time.monotonic() - begin
    run.stop()
    shutil.rmtree(run.folder)
    return [kind, str(deleted), str(len(bodies)), f"{statistics.median(waits):.1f}",
            f"{max(waits):.1f}", f"{purged:.2f}", f"{repaired:.1f}", str(masked), f"{depth:.2f}"]


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
    parser.add_argument("--records", type=int, default=1500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sizes", default="1,10,100,1000")
    options = parser.parse_args()
    base, rows = prepare(options.records, options.workers)
    table = [["stream", "records", "requests", "ack median ms", "ack longest ms", "purged s",
              "repaired s", "blocks masked", "depth left"]]
    for size in map(int, options.sizes.split(",")):
        for kind in ("uniform", "subject", "adversarial"):
            if size % PERSON and kind == "subject":
                continue
            table.append(case(base, rows, kind, size, options.workers))
            print("deletion-streams: " + " ".join(table[-1]), file=sys.stderr, flush=True)
    print(f"{options.records} records, {options.workers} workers, depth 3 before")
    print("| " + " | ".join(table[0]) + " |\n|" + "|".join(["---"] + ["---:"] * 8) + "|")
    for row in table[1:]:
        print("| " + " | ".join(row) + " |")


main()
