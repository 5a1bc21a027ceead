#!/usr/bin/env python3
"""Holds a live coordinator's metrics, the alert rules and the board against Prometheus' own tool.

usage: ops/check-metrics.py

Starts a run over the tiny BERT, trains, deletes, and asks /livez, /readyz and /metrics; the metrics
go through `promtool check metrics`, ops/alerts/lethe.rules.yaml through `check rules` and `test
rules`. Every metric that a rule or the Grafana board reads must be exported, every alert has its
runbook and every runbook its alert, and every panel says what it shows and in which unit. The part
that needs promtool is SKIPPED where it is missing (apt-get install prometheus).
"""
import http.client
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))
from runs import ROOT, Run, record_line, tool  # noqa: E402
from waiting import patience  # noqa: E402

RULES = ROOT / "ops/alerts/lethe.rules.yaml"
BOARD = ROOT / "ops/grafana/lethe.json"
METRIC = r"\b(?:lethe|process)_\w+"


def get(run, path, token=None):
    connection = http.client.HTTPConnection(*run.address, timeout=patience())
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


def board():
    """What each panel of the board asks for; complains about a panel that people could not read."""
    board = json.loads(BOARD.read_text())
    need(board["uid"] == "lethe-run", "the board's uid is what links lead to: it must not change")
    asked, kinds = [], [v["type"] for v in board["templating"]["list"]]
    need("datasource" in kinds, "the board has no variable for its data source")
    for panel in board["panels"]:
        if panel["type"] == "row":
            continue
        name = f"the panel {panel['title']}"
        need(panel.get("description"), f"{name} does not say what it shows")
        need(panel["fieldConfig"]["defaults"].get("unit"), f"{name} has no unit")
        for target in panel["targets"]:
            need(target["datasource"]["uid"] == "${datasource}", f"{name} names a data source")
            asked.append((name, target["expr"]))
    need(len({p["id"] for p in board["panels"]}) == len(board["panels"]), "two panels share an id")
    return asked


def queries(asked, folder):
    """The board's questions as recording rules, so that promtool parses them."""
    values = {"$job": "lethe", "$__rate_interval": "5m"}
    lines = ["groups:", "- name: board", "  rules:"]
    for number, (_, expression) in enumerate(asked):
        for name, value in values.items():
            expression = expression.replace(name, value)
        lines += [f"  - record: board:{number}", f"    expr: {json.dumps(expression)}"]
    file = Path(folder) / "board.yaml"
    file.write_text("\n".join(lines) + "\n")
    return file


def main():
    began, text = time.time(), scrape()
    for line in ("lethe_records_deleted_total 1", 'lethe_deletions{state="certified"} 1',
                 'lethe_shard_depth{shard="0"} 2', "lethe_deletions_overdue 0",
                 "lethe_job_queue_oldest_age_seconds 0", "lethe_leases_expired_total 0",
                 "lethe_stale_completions_total 0",
                 'lethe_deletion_state_seconds_count{state="certified"} 1',
                 'lethe_http_request_duration_seconds_count{kind="delete"} 1'):
        need(f"{line}\n" in text, f"the metrics lack {line}:\n{text}")
    need("r1" not in re.sub(r"# .*", "", text), "a record's id stands in the metrics")
    silence = float(re.search(r"^lethe_worker_heartbeat_oldest_age_seconds (\S+)", text, re.M)[1])
    # Five seconds are the rule.
    need(0 <= silence < 5 + patience(), f"a live worker is said to be silent for {silence} s")
    rules = RULES.read_text()
    # A family without a series now, such as what blocks wait for, is exported all the same.
    exported = set(re.findall(rf"^# TYPE ({METRIC}) ", text, re.M))
    need({"process_start_time_seconds", "process_cpu_seconds_total", "process_open_fds",
          "process_resident_memory_bytes"} <= exported, "the process's own figures are missing")
    started = float(re.search(r"^process_start_time_seconds (\S+)", text, re.M)[1])
    need(began - 2 < started < time.time() + 2,
         f"the process claims to have started at {started}, and it was not before {began}")
    expressions = re.findall(r"expr: (.*?)\n +(?:for|labels):", rules, re.S)
    need(len(expressions) == rules.count("- alert:"), "an alert without an expression")
    for where, expression in [("a rule", e) for e in expressions] + board():
        for name in set(re.findall(METRIC, expression)):
            need(name in exported or re.sub(r"_(bucket|sum|count)$", "", name) in exported,
                 f"{where} reads {name}, which is not exported")
    alerts = re.findall(r"- alert: (\w+)", rules)
    for name in alerts:
        page = ROOT / f"ops/runbooks/{name}.md"
        need(page.exists(), f"{page.relative_to(ROOT)} is missing")
        need(f"ops/runbooks/{name}.md" in rules, f"{name} does not name its runbook")
    for page in (ROOT / "ops/runbooks").glob("*.md"):
        need(page.stem in alerts, f"{page.relative_to(ROOT)} belongs to no alert")
    if not shutil.which("promtool"):
        print("check-metrics: promtool SKIPPED: it is not here; apt-get install prometheus")
        return
    tests = RULES.with_name("lethe.tests.yaml")
    with tempfile.TemporaryDirectory() as folder:
        for command, source in (
                (["check", "metrics"], text), (["check", "rules", RULES], None),
                (["check", "rules", queries(board(), folder)], None),
                (["test", "rules", tests], None)):
            done = subprocess.run(["promtool", *map(str, command)], input=source, text=True,
                                  capture_output=True)
            need(done.returncode == 0 and "error" not in done.stderr,
                 f"promtool {' '.join(map(str, command[:2]))}: {done.stdout}{done.stderr}")
    print(f"check-metrics: {len(exported)} metrics, {len(alerts)} alerts, "
          f"{len(board())} questions of the board: promtool agrees")


main()
