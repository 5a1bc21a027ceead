#!/usr/bin/env python3
"""Holds a living coordinator to Protocols/openapi.yaml with schemathesis.

usage: ops/check-openapi.py [--examples N] [--seed N]

A run of the tiny BERT, trained, with a worker that serves, an alarm-free journal and one deletion.
Schemathesis (from pip, kept in .cache/schemathesis) sends requests that fit the document and
requests that do not: no undocumented status or content type, no 5xx, no answer that differs from
its schema, nothing accepted that should be refused, nothing open without a token. The document
promises that answers may grow; here a field that it does not know is an error. SKIPPED where pip
cannot reach the package.

Three operations are left out: two write a folder of the caller's choice (the tests of lethe backup
and lethe export use them), and the stream of events has no end (ops/check-http.py follows it).
"""
import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))
from runs import ROOT, Run, must, record_line, whole  # noqa: E402

DOCUMENT = ROOT / "Protocols/openapi.yaml"
TOOLS = ROOT / ".cache/schemathesis"
PACKAGES = ["schemathesis==4.32.5", "openapi-spec-validator==0.7.2"]
# Written into folders; the stream of events has no end.
LEFT_OUT = ["/v1/backups", "/v1/exports", "/v1/events"]


def tools():
    """The folder of the programs, or None where they cannot be had."""
    if not (TOOLS / "bin/schemathesis").exists():
        print("check-openapi: fetching schemathesis", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", TOOLS], check=True)
        done = subprocess.run(
            [TOOLS / "bin/pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
            capture_output=True, text=True)
        if done.returncode:
            print(f"check-openapi: SKIPPED: pip cannot fetch it: {done.stderr.strip()[-200:]}")
            return None
    return TOOLS / "bin"


# What is asked for in the right form may be gone, or impossible in the state that the run is in.
SETTINGS = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "410", "422"]
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "409", "410", "413", "415", "422", "431"]
"""

# Runs with the packages' own Python: the document as a file in which answers may not grow, and ids
# and digests of this run stand as examples.
CLOSE = """
import json, sys, yaml
document = yaml.safe_load(open(sys.argv[1]))

def close(node):
    if isinstance(node, dict):
        if node.get("type") == "object" and "properties" in node:
            node.setdefault("additionalProperties", False)
        for value in node.values():
            close(value)
    elif isinstance(node, list):
        for value in node:
            close(value)

close(document["components"]["schemas"])
parameters = document["components"]["parameters"]
for name, value in json.loads(sys.argv[3]).items():
    parameters[name]["example"] = value
json.dump(document, open(sys.argv[2], "w"))
"""


def examples(run):
    """Names that mean something in this run, so that answers other than 404 are seen too."""
    key = artifact = None
    for sequence in run.ask("GET", "/v1/lineage/shards/0")[1]["sequences"]:
        for block in sequence["blocks"]:
            key, artifact = block.get("key", key), block.get("artifact", artifact)
    return json.dumps({
        "RecordID": "r1", "Block": key, "Place": key, "Digest": artifact, "Entry": 0, "From": 1})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    programs = tools()
    if not programs:
        return 0
    subprocess.run([programs / "python", "-m", "openapi_spec_validator", DOCUMENT], check=True,
                   stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as folder:
        lines = [record_line(f"r{index}", index) for index in range(60)]
        run = Run(folder, lines, policy="eager")
        run.start()
        run.worker()
        try:
            must("train", "--watch", "--run", run.run_file)
            must("delete", "r1", "--wait", "certified", "--timeout", whole(6),
                 "--run", run.run_file)
            closed = Path(folder) / "openapi.json"
            subprocess.run([programs / "python", "-c", CLOSE, DOCUMENT, closed, examples(run)],
                           check=True)
            (Path(folder) / "schemathesis.toml").write_text(SETTINGS)
            left_out = [part for path in LEFT_OUT for part in ("--exclude-path", path)]
            done = subprocess.run([
                programs / "schemathesis", "run", closed, "--no-color",
                "--url", f"http://{run.address[0]}:{run.address[1]}",
                "--header", f"Authorization: Bearer {run.token}",
                "--max-examples", str(options.examples), "--seed", str(options.seed),
                "--continue-on-failure", "--generation-database", "none",
                "--request-timeout", str(whole(3)), *left_out],
                cwd=folder, capture_output=True, text=True)
            alive = run.coordinator.poll() is None
        finally:
            run.stop()
    if done.returncode or not alive:
        print(done.stdout[-20_000:], done.stderr[-2_000:], file=sys.stderr)
        print(f"check-openapi: FAILED{'' if alive else ': the coordinator ended'}")
        return 1
    summary = [line.strip() for line in done.stdout.splitlines()
               if re.match(r"Tested:|\d+ generated", line.strip())]
    print(f"check-openapi: ok: {'; '.join(summary)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
