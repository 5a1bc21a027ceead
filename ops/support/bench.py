"""What ops/bench runs, once everything is built."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LETHE = ROOT / ".build/release/lethe"
BACKBONE = ROOT / ".cache/minilm"
RECORDS = ROOT / "Tests/Fixtures/wordnet10/records.jsonl"
LABELS = "artifact,person,animal,plant,location,food,substance,body,time,feeling"


def run(command):
    """A command's JSON output, its seconds, and the most memory it held in MiB."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"bench: failed with {process.returncode}: {' '.join(map(str, command))}")
    return json.loads(output), time.monotonic() - start, usage.ru_maxrss / 1024


def lethe(*arguments):
    return run([LETHE, *map(str, arguments), "--format", "json"])


def torch(*arguments):
    script = ROOT / "ops/bench-pytorch.py"
    return run([sys.executable, script, BACKBONE, *map(str, arguments), "--json"])


def median(values):
    return statistics.median(values)


class Report:
    """Rows of a section: a name, Lethe's figure, PyTorch's, their ratio."""

    def __init__(self):
        self.sections = {}

    def section(self, name, unit, more_is_better=True):
        self.rows = self.sections.setdefault(name, [])
        self.better = more_is_better
        print(f"\n{name} ({unit})\n{'':34}{'Lethe':>10}{'PyTorch':>10}{'ratio':>8}", flush=True)

    def row(self, name, ours, theirs=None, note=""):
        ratio = None
        if theirs:
            ratio = ours / theirs if self.better else theirs / ours
        self.rows.append({"name": name, "lethe": ours, "pytorch": theirs, "ratio": ratio,
                          "note": note})
        def text(value, width):
            return f"{value:{width}.2f}" if value is not None else " " * width
        print(f"{name:34}{text(ours, 10)}{text(theirs, 10)}{text(ratio, 8)}  {note}".rstrip(),
              flush=True)


def stages(report, options):
    report.section("single stages", "examples a second")
    for case in "abcd":
        for stage in (1, 3, 6):
            ours, shares, theirs, half = [], [], [], []
            for _ in range(options.repetitions):
                result = lethe("bench", "engine", "--backbone", BACKBONE, "--cases", case,
                               "--stages", stage, "--repetitions", 1)[0]["rows"][0]
                ours.append(result["examplesPerSecond"]["median"])
                shares.append(result["shareOfProductRate"])
                if options.torch:
                    arguments = ("--cases", case, "--stages", stage, "--steps", 5)
                    theirs.append(torch(*arguments)[0]["rows"][0]["examplesPerSecond"])
                    half.append(torch(*arguments, "--bf16")[0]["rows"][0]["examplesPerSecond"])
            note = f"{median(shares):.0%} of sgemm"
            if half:
                note += f"; PyTorch in bf16 {median(half):.1f}"
            report.row(f"{case}, stage {stage}", median(ours), median(theirs) if theirs else None,
                       note)


def schedule(report, options):
    report.section("whole sequence", "seconds", more_is_better=False)
    for case in "ca":
        kinds = {"as shipped": [], "bf16": ["--bf16"]}
        if case == "c":
            kinds["grouped by length"] = ["--grouped"]
        if options.compile:
            kinds["compiled"] = ["--compile"]
        ours, prefix, theirs = [], [], {kind: [] for kind in kinds}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as plan:
            for _ in range(options.repetitions):
                result = lethe("bench", "schedule", "--backbone", BACKBONE, "--case", case)[0]
                ours.append(result["seconds"])
                prefix.append(result["prefixSeconds"])
                plan.seek(0)
                json.dump(result, plan)
                plan.truncate()
                plan.flush()
                if options.torch:
                    for kind, flags in kinds.items():
                        theirs[kind].append(torch("--schedule", plan.name, *flags)[0]["seconds"])
        note = f"{median(prefix):.2f} s in frozen layers"
        if not options.torch:
            report.row(case, median(ours), note=note)
            continue
        for kind in kinds:
            report.row(f"{case}, PyTorch {kind}", median(ours), median(theirs[kind]), note)
            note = ""


def memory(report, options):
    report.section("peak memory of training", "MiB", more_is_better=False)
    for case in "ac":
        for stage in (1, 3, 6):
            ours = lethe("bench", "engine", "--backbone", BACKBONE, "--cases", case, "--stages",
                         stage, "--repetitions", 1, "--steps", 2)[2]
            theirs = None
            if options.torch:
                theirs = torch("--cases", case, "--stages", stage, "--steps", 2)[2]
            report.row(f"{case}, stage {stage}", ours, theirs)


def start(report, options):
    report.section("start to first step, 32 texts", "seconds", more_is_better=False)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "32.jsonl"
        data.write_text("".join(RECORDS.read_text().splitlines(True)[:32]))
        for number in range(3 * options.repetitions):
            ours.append(lethe(
                "train-block", "--backbone", BACKBONE, "--data", data, "--labels", LABELS,
                "--layers", 5, "--rank", 16, "--batch-size", 32, "--steps", 1, "--output",
                f"{folder}/{number}")[1])
        if options.torch:
            for _ in range(options.repetitions):
                theirs.append(torch("--cases", "d", "--stages", 1, "--steps", 1, "--warm-up", 0)[1])
    report.row("one step of the top layer", median(ours), median(theirs) if theirs else None)


