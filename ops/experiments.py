#!/usr/bin/env python3
"""Trains the layouts next to each other on real text, evaluates them, and prints the tables.

usage: ops/experiments.py [--phase train|evaluate|tables] [--jobs N] [--only TEXT] [--list]
                          [--no-changes]

For each of two data sets (ops/fetch-data wordnet10 movies), three seeds, and S3T with 3 and with
6 slices beside a single adapter, heads alone, and an adapter per shard: one run, kept in
.cache/experiments/NAME. S3T with one sequence (SISA) is the first sequence of the runs with
three: the same blocks, bit for bit. Then two changes of the recipe at the same cost, on WordNet. What is
done is not done again, so the script can be stopped and started at any time.

  train      what is not trained yet
  evaluate   what is trained and not evaluated yet: lethe evaluate, into NAME/evaluation.json
  tables     ops/results/experiments.md, and recipe-changes.md beside it, from what is evaluated;
             a table whose runs are not here stays as it is

Without --phase all three. --jobs (default: all cores) runs go on at a time, with a worker of one
thread each. --only: runs whose name contains TEXT; --no-changes: the paper's recipe alone.
"""
import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))
from waiting import wait_for  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
LETHE = os.environ.get("LETHE", str(ROOT / ".build/release/lethe"))
FOLDER = ROOT / ".cache/experiments"
BACKBONE = ROOT / ".cache/minilm"
SHARDS = 5
EPOCHS = 2
SEEDS = (1, 2, 3)
# Rows of each data set for training and for testing, chosen by the hash of their ids.
SIZES = {"wordnet10": (8_000, 2_000), "movies": (3_000, 1_000)}
# Texts that are evaluated, and deletions that are played without repair, so many times.
TEXTS = 500
DELETIONS, TRIALS = 100, 100
MARKS = (0, 1, 2, 5, 10, 15, 20, 30, 40, 50, 75, 100)
RESULTS = ROOT / "ops/results/experiments.md"
CHANGED = ROOT / "ops/results/recipe-changes.md"
SHAPES = {
    "s3t-L3": ["--layout", "s3t", "--slices", "3", "--sequences", "3"],
    "s3t-L6": ["--layout", "s3t", "--slices", "6", "--sequences", "3"],
    "adapter-per-shard": ["--layout", "adapter-per-shard"],
    "full": ["--layout", "full"],
    "head-only": ["--layout", "head-only"],
}
# Changes of the recipe, as replacements in the run file, and what they are tried on.
CHANGED_DATA = "wordnet10"
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

    def evaluate(self):
        with Processes(self, ["coordinator"]):
            report = lethe(
                "evaluate", "--run", self.run_file, "--limit", TEXTS, "--deletions", DELETIONS,
                "--trials", TRIALS, "--seed", self.seed, "--format", "json")
        aside = self.evaluation.with_suffix(".aside")
        aside.write_text(report)
        aside.rename(self.evaluation)
        say(f"evaluated {self.name}")

    def ensemble(self, sequences=None):
        """The run as it is, or with its first sequence alone."""
        report = json.loads(self.evaluation.read_text())
        wanted = sequences or report["ensembles"][0]["sequences"]
        return next(one for one in report["ensembles"] if one["sequences"] == wanted)


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

        def is_ready():
            try:
                return endpoint.stat().st_mtime >= began - 1 and json.loads(endpoint.read_text())
            except (OSError, ValueError):
                return False

        wait_for("the coordinator's start", lambda: is_ready() or self.process.poll() is not None,
                 quiet=60, pause=0.1)
        if self.process.poll() is None:
            return self
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
        Experiment(CHANGED_DATA, "s3t-L3", seed, change) for seed in SEEDS for change in CHANGES]
    return [one for one in found if only in one.name]


def spread(values):
    """Mean and deviation over seeds, in per cent."""
    deviation = f" ± {100 * statistics.stdev(values):4.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):5.1f}{deviation}"


