#!/usr/bin/env python3
"""Executes the documentation: every command of the book, the README, Deploy and the runbooks.

usage: ops/check-docs.py [--write] [PAGE ...]

Runs each page's ```sh blocks as one session in a folder of its own, over the tiny BERT or the real
MiniLM, and compares what pages show with what was printed; ops/support/book.py says how a page is
written. Then: pages made from the tool itself are not stale, links lead somewhere, the index names
every page, and the lists of variables and limits are those of the sources. What cannot
be run here is counted and named, with its reason.

With --write, the pages and pictures made from the tool are written anew instead.
"""
import http.client
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))
import book  # noqa: E402
from pictures import pictures  # noqa: E402
from runs import BACKBONE, LETHE, ROOT, Run, must  # noqa: E402
from waiting import patience  # noqa: E402

BOOK = ROOT / "ops/docs"
REFERENCE = BOOK / "reference"
# Of the longest page, on a quiet machine.
PAGE_SECONDS = 60
PEOPLE = ["jane", "omar", "li", "ines", "tom"]
TEXTS = {
    "animal": "a small bird that sings in the old tree",
    "house": "an old house of stone beside the river",
    "food": "bread that is green and small",
}


def records(first, last, label=None):
    """Lines of messages m1, m2, ... by five people, every seventh of them for tests."""
    for n in range(first, last + 1):
        kind = list(TEXTS)[n % 3]
        words = TEXTS[kind].split()
        text = " ".join(words[(n * 5 + k) % len(words)] for k in range(3 + n % 6))
        split = ', "split": "test"' if n % 7 == 5 else ""
        yield (f'{{"id": "m{n}", "text": "{text}", "label": "{label or kind}", '
               f'"subject": "{PEOPLE[n % 5]}"{split}}}\n')


class Example:
    """The small trained run beside which pages are executed, kept as it lies on disk."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        lines = list(records(1, 240))
        (folder / "records.jsonl").write_text("".join(lines))
        tests = [line for line in lines if '"test"' in line]
        (folder / "test.jsonl").write_text("".join(tests))
        must("init", "--data", folder / "records.jsonl", "--backbone", BACKBONE, "--name", "run",
             "--shards", 2, "--slices", 2, "--sequences", 2, "--partition-key", "5a" * 32,
             "--output", folder / "lethe.json5")
        file = folder / "lethe.json5"
        text = file.read_text().replace("epochs: 3", "epochs: 4")
        file.write_text(re.sub(r"repair: \{.*?\}", 'repair: { policy: "eager" }', text))
        run = self.running(folder)
        try:
            before = metrics_of(run)
            must("train", "--watch", "--run", file)
            self.metrics = before + metrics_of(run)
        finally:
            run.stop()

    @staticmethod
    def running(folder):
        run = object.__new__(Run)
        run.folder, run.directory = folder, folder / "run.lethe"
        run.run_file, run.log = folder / "lethe.json5", folder / "processes.log"
        run.coordinator, run.workers = None, []
        run.start()
        run.worker()
        run.worker()
        run.wait_workers(2)
        return run

    def copy(self, folder):
        shutil.copytree(self.folder, folder)


def metrics_of(run):
    connection = http.client.HTTPConnection(*run.address, timeout=patience())
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {run.token}"})
    return connection.getresponse().read().decode()


def metrics_page(exposition):
    lines = [
        "# Metrics", "",
        "What `GET /metrics` tells Prometheus. No label names a record, a block or a worker.",
        "Made by `ops/check-docs.py --write` from a running coordinator.", "",
        "| metric | type | labels | meaning |", "| - | - | - | - |"]
    for name, meaning in dict(re.findall(r"^# HELP (\S+) (.*)$", exposition, re.M)).items():
        kind = re.search(rf"^# TYPE {name} (\w+)$", exposition, re.M)[1]
        samples = re.findall(rf"^{name}(?:_bucket)?\{{(.*?)\}} ", exposition, re.M)
        labels = sorted({f"`{label}`" for sample in samples
                         for label in re.findall(r"(\w+)=", sample)} - {"`le`"})
        lines.append(f"| `{name}` | {kind} | {', '.join(labels)} | {meaning} |")
    return "\n".join(lines) + "\n"


def made_pages(example, folder):
    """Everything that the tool itself decides, by path."""
    must("manual", "--style", "markdown", "--output", folder)
    made = {REFERENCE / page.name: page.read_text() for page in sorted(folder.iterdir())}
    made[REFERENCE / "metrics.md"] = metrics_page(example.metrics)
    return made | {BOOK / "pictures" / name: svg for name, svg in pictures().items()}


def stale(made):
    for path, text in made.items():
        if not path.exists() or path.read_text() != text:
            yield f"{path.relative_to(ROOT)} is stale; try: ops/check-docs.py --write"


def broken_links(pages):
    for page in pages:
        text = re.sub(r"^```.*?^```", "", page.path.read_text(), flags=re.M | re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text):
            target = target[0] or target[1]
            file, _, anchor = target.partition("#")
            if re.match(r"\w+:", target):
                continue
            path = (page.path.parent / file).resolve() if file else page.path
            if not path.exists():
                yield f"{page.name}: {target} leads nowhere"
            elif anchor and anchor not in anchors(path):
                yield f"{page.name}: {target} names no heading"


def anchors(path):
    heads = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def unlisted():
    """Pages the index forgets, and what sources and lists do not have in common."""
    index = (BOOK / "index.md").read_text()
    for path in sorted(BOOK.rglob("*.md")):
        if path.name != "index.md" and f"({path.relative_to(BOOK)})" not in index:
            yield f"ops/docs/index.md does not name {path.relative_to(BOOK)}"
    variables = set(re.findall(r"\[env: (\w+)\]", (REFERENCE / "verbs.md").read_text()))
    listed = names((REFERENCE / "environment.md").read_text())
    yield from (f"environment.md lacks {name}" for name in sorted(variables - listed))


def names(text):
    """What stands in the first column of a page's tables."""
    return {name for row in re.findall(r"^\| (`.*?) \|", text, re.M)
            for name in re.findall(r"`(\w+)`", row)}


