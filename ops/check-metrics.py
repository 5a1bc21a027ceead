#!/usr/bin/env python3
"""Holds a live coordinator's metrics and the alert rules against Prometheus' own tool.

usage: ops/check-metrics.py

Starts a run over the tiny BERT, trains, deletes, and asks /livez, /readyz and /metrics; the metrics
go through `promtool check metrics`, ops/alerts/lethe.rules.yaml through `check rules` and `test
rules`. Every metric of a rule must be exported, and every alert has its runbook. The part that
needs promtool is SKIPPED where it is missing (apt-get install prometheus).
"""
import http.client
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))
from runs import ROOT, Run, record_line, tool  # noqa: E402

RULES = ROOT / "ops/alerts/lethe.rules.yaml"


def get(run, path, token=None):
    connection = http.client.HTTPConnection(*run.address, timeout=30)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.getheader("Content-Type"), answer.read().decode()


def need(holds, what):
    if not holds:
        raise SystemExit(f"check-metrics: {what}")


def scrape():
    with tempfile.TemporaryDirectory() as folder:
        run = Run(folder, [record_line(f"r{index}", index) for index in range(60)], policy="eager")
        run.start()
        try:
            need(get(run, "/livez")[0] == 200, "/livez fails")
            status, _, text = get(run, "/readyz")
            need(status == 200 and "[+] disk" in text, f"/readyz says {status}: {text}")
            need(get(run, "/metrics")[0] == 401, "/metrics needs no token")
            run.worker()
            for command in (["train", "--watch"], ["delete", "r1", "--wait", "certified"]):
                code, _, errors = tool(*command, "--run", run.run_file)
                need(code == 0, errors)
            status, kind, text = get(run, "/metrics", run.token)
            need(status == 200, f"/metrics says {status}: {text}")
            need(kind == "text/plain; version=0.0.4; charset=utf-8", f"it calls itself {kind}")
            return text
        finally:
            run.stop()


def main():
    text = scrape()
    for line in ("lethe_records_deleted_total 1", 'lethe_deletions{state="certified"} 1',
                 'lethe_shard_depth{shard="0"} 2', "lethe_deletions_overdue 0",
                 'lethe_http_request_duration_seconds_count{kind="delete"} 1'):
        need(f"{line}\n" in text, f"the metrics lack {line}:\n{text}")
    need("r1" not in re.sub(r"# .*", "", text), "a record's id stands in the metrics")
    rules = RULES.read_text()
    exported = set(re.findall(r"^(lethe_\w+?)(?:_bucket|_sum|_count)?[{ ]", text, re.M))
    for name in set(re.findall(r"\blethe_\w+", rules)):
        need(name in exported or re.sub(r"_(bucket|sum|count)$", "", name) in exported,
             f"a rule reads {name}, which is not exported")
    alerts = re.findall(r"- alert: (\w+)", rules)
    for name in alerts:
        page = ROOT / f"ops/runbooks/{name}.md"
        need(page.exists(), f"{page.relative_to(ROOT)} is missing")
        need(f"ops/runbooks/{name}.md" in rules, f"{name} does not name its runbook")
    if not shutil.which("promtool"):
        print("check-metrics: promtool SKIPPED: it is not here; apt-get install prometheus")
        return
    tests = RULES.with_name("lethe.tests.yaml")
    for command, source in ((["check", "metrics"], text), (["check", "rules", RULES], None),
                            (["test", "rules", tests], None)):
        done = subprocess.run(["promtool", *map(str, command)], input=source, text=True,
                              capture_output=True)
        need(done.returncode == 0 and "error" not in done.stderr,
             f"promtool {' '.join(map(str, command[:2]))}: {done.stdout}{done.stderr}")
    print(f"check-metrics: {len(exported)} metrics, {len(alerts)} alerts: promtool agrees")


main()