def table(rows):
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(
            text.ljust(width) if place == 0 else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths))) + " |"
        for row in rows]
    rule = "|" + "|".join(
        "-" * (width + 2) if place == 0 else "-" * (width + 1) + ":"
        for place, width in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def stream(ensemble, name="uniform", rule="mean-logits", serving="deepest"):
    """Points of a deletion stream by the number of deletions."""
    found = next(
        one for one in ensemble["deletions"]
        if (one["stream"], one["aggregation"]) == (name, rule)
        and one.get("serving", "deepest") == serving)
    return {point["deletions"]: point for point in found["points"]}


# Rows of the tables: what is compared, the runs' shape, and how many of its sequences.
ROWS = [
    ("s3t, L=3, B=3", "s3t-L3", None), ("sisa, L=3 (B=1)", "s3t-L3", 1),
    ("s3t, L=6, B=3", "s3t-L6", None), ("sisa, L=6 (B=1)", "s3t-L6", 1),
    ("adapter per shard", "adapter-per-shard", None), ("full", "full", None),
    ("head only", "head-only", None),
]


def evaluated(runs):
    """Finds what is evaluated, by data, shape and change."""
    done = [one for one in runs if one.evaluation.exists()]

    def seeds(data, shape, change=None):
        return [
            one for one in done if (one.data, one.shape, one.change) == (data, shape, change)]

    return seeds


def tables(seeds):
    """The results as Markdown: every number comes from an evaluation."""
    parts = ["# Layouts side by side on real text", "", INTRODUCTION]
    for data in SIZES:
        if not seeds(data, "s3t-L3"):
            continue
        train, test = (sum(f'"split": "{split}"' in line for line in open(extract(data)))
                       for split in ("train", "test"))
        parts += [f"\n## {data}: {train:,} training records, "
                  f"{min(test, TEXTS):,} of {test:,} test texts\n"]
        quality, curves = [], []
        for name, shape, sequences in ROWS:
            found = [one.ensemble(sequences) for one in seeds(data, shape)]
            if not found:
                continue
            served = [one["served"]["quality"] for one in found]
            loss = statistics.mean(one["loss"] for one in served)
            repair = statistics.mean(one["repair"]["layerPasses"] for one in found)
            report = json.loads(seeds(data, shape)[0].evaluation.read_text())
            full = report["fullRetraining"]["layerPasses"]
            quality.append([
                name, str(len(found)), spread([one["accuracy"] for one in served]),
                spread([one["macroF1"] for one in served]), f"{loss:.3f}",
                spread([one["calibrationError"] for one in served]),
                f"{100 * repair / full:.0f} %"])
            curves.append([name] + [
                spread([stream(one)[mark]["quality"] for one in found]).split(" ± ")[0].strip()
                for mark in MARKS])
        parts.append(table([[
            "layout", "seeds", "accuracy %", "macro-F1 %", "loss", "calibration error %",
            "repair"]] + quality))
        parts.append("\nAccuracy % after so many deletions of random records, nothing repaired:\n")
        parts.append(table([["layout"] + [str(mark) for mark in MARKS]] + curves))
        parts.append("\nAccuracy % if no shard serves more than so many blocks:\n")
        for shape, depth in (("s3t-L3", 3), ("s3t-L6", 6)):
            found = [one.ensemble() for one in seeds(data, shape)]
            if found:
                parts.append(table([
                    [f"{shape}, depth"] + [str(k + 1) for k in range(depth)],
                    ["accuracy %"] + [
                        spread([one["byDepth"][k]["quality"]["accuracy"] for one in found])
                        for k in range(depth)]]) + "\n")
        parts.append(combinations(data, seeds))
        parts.append(changes(data, seeds))
    return "\n".join(filter(None, parts)) + "\n"


def combinations(data, seeds):
    """Ways to make one answer of the same blocks; they cost no training."""
    rows = []
    for shape in ("s3t-L3", "s3t-L6"):
        reports = [json.loads(one.evaluation.read_text()) for one in seeds(data, shape)]
        for place, rule in enumerate(reports[0]["rules"] if reports else []):
            scores = [one["rules"][place]["score"]["quality"] for one in reports]
            loss = statistics.mean(one["loss"] for one in scores)
            rows.append([
                f"{shape}, {rule['serving']}, {rule['aggregation']}", str(len(scores)),
                spread([one["accuracy"] for one in scores]), f"{loss:.3f}",
                spread([one["calibrationError"] for one in scores])])
    return (
        "\nWays to make one answer of the same blocks (B=3), nothing deleted; the first is S3T's:"
        "\n\n" + table([["serving, aggregation", "seeds", "accuracy %", "loss",
                         "calibration error %"]] + rows) + "\n")


def change_row(name, found, rule="mean-logits", serving="deepest"):
    return (
        [name, str(len(found))]
        + [spread([one["byDepth"][k]["quality"]["accuracy"] for one in found])
           if (rule, serving) == ("mean-logits", "deepest") else "" for k in range(3)]
        + [spread([stream(one, rule=rule, serving=serving)[mark]["quality"] for one in found])
           for mark in (0, 5, 10, 20, 30)])


CHANGE_HEAD = ["s3t, L=3, B=3", "seeds", "depth 1", "depth 2", "depth 3"] + [
    str(mark) for mark in (0, 5, 10, 20, 30)]


def changes(data, seeds):
    """Ways to answer that cost no training, while records leave."""
    everything = [one.ensemble() for one in seeds(data, "s3t-L3")]
    rows = [
        change_row("the recipe", everything),
        change_row("depth-weighted", everything, "depth-weighted"),
        change_row("every sequence", everything, serving="every-sequence"),
        change_row("every sequence, depth-weighted", everything, "depth-weighted",
                   "every-sequence")]
    return (
        "\nThe same blocks: accuracy % by depth, and after so many deletions:\n\n"
        + table([CHANGE_HEAD] + rows))


def recipe_changes(seeds):
    """Changes of the training at the same cost, and the recipe where its runs are here."""
    rows = []
    for change in [None, *CHANGES]:
        found = [one.ensemble() for one in seeds(CHANGED_DATA, "s3t-L3", change)]
        if found:
            rows.append(change_row(change or "the recipe", found))
    return CHANGES_INTRODUCTION + table([CHANGE_HEAD] + rows) + "\n"


CHANGES_INTRODUCTION = f"""\
# Two changes of the recipe at the same cost
Made by `ops/fetch-data wordnet10 && ops/experiments.py`, or by `ops/experiments.py --phase tables`
from runs that are there. {CHANGED_DATA}, otherwise as in experiments.md, whose rows "the recipe"
are what these compare with: the same seeds, rows and texts.

- closed-form: `training.headStart: "closed-form"`, the first stage's head begins at the ridge
  solution on frozen features of its own records instead of zero.
- rate-0.7: `training.stageRateFactor: 0.7`, each stage learns at 0.7 times the rate of the one
  before.

Accuracy % by depth, and after so many deletions:

"""

INTRODUCTION = f"""\
Made by `ops/fetch-data wordnet10 movies && ops/experiments.py`, which can be stopped and started;
`ops/experiments.py --phase tables` writes this file again. MiniLM-L6, m = {SHARDS} shards,
{EPOCHS} epochs, otherwise the recipe that `lethe init` writes; the mean over seeds {SEEDS[0]} to
{SEEDS[-1]} and their deviation. A seed decides the partition, the adapters' start and the order of
records. SISA is the first sequence of the S3T run, the same blocks. Deletions: {TRIALS} trials on
each seed; where no shard answers, a guess counts. `repair` is the training that one deletion of a
random record costs, in records × layers of an epoch, as a share of training one adapter on all
records again. Accuracies of {TEXTS} texts are good to ± 1.5 points; the texts are the same for
every row."""


def each(action, runs, jobs):
    """One run's failure does not stop the others, but the script in the end."""
    def attempt(one):
        try:
            action(one)
        except SystemExit as problem:
            say(f"{one.name}: {problem}")
            return one.name
        return None

    with ThreadPoolExecutor(jobs) as pool:
        failed = list(filter(None, pool.map(attempt, runs)))
    if failed:
        raise SystemExit(f"experiments: failed, try again: {' '.join(failed)}")


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
    parser.add_argument("--phase", choices=["train", "evaluate", "tables"])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--no-changes", action="store_true")
    options = parser.parse_args()
    chosen = [
        one for one in experiments(options.only) if not (options.no_changes and one.change)]
    if options.list:
        for one in chosen:
            state = "evaluated" if one.evaluation.exists() else "trained"
            print(one.name, state if one.trained.exists() else "")
        return
    if options.phase in (None, "train"):
        each(Experiment.train, [one for one in chosen if not one.trained.exists()], options.jobs)
    if options.phase in (None, "evaluate"):
        each(Experiment.evaluate, [
            one for one in chosen if one.trained.exists() and not one.evaluation.exists()],
            options.jobs)
    if options.phase in (None, "tables"):
        seeds = evaluated(experiments(""))
        if all(seeds(data, "s3t-L3") for data in SIZES):
            RESULTS.write_text(tables(seeds))
            say(f"wrote {RESULTS.relative_to(ROOT)}")
        if any(seeds(CHANGED_DATA, "s3t-L3", change) for change in CHANGES):
            CHANGED.write_text(recipe_changes(seeds))
            say(f"wrote {CHANGED.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
