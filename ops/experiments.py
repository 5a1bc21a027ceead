#!/usr/bin/env python3
"""Trains the layouts next to each other on real text, evaluates them, and prints the tables.

usage: ops/experiments.py [--phase train|evaluate|tables] [--jobs N] [--only TEXT] [--list]

For each of two data sets (ops/fetch-data wordnet10 movies), three seeds, and S3T with 3 and with
6 slices beside a single adapter, heads alone, and an adapter per shard: one run, kept in
.cache/experiments/NAME. S3T with one sequence (SISA) is the first sequence of the runs with
three: the same blocks, bit for bit. Then three changes of the recipe at the same cost. What is
done is not done again, so the script can be stopped and started at any time.

  train      what is not trained yet
  evaluate   what is trained and not evaluated yet: lethe evaluate, into NAME/evaluation.json
  tables     ops/results/experiments.md from what is evaluated

Without --phase all three. --jobs (default: all cores) runs go on at a time, with a worker of one
thread each. --only: runs whose name contains TEXT.
"""
import argparse
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LETHE = os.environ.get("LETHE", str(ROOT / ".build/release/lethe"))
FOLDER = ROOT / ".cache/experiments"
BACKBONE = ROOT / ".cache/minilm"
SHARDS = 5
EPOCHS = 2
SEEDS = (1, 2, 3)
# Rows of each data set for training and for testing, chosen by the hash of their ids.
SIZES = {"wordnet10": (8_000, 2_000), "movies": (3_000, 1_000)}
SHAPES = {
    "s3t-L3": ["--layout", "s3t", "--slices", "3", "--sequences", "3"],
    "s3t-L6": ["--layout", "s3t", "--slices", "6", "--sequences", "3"],
    "adapter-per-shard": ["--layout", "adapter-per-shard"],
    "full": ["--layout", "full"],
    "head-only": ["--layout", "head-only"],
}
# Changes of the recipe, as replacements in the run file.
CHANGES = {
    "closed-form": ('headStart: "zero"', 'headStart: "closed-form"'),
    "rate-0.7": ("// stageRateFactor: 1,", "stageRateFactor: 0.7,"),
}


class Experiment:
    """One run: a data set, a shape, a seed, and perhaps a change of the recipe."""

    def __init__(self, data, shape, seed, change=None):
        self.data, self.shape, self.seed, self.change = data, shape, seed, change
        self.name = "-".join(filter(None, (data, shape, change, f"seed{seed}")))
        self.folder = FOLDER / self.name
        self.run_file = self.folder / "run.json5"
        self.trained = self.folder / "trained"
        self.evaluation = self.folder / "evaluation.json"

    def write_run_file(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        key = hashlib.sha256(f"experiment {self.seed}".encode()).hexdigest()
        shards = [] if self.shape == "full" else ["--shards", str(SHARDS)]
        lethe("init", "--data", extract(self.data), "--backbone", BACKBONE, "--name", self.name,
              *SHAPES[self.shape], *shards, "--seed", self.seed, "--partition-key", key,
              "--output", self.run_file, "--force")
        text = replaced(self.run_file.read_text(), "epochs: 3", f"epochs: {EPOCHS}")
        text = replaced(
            text, f'"{self.name}.lethe"', json.dumps(str(self.folder / "run.lethe")))
        if self.change:
            text = replaced(text, *CHANGES[self.change])
        self.run_file.write_text(text)

    def train(self):
        if not self.run_file.exists():
            self.write_run_file()
        begin = time.monotonic()
        with Processes(self, ["up", "--workers", "1"]):
            lethe("train", "--watch", "--run", self.run_file)
        self.trained.write_text(f"{time.monotonic() - begin:.1f}\n")
        say(f"trained {self.name} in {time.monotonic() - begin:.0f} s")


class Processes:
    """A coordinator, with or without a worker, while something asks it."""

    def __init__(self, experiment, verb):
        self.experiment, self.verb = experiment, verb

    def __enter__(self):
        endpoint = self.experiment.folder / "run.lethe/endpoint.json"
        with open(self.experiment.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [LETHE, *self.verb, "--run", str(self.experiment.run_file)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        began = time.time()
        while self.process.poll() is None:
            try:
                if endpoint.stat().st_mtime >= began - 1 and json.loads(endpoint.read_text()):
                    return self
            except (OSError, ValueError):
                pass
            time.sleep(0.1)
        raise SystemExit(f"it ended: see {self.experiment.folder}/log")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def replaced(text, old, new):
    if old not in text:
        raise SystemExit(f"the run file that lethe init wrote has no {old!r}")
    return text.replace(old, new)


def lethe(*arguments):
    done = subprocess.run([LETHE, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"lethe {arguments[0]}: {done.stderr or done.stdout}")
    return done.stdout


extracting = threading.Lock()


def extract(data):
    """The rows that take part."""
    path = FOLDER / f"{data}.jsonl"
    with extracting:
        if not path.exists():
            rows = [json.loads(line) for line in open(ROOT / f".cache/data/{data}.jsonl")]
            rows.sort(key=lambda row: hashlib.sha256(row["id"].encode()).digest())
            chosen = []
            for split, size in zip(("train", "test"), SIZES[data]):
                chosen += [row for row in rows if row["split"] == split][:size]
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_suffix(".aside")
            aside.write_text("".join(json.dumps(row) + "\n" for row in chosen))
            aside.rename(path)
    return path


def say(text):
    print(f"experiments: {text}", file=sys.stderr, flush=True)


def experiments(only):
    """The plain shapes first, a seed after another; then the changes."""
    found = [
        Experiment(data, shape, seed)
        for seed in SEEDS for shape in SHAPES for data in SIZES]
    found += [
        Experiment(data, "s3t-L3", seed, change)
        for data in SIZES for seed in SEEDS for change in CHANGES]
    return [one for one in found if only in one.name]


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
    parser.add_argument("--phase", choices=["train", "evaluate", "tables"])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    chosen = experiments(options.only)
    if options.list:
        for one in chosen:
            print(one.name, "trained" if one.trained.exists() else "")
        return
    if options.phase in (None, "train"):
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(Experiment.train, [one for one in chosen if not one.trained.exists()]))


if __name__ == "__main__":
    main()