def unbounded(example, folder):
    """Limits in the run file's reference that a coordinator does not keep."""
    section = ""
    for line in (REFERENCE / "run-file.md").read_text().splitlines():
        section = match[1] if (match := re.match(r"## `(\w+)`", line)) else section
        if row := re.match(r"\| `(\w+)` \| .*? \| (\d+) to (\d+)\b", line):
            for beyond in (int(row[2]) - 1, int(row[3]) + 1):
                yield from accepted(example, folder, section, row[1], beyond)


def accepted(example, folder, section, name, value):
    """What is wrong with the answer to a value beyond its limits."""
    text = (example.folder / "lethe.json5").read_text()
    changed = re.sub(rf"^(\s*)(?:// )?{name}: [^,\n]*,", rf"\g<1>{name}: {value},", text,
                     count=1, flags=re.M)
    if changed == text:
        changed = text.replace(f"{section}: {{", f"{section}: {{ {name}: {value},", 1)
    if name.endswith("Seconds"):
        changed = changed.replace('policy: "eager"', 'policy: "batched"')
    file = folder / "lethe.json5"
    file.write_text(changed.replace('"run.lethe"', f'"{name}.lethe"'))
    try:
        done = subprocess.run([LETHE, "coordinator", "--run", file], capture_output=True,
                              text=True, timeout=patience())
    except subprocess.TimeoutExpired:
        yield f"run-file.md: a coordinator starts with {name}: {value}"
        return
    if done.returncode != 78 or name not in done.stderr:
        yield f"run-file.md: {name}: {value} is answered with {done.stderr.strip()!r}"


def execute(page, example, folder):
    """Runs one page; what was wrong, or why it was skipped."""
    missing = [n for n in page.needs if not (shutil.which(n) or (ROOT / n).exists())]
    if missing:
        hint = "; try: ops/fetch-backbone" if ".cache/minilm" in missing else ""
        return [], f"SKIPPED: {', '.join(missing)} is not here{hint}"
    if page.beside == "nothing":
        folder.mkdir()
    elif page.beside in ("a trained run", "a stopped run"):
        example.copy(folder)
    else:
        return [f"{page.name}: there is no such thing to run beside: {page.beside}"], ""
    for name in ("ops", "Tests", "Deploy", "Protocols", ".cache"):
        (folder / name).symlink_to(ROOT / name)
    run = Example.running(folder) if page.beside == "a trained run" else None
    try:
        return book.run(page, folder, PAGE_SECONDS), ""
    finally:
        if run:
            run.stop()


def chosen(words):
    if words:
        return [Path(word).resolve() for word in words]
    return [ROOT / "README.md", *sorted(BOOK.rglob("*.md")),
            *sorted((ROOT / "Deploy").rglob("*.md")), *sorted((ROOT / "ops/runbooks").glob("*.md"))]


def main(words):
    writes = "--write" in words
    pages = [book.read(path) for path in chosen([w for w in words if w != "--write"])]
    problems, counts, left = [], Counter(), Counter()
    with tempfile.TemporaryDirectory(prefix="lethe-docs-") as scratch:
        scratch = Path(scratch).resolve()
        example = Example(scratch / "example")
        made = made_pages(example, scratch / "made")
        if writes:
            for path, text in made.items():
                path.write_text(text)
            print(f"check-docs: wrote {len(made)} pages and pictures")
            return 0
        (scratch / "limits").mkdir()
        problems += [*stale(made), *broken_links(pages), *unlisted(),
                     *unbounded(example, scratch / "limits")]
        for number, page in enumerate(pages):
            ran = [block for block in page.blocks if not block.not_run]
            left.update(block.not_run for block in page.blocks if block.not_run)
            if block := book.undeclared(page):
                problems.append(f"{page.name}:{block.line}: the page does not say beside what it "
                                "runs; see ops/support/book.py")
                continue
            if not ran:
                continue
            begin = time.monotonic()
            found, skipped = execute(page, example, scratch / f"page-{number}")
            if skipped:
                left[skipped] += len(ran)
                continue
            problems += found
            counts["blocks"] += len(ran)
            counts["compared"] += sum(block.shown is not None for block in ran)
            counts["pages"] += 1
            print(f"check-docs: {page.name}: {len(ran)} blocks in "
                  f"{time.monotonic() - begin:.1f} s{': FAILED' if found else ''}", flush=True)
    for why, count in sorted(left.items()):
        print(f"check-docs: not run: {count} blocks: {why}")
    for problem in problems:
        print(f"check-docs: {problem}")
    print(f"check-docs: {'FAILED' if problems else 'ok'}: {counts['blocks']} blocks of "
          f"{counts['pages']} pages ran, {counts['compared']} outputs compared, "
          f"{sum(left.values())} blocks not run")
    return 1 if problems else 0


if __name__ == "__main__":
    if sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit(__doc__.strip())
    sys.exit(main(sys.argv[1:]))