def workers(report, options):
    report.section("two processes on two cores", "sequences a minute")
    command = [LETHE, "bench", "schedule", "--backbone", BACKBONE, "--format", "json"]

    def together(count):
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(count)]
        seconds = [json.loads(process.communicate()[0])["seconds"] for process in processes]
        return sum(60 / value for value in seconds)

    one, two = [], []
    for _ in range(options.repetitions):
        one.append(together(1))
        two.append(together(2))
    report.row("one", median(one))
    report.row("two", median(two), note=f"{median(two) / median(one):.2f} times one")


def coordinator(report, options):
    report.section("coordinator", "blocks a second")
    results = [lethe("bench", "coordinator", "--seconds", 5)[0]
               for _ in range(options.repetitions)]
    report.row(
        "500 workers", median([result["cyclesPerSecond"] for result in results]),
        note=f"{median([result['peakResidentMegabytes'] for result in results]):.0f} MB at most")


def serve(report, options):
    report.section("predictions, batches of 32", "texts a second")
    script = ROOT / "ops/bench-serve.py"
    names = {"one": "one model", "ensemble": "5 shards at half depth"}
    if options.torch:
        rows = run([sys.executable, script, BACKBONE, "--lethe", LETHE, "--json",
                    *(["--compile"] if options.compile else [])])[0]["rows"]
        for row in rows:
            report.row(f"{row['case']}, {names[row['model']]}", row["lethe"]["examplesPerSecond"],
                       row["pytorch"]["examplesPerSecond"],
                       f"one text {row['lethe']['textMs']['median']:.1f} ms, PyTorch "
                       f"{row['pytorch']['textMs']['median']:.1f} ms ({row['pytorch']['way']})")
        return
    for row in lethe("bench", "serve", "--backbone", BACKBONE)[0]["rows"]:
        if row["model"] in names:
            report.row(f"{row['name']}, {names[row['model']]}", row["examplesPerSecond"],
                       note=f"one text {row['textMs']['median']:.1f} ms")


def cache(report, options):
    report.section("memory for activations", "seconds", more_is_better=False)
    for row in lethe("bench", "cache", "--backbone", BACKBONE)[0]["rows"]:
        report.row(row["memory"], row["seconds"],
                   note=f"{row['frozenSeconds']:.2f} s in frozen layers; slices found "
                        f"{row['hits']}, computed {row['misses']}")


def ingest(report, options):
    report.section("from JSON lines to a durable run", "records a second")
    result = lethe("bench", "ingest", "--repetitions", options.repetitions)[0]
    report.row(f"{result['records']} records", result["recordsPerSecond"]["median"],
               note=f"{result['recordsPerProcessorSecond']['median']:.0f} a second of processor "
                    "time")


def deletions(report, options):
    report.section("deletions", "milliseconds to the answer, p99", more_is_better=False)
    sizes = "10000,100000,1000000" + (",10000000" if options.large else "")
    result = lethe("bench", "deletions", "--records", sizes, "--deletions", 400)[0]
    for row in result["rows"]:
        report.row(f"{row['records']} records", row["alone"]["percentile99"],
                   note=f"median {row['alone']['median']:.2f}; processor "
                        f"{row['processorMillisecondsPerDeletion']:.2f} ms each; start "
                        f"{row['startSeconds']:.1f} s")
    report.row("largest ÷ smallest, p99", result["percentile99Growth"])
    report.row("largest ÷ smallest, processor", result["processorGrowth"])
    report.row("bytes of memory a record", result["privateBytesPerRecord"])


SECTIONS = {function.__name__: function
            for function in (
                stages, schedule, memory, start, workers, serve, cache, coordinator, ingest,
                deletions)}


def main():
    parser = argparse.ArgumentParser(prog="ops/bench")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, with commas")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="ten million records, too")
    parser.add_argument("--compile", action="store_true", help="PyTorch also with torch.compile")
    parser.add_argument("--json", metavar="FILE", help="write every figure there")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if not set(chosen) <= set(SECTIONS) or options.repetitions < 1:
        parser.error(f"--only knows {', '.join(SECTIONS)}; --repetitions is at least 1")
    options.torch = subprocess.run(
        [sys.executable, "-c", "import torch, transformers, peft"],
        stderr=subprocess.DEVNULL).returncode == 0
    if not options.torch:
        print("SKIPPED: PyTorch's side, as this Python has no torch, transformers and peft "
              "(Tests/Reference/requirements.txt)")
    report = Report()
    for name in chosen:
        SECTIONS[name](report, options)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(report.sections, indent=1) + "\n")


if __name__ == "__main__":
    main()
