#!/usr/bin/env python3
"""Crash tests of the built executable: what is acknowledged as deleted must stay deleted.

Every subcommand makes runs of its own over the tiny BERT, in a temporary folder, with real
processes, and prints one line with its figures. Ends with 0 when nothing was violated, 1 otherwise.
What a machine cannot do is printed as SKIPPED. Build first: swift build -c release
"""
import argparse
import ctypes
import fcntl
import json
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))
from runs import (  # noqa: E402
    LETHE, ROOT, Run, Unanswered, read_reply, record_line, report, tool, whole)
from waiting import Late, patience, wait_for  # noqa: E402


def purged_or(problems, run):
    """Waits until deletions are purged; if that is in vain, it is a problem."""
    try:
        run.wait_purged()
    except Late as late:
        problems.append(str(late))


# MARK: - kill


def train(run):
    return tool("train", "--watch", "--timeout", whole(20), "--run", run.run_file)


def kill_command(options, folder):
    """SIGKILL at random times during deletions, predictions, training and backups."""
    chance = random.Random(options.seed)
    problems, times, acknowledged_count, interrupted = [], [], 0, 0
    trained, backups = 0, 0
    for policy in ("manual", "eager"):
        size = options.size
        ids = [f"r{index}" for index in range(size)]
        run = Run(folder / policy, [record_line(i, n) for n, i in enumerate(ids)], policy=policy)
        run.start()
        run.worker()
        run.ask("POST", "/v1/train")
        # Blocks must stand before deletions can mask some and repair can replace them.
        code, output, errors = train(run)
        if code:
            problems.append(f"{policy}: the first training did not finish: {output}{errors}")
        chance.shuffle(ids)
        cycles = options.cycles // 2
        acknowledged, last, position = set(), set(), 0
        lock = threading.Lock()
        try:
            for cycle in range(cycles):
                quota = ids[position:position + max(1, size // cycles)] or ["nobody"]
                position += len(quota)
                ended = threading.Event()
                last = set()
                hits = {"train": 0, "backup": 0}
                delay = chance.uniform(0.01, 0.3)
                pause = 2 * delay / max(1, len(quota) / 4)

                def deleting(part):
                    nonlocal interrupted
                    while part and not ended.is_set():
                        batch = [part.pop() for _ in range(min(len(part), chance.randint(1, 3)))]
                        try:
                            answer = run.delete(batch)
                        except Unanswered:
                            with lock:
                                interrupted += 1
                            return
                        with lock:
                            for i, item in answer.items():
                                if item["outcome"] in ("accepted", "duplicate"):
                                    acknowledged.add(i)
                                    last.add(i)
                        time.sleep(chance.uniform(0, pause))

                def aiming(one):
                    # So that many kills find a deletion somewhere on its way.
                    time.sleep(max(0, delay - chance.uniform(0, 0.006)))
                    deleting(one)

                def predicting():
                    while not ended.is_set():
                        try:
                            run.ask("POST", "/v1/predictions", {"records": [{"text": "a bird"}]})
                            if chance.random() < 0.2:
                                hits["train"] += run.ask("POST", "/v1/train")[0] == 200
                        except Unanswered:
                            return
                        time.sleep(0.01)

                def backing_up():
                    target = run.folder / f"backup-{cycle}"
                    try:
                        done = run.ask("POST", "/v1/backups", {"path": str(target)})
                        hits["backup"] += done[0] == 200
                    except Unanswered:
                        pass

                aimed = [quota.pop()]
                jobs = [threading.Thread(target=deleting, args=(quota[k::2],)) for k in (0, 1)]
                jobs.append(threading.Thread(target=aiming, args=(aimed,)))
                jobs.append(threading.Thread(target=predicting))
                if chance.random() < 0.15:
                    jobs.append(threading.Thread(target=backing_up))
                for job in jobs:
                    job.start()
                time.sleep(delay)
                run.kill()
                ended.set()
                for job in jobs:
                    job.join()
                shutil.rmtree(run.folder / f"backup-{cycle}", ignore_errors=True)
                backups += hits["backup"]
                times.append(run.start())
                if run.workers[-1].poll() is not None:
                    run.worker()
                sample = chance.sample(sorted(acknowledged), min(50, len(acknowledged)))
                lost = run.violations(last.union(sample)) if acknowledged else []
                problems += [f"{policy}, cycle {cycle}: {i} was undone" for i in lost]
                # Unanswered requests are nobody's promise: the next cycles ask again.
            problems += [f"{policy}, end: {i} was undone" for i in run.violations(acknowledged)]
            if run.workers[-1].poll() is not None:
                run.worker()
            if acknowledged:
                purged_or(problems, run)
            code, output, errors = train(run)
            if code:
                problems.append(f"{policy}: repair did not finish after the last restart: "
                                f"{output}{errors}")
            trained += run.status()["blocksTrained"]
            code, output, errors = tool("verify", "--run", run.run_file)
            if code:
                problems.append(f"{policy}: lethe verify: {output}{errors}")
            if problem := run.journal_problem():
                problems.append(f"{policy}: journal: {problem}")
            problems += [f"{policy}: {problem}" for problem in run.leftovers(acknowledged)]
            acknowledged_count += len(acknowledged)
        finally:
            run.stop()
    return report("kill", problems, (
        f"{len(times)} kills, {acknowledged_count} acknowledged deletions, {interrupted} requests "
        f"cut off, {len(problems)} lost or undone; {backups} backups, "
        f"{trained} blocks repaired at the end; "
        f"start to ready median {statistics.median(times) * 1000:.0f} ms, "
        f"max {max(times) * 1000:.0f} ms"))


# MARK: - syscalls and trace

KINDS = ("write", "pwrite64", "fdatasync", "fsync", "rename", "renameat", "unlink", "openat",
         "ftruncate", "mkdir", "flock", "sendto", "sendmsg", "pread64", "read")


def have_strace():
    if not shutil.which("strace") and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-qq", "-y", "strace"], capture_output=True)
    if not shutil.which("strace"):
        return False
    # Containers may forbid it.
    return subprocess.run(
        ["strace", "-o", os.devnull, "true"], capture_output=True).returncode == 0


def attach(process, strace):
    """Traces a process that runs already: what its start did is then not counted."""
    tracer = subprocess.Popen(
        [*strace, "-q", "-p", str(process.pid)], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def is_traced():
        if process.poll() is not None or tracer.poll() is not None:
            return True
        try:
            tasks = [p.read_text() for p in Path(f"/proc/{process.pid}/task").glob("*/status")]
            return tasks and not any("TracerPid:\t0\n" in task for task in tasks)
        except OSError:
            return False  # A thread ended meanwhile.

    try:
        wait_for("strace to be attached to the coordinator", is_traced, pause=0.002)
    except Late:
        tracer.kill()
        raise
    # The fault may hit it before all of its threads were seen to be traced.
    if tracer.poll() is not None and process.poll() is None:
        complaint = tracer.stderr.read().decode(errors="replace").strip()
        raise SystemExit(f"strace could not attach to the coordinator: {complaint}")
    return tracer


def tracer_of(process):
    """The strace of a process that was started by `strace -D`."""
    return re.search(r"TracerPid:\t(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1]


def wait_ended(process):
    """Waits until a process that is not our child has ended, and so has written all it will."""
    def has_ended():
        try:
            return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except OSError:
            return True

    wait_for(f"the end of process {process}", has_ended, pause=0.002)


def scripted(run, strace, phase, ids, limit=None):
    """Start, one deletion, its purge. What was acknowledged, and whether the process lived.

    With a fault, of which nothing may come, for no longer than `limit` seconds.
    """
    begin, run.script_seconds = time.monotonic(), None
    prefix = [strace[0], "-D", *strace[1:]] if phase == "start" else []
    try:
        if run.start(prefix, must=False, limit=limit) is None:
            return set(), False
    except Late:
        return set(), True  # What a fault can do; the restart decides.
    tracer = attach(run.coordinator, strace) if phase == "ready" else None
    try:
        acknowledged, is_certified = deletion_script(run, ids, limit)
        if is_certified:
            run.script_seconds = time.monotonic() - begin
        return acknowledged, run.coordinator.poll() is None
    finally:
        run.kill()
        if tracer:
            tracer.wait()


def deletion_script(run, ids, limit):
    """What was acknowledged, and whether it came to the end."""
    acknowledged = set()

    def is_over():
        # Certified is the last state. A purge that fails says so, and is tried again seconds later.
        states = run.states(limit)
        if states and set(states) == {"certified"}:
            return "certified"
        return '"purge_failed"' in run.said()

    try:
        answer = run.delete(ids, limit=limit)
        acknowledged = {i for i, item in answer.items() if item["outcome"] == "accepted"}
        end = wait_for("the end of a deletion", is_over, seen=run.said, pause=0.01, limit=limit)
        return acknowledged, end == "certified"
    except (Unanswered, KeyError, TypeError, Late):
        # It is ending, or not: a figure, and nothing else hangs on it.
        time.sleep(0.05)
    return acknowledged, False


def calls_by_thread(log):
    counts = {}
    for line in log.read_text(errors="replace").splitlines():
        if found := re.match(r"(\d+) +([a-z0-9_]+)\(", line):
            key = (found[2], found[1])
            counts[key] = counts.get(key, 0) + 1
    most = {}
    for (name, _), count in counts.items():
        most[name] = max(most.get(name, 0), count)
    total = {}
    for (name, _), count in counts.items():
        total[name] = total.get(name, 0) + count
    return most, total


def template(folder):
    run = Run(folder, [record_line(f"r{n}", n) for n in range(60)], policy="eager")
    run.start()
    run.kill()
    return run


def syscalls_command(options, folder):
    """SIGKILL at every system call of a scripted deletion; then EIO, ENOSPC and short writes."""
    if not have_strace():
        print("syscalls: SKIPPED: strace cannot be installed or may not trace here")
        return 0
    base = template(folder / "base")
    chance = random.Random(options.seed)
    points, errors, counted, longest = [], [], [], 0
    reading = ("read", "pread64", "sendto", "sendmsg", "flock")
    # strace counts each thread's calls by themselves, and the first thread to get to N is hit. So
    # that the start's calls do not hide the deletion's, the script is gone through twice: traced
    # from its start, and traced from when the coordinator is ready.
    for phase in ("start", "ready"):
        plain, log = base.copy(folder / f"plain-{phase}"), folder / f"strace-{phase}.log"
        acknowledged, lived = scripted(
            plain, ["strace", "-f", "-o", str(log), "-e", "trace=" + ",".join(KINDS)], phase,
            ["r7"])
        plain.stop()
        if not acknowledged or not lived or plain.script_seconds is None:
            return report("syscalls", [
                f"the script fails without any fault ({phase}): {plain.said()}"], "")
        longest = max(longest, plain.script_seconds)
        most, total = calls_by_thread(log)
        calls = ", ".join(f"{k} {total[k]}" for k in KINDS if k in total)
        counted.append(f"from {phase}: {calls}")
        found = [(phase, k, n) for k in KINDS for n in range(1, most.get(k, 0) + 1)]
        points += [(*point, "signal=SIGKILL") for point in found]
        errors += [point for point in found if point[1] not in reading]
    kill_points = len(points)
    if options.points and kill_points > options.points:
        points = chance.sample(points, options.points)
    killed = len(points)
    short = [point for point in errors if point[1] in ("write", "pwrite64")]
    for fault, places in (("error=EIO", errors), ("error=ENOSPC", errors), ("retval=4", short)):
        chosen = chance.sample(places, min(options.errors, len(places)))
        points += [(*point, fault) for point in chosen]
    problems, tally, lock = [], {}, threading.Lock()

    def count(what):
        with lock:
            tally[what] = tally.get(what, 0) + 1

    def attempt(numbered):
        number, (phase, kind, when, fault) = numbered
        label = f"from {phase}, {kind} {when} {fault}"
        run = base.copy(folder / f"point-{number}")
        try:
            acknowledged, lived = scripted(run, [
                "strace", "-f", "-o", os.devnull, "-e", f"trace={kind}",
                "-e", f"inject={kind}:{fault}:when={when}"], phase, ["r7"],
                10 * longest)
            group = fault.partition("=")[2]
            count(f"{group} acknowledged" if acknowledged else f"{group} not acknowledged")
            count(f"{group} went on" if lived else f"{group} ended")
            run.kill()
            if run.start(must=False) is None:
                # A write that lied about its length is damage; refusing it aloud is right.
                if fault == "retval=4" and "error" in run.log.read_text(errors="replace"):
                    count("4 refused at restart")
                    return
                text = run.log.read_text(errors="replace")[-600:]
                with lock:
                    problems.append(f"{label}: no clean restart: {text}")
                return
            wrong = run.violations(acknowledged) if acknowledged else []
            journal = run.journal_problem()
            with lock:
                problems.extend(f"{label}: {i} was acknowledged and is lost" for i in wrong)
                if journal:
                    problems.append(f"{label}: journal: {journal}")
        except Unanswered as error:
            with lock:
                problems.append(f"{label}: no answer after a clean restart: {error}")
        except Late as late:
            with lock:
                problems.append(f"{label}: no clean restart: {late}")
        finally:
            run.stop()
            shutil.rmtree(run.folder, ignore_errors=True)

    with ThreadPoolExecutor(options.parallel) as pool:
        list(pool.map(attempt, enumerate(points)))
    tallied = ", ".join(f"{k} {v}" for k, v in sorted(tally.items()))
    return report("syscalls", problems, (
        f"calls of the script {'; '.join(counted)}; {killed} of {kill_points} kill points, "
        f"{len(points) - killed} error points; {tallied}"))


def trace_command(options, folder):
    """Shows in a trace that both journal copies are synced before the reply leaves."""
    if not have_strace():
        print("trace: SKIPPED: strace cannot be installed or may not trace here")
        return 0
    run = template(folder / "base")
    log = folder / "strace.log"
    problems, shown = [], []
    try:
        run.start(["strace", "-D", "-f", "-y", "-s", "4096", "-o", str(log), "-e",
                   "trace=fdatasync,fsync,pwrite64,read,recvfrom,recvmsg,write,sendto,sendmsg"])
        for n in range(options.deletions):
            run.delete([f"r{n}"])
        tracer = tracer_of(run.coordinator)
    finally:
        run.stop()
    wait_ended(tracer)
    # Completed calls at the line where they return; started ones at the line where they begin.
    pending, syncs, replies, asked = {}, [], [], None
    for number, line in enumerate(log.read_text(errors="replace").splitlines()):
        found = re.match(r"(\d+) +(.*)", line)
        if not found:
            continue
        thread, text = found[1], found[2]
        if text.endswith("<unfinished ...>"):
            pending[thread] = text
        whole = text
        if text.startswith("<... "):
            whole = pending.pop(thread, "") + text
        if "POST /v1/deletions" in whole and re.match(r"(read|recv)", whole):
            asked, syncs = number, []
        if re.match(r"f(data)?sync\(", whole) and not text.endswith("<unfinished ...>"):
            copy = re.search(r"journal-([ab])/", whole)
            if copy and re.search(r"= 0$", whole):
                syncs.append((copy[1], number))
        if re.match(r"(write|send)", text) and "acknowledgedAfterMs" in text and asked is not None:
            replies.append(number)
            copies = {copy for copy, at in syncs if asked < at < number}
            if copies != {"a", "b"}:
                problems.append(f"the reply at line {number} left after syncs of {sorted(copies)}")
            else:
                shown.append(f"{asked}<{min(a for c, a in syncs)}<{number}")
            asked = None
    if len(replies) != options.deletions:
        problems.append(f"{len(replies)} replies were found in the trace")
    return report("trace", problems, (
        f"{len(replies)} replies, each sent after fdatasync of journal-a and of journal-b "
        f"returned 0"))


# MARK: - group and bulk


def hammer(run, ids, clients, retry=2):
    """Deletes single ids with many clients at once; the number acknowledged."""
    groups = [ids[k::clients] for k in range(clients)]
    done = [0] * clients

    def work(index):
        for i in groups[index]:
            for _ in range(retry):
                try:
                    if run.delete([i])[i]["outcome"] in ("accepted", "duplicate"):
                        done[index] += 1
                    break
                except Unanswered:
                    time.sleep(0.01)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done)


def volley(run, ids):
    """Sends one deletion an id, all but the last byte, then the last bytes all at once."""
    requests = [run.request_bytes("POST", "/v1/deletions", {"ids": [i]}) for i in ids]
    sockets = []
    for request in requests:
        connection = socket.create_connection(run.address, patience())
        connection.sendall(request[:-1])
        sockets.append(connection)
    for connection, request in zip(sockets, requests):
        connection.send(request[-1:])
    accepted = 0
    for connection in sockets:
        with connection:
            status, answer = read_reply(connection)
            accepted += status == 200 and answer["requests"][0]["outcome"] == "accepted"
    return accepted


def group_command(options, folder):
    """Many clients that delete at once share syncs: at least 10 acknowledgements a sync."""
    ids = [f"r{n}" for n in range(options.size)]
    run = Run(folder / "run", [record_line(i, n) for n, i in enumerate(ids)])
    run.start()
    try:
        before, begin, accepted = run.status()["journalSyncs"], time.monotonic(), 0
        for at in range(0, len(ids) // 2, options.clients):
            accepted += volley(run, ids[at:min(at + options.clients, len(ids) // 2)])
        seconds = time.monotonic() - begin
        ratio = accepted / max(run.status()["journalSyncs"] - before, 1)
        rest = ids[len(ids) // 2:]
        before, begin = run.status()["journalSyncs"], time.monotonic()
        loose = hammer(run, rest, options.clients)
        loose_seconds = time.monotonic() - begin
        loose_ratio = loose / max(run.status()["journalSyncs"] - before, 1)
    finally:
        run.stop()
    problems = [] if ratio >= 10 else [f"only {ratio:.1f} acknowledgements a sync"]
    if accepted + loose < len(ids):
        problems.append(f"{len(ids) - accepted - loose} deletions were not acknowledged")
    return report("group", problems, (
        f"{options.clients} clients at once: {accepted} deletions, {ratio:.1f} a sync "
        f"({2 * ratio:.1f} a batch, which syncs both copies), {accepted / seconds:.0f}/s; "
        f"clients in their own time (bound by Python): "
        f"{loose_ratio:.1f} a sync, {loose / loose_seconds:.0f}/s"))


def bulk_command(options, folder):
    """One request with many ids is acknowledged in less than 2 seconds."""
    count = options.records
    run = Run(folder / "run", (record_line(f"r{n}", n) for n in range(count)), shape=(8, 4, 2))
    begin = run.start(quiet=180)
    try:
        ids = [f"r{n * (count // options.ids)}" for n in range(options.ids)]
        started = time.monotonic()
        answer = run.delete(ids, quiet=12)
        seconds = time.monotonic() - started
        accepted = sum(item["outcome"] == "accepted" for item in answer.values())
        run.kill()
        again = run.start(quiet=60)
        lost = run.violations(ids)
    finally:
        run.stop()
    problems = [f"{i} was undone" for i in lost]
    if accepted != len(ids):
        problems.append(f"{accepted} of {len(ids)} were accepted")
    if seconds >= 2:
        problems.append(f"the acknowledgement took {seconds:.2f} s")
    return report("bulk", problems, (
        f"{accepted} ids of {count} records acknowledged after {seconds * 1000:.0f} ms; first "
        f"start with ingestion {begin:.1f} s, restart after SIGKILL {again:.2f} s"))


# MARK: - replay


def replay_command(options, folder):
    """A start over a long journal is ready in less than 2 seconds."""
    # A deletion makes two frames: that it was accepted, and that nothing is left to repair.
    ids = [f"r{n}" for n in range(options.frames // 2)]
    run = Run(folder / "run", (record_line(i, n) for n, i in enumerate(ids)), shape=(4, 4, 2))
    run.start(quiet=60)
    try:
        # Purges and housekeeping would write snapshots and retire the frames to be replayed.
        # Both need the slices, so that they only complain while these are elsewhere.
        slices, aside = run.directory / "slices", run.folder / "slices-aside"
        slices.rename(aside)
        begin = time.monotonic()
        accepted = 0
        for at in range(0, len(ids), 64):
            accepted += volley(run, ids[at:at + 64])
        building = time.monotonic() - begin
        run.kill()
        aside.rename(slices)
        code, output, _ = tool(
            "journal", "verify", "--format", "json", "--run", run.run_file)
        entries = json.loads(output)["entries"]
        seconds = run.start(quiet=12)
        lost = run.violations(ids)
    finally:
        run.stop()
    problems = [f"{i} was undone" for i in lost]
    if entries < options.frames:
        problems.append(f"the journal holds only {entries} frames")
    if seconds >= 2:
        problems.append(f"the start took {seconds:.2f} s")
    return report("replay", problems, (
        f"{entries} frames, ready after {seconds:.2f} s; {accepted} deletions in {building:.0f} s"))


# MARK: - canaries


def canaries_command(options, folder):
    """Deleted ids and texts are in no file of the run, no export, no log and no memory."""
    def canary(n):
        # Lower case and unbroken, so that what the tokenizer makes of a word is found as well.
        return f"canary-{uuid.uuid4().hex}", [f"canary{uuid.uuid4().hex}" for _ in range(2)]

    gone = [canary(n) for n in range(options.records)]
    kept = [canary(n) for n in range(options.records // 4)]
    lines = [record_line(i, n, f"a {w[0]} tree {w[1]}") for n, (i, w) in enumerate(gone + kept)]
    random.Random(options.seed).shuffle(lines)
    run = Run(folder / "run", lines, policy="eager")
    lost_needles = [text.encode() for i, words in gone for text in (i, *words)]
    kept_needles = [text.encode() for i, words in kept for text in (i, *words)]
    needles, control = folder / "needles", folder / "control"
    needles.write_bytes(b"\n".join(lost_needles))
    control.write_bytes(b"\n".join(kept_needles))
    exported = run.folder / "export"
    problems, figures = [], []

    def memory(process, file):
        done = subprocess.run(
            [sys.executable, ROOT / "ops/scan-memory.py", str(process.pid), file],
            capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def files(wanted):
        """Hits and bytes in everything but the operator's own two files."""
        pattern = re.compile(b"canary-?[0-9a-f]{32}")
        wanted, hits, size = set(wanted), {}, 0
        places = [p for p in run.folder.rglob("*") if p.is_file()]
        for path in places:
            if path in (run.folder / "records.jsonl", run.run_file):
                continue
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                # A block that is being stored: renamed since the listing, to a name of its own.
                continue
            size += len(content)
            found = sum(match in wanted for match in pattern.findall(content))
            if found:
                hits[str(path.relative_to(run.folder))] = found
        return hits, size, len(places)

    try:
        run.start()
        workers = [run.worker(), run.worker()]
        code, output, errors = train(run)
        if code:
            problems.append(f"training: {output}{errors}")
        code, _, errors = tool("export", "--all", "--output", exported, "--run", run.run_file)
        if code:
            problems.append(f"export: {errors}")
        exported_before = sum(p.is_file() for p in exported.rglob("*"))
        before, _, _ = files(lost_needles)
        if not before:
            problems.append("no canary was found before, so the search proves nothing")
        listed = folder / "ids"
        listed.write_text("".join(i + "\n" for i, _ in gone))
        # The request itself, too, must leave nothing behind.
        code, _, errors = tool(
            "delete", "--from", listed, "--wait", "purged", "--timeout", whole(30),
            "--run", run.run_file)
        if code:
            problems.append(f"delete: {errors}")
        hits, size, count = files(lost_needles)
        problems += [f"{n} hits in {path}" for path, n in hits.items()]
        figures.append(f"0 hits in {count} files of {size >> 20} MiB" if not hits else "hits")
        for name, process in [("coordinator", run.coordinator), *(("worker", w) for w in workers)]:
            code, text = memory(process, needles)
            if code:
                problems.append(f"memory of a {name}: {text}")
            figures.append(f"{name}: {text.strip().splitlines()[-1].split(' of process')[0]}")
        # The retained ones must still be found, or reading the files has failed.
        if not files(kept_needles)[0]:
            problems.append("the retained canaries are not found either")
    finally:
        run.stop()
    # What ended processes left behind, such as a core file or a crash report.
    problems += [f"{n} hits in {path} at the end" for path, n in files(lost_needles)[0].items()]
    return report("canaries", problems, (
        f"{options.records} records deleted of {len(lines)}, {exported_before} exported files; "
        f"{sum(before.values())} hits before; after: {'; '.join(figures)}"))


# MARK: - powerloss

NEW_MOUNT_NAMESPACE = 0x20000
SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
UNSYNCED = """
import os, sys
for n in range(50):
    with open(f"{sys.argv[1]}/unsynced-{n}", "wb") as file: file.write(b"x" * 4096)
"""


class Mount:
    """An ext4 image on a loop device; only ever touches its own mount point."""

    def __init__(self, folder):
        # A namespace made meanwhile would hold on to what was cut off: it would not go with umount,
        # and the next mount would be it again.
        if ctypes.CDLL(None, use_errno=True).unshare(NEW_MOUNT_NAMESPACE):
            raise OSError(f"unshare: {os.strerror(ctypes.get_errno())}")
        self.call("mount", "--make-rprivate", "/")
        self.image, self.point = folder / "image", folder / "mount"
        self.point.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(128 << 20)
        self.call("mkfs.ext4", "-q", "-F", self.image)
        self.is_mounted = False

    @staticmethod
    def call(*arguments):
        done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True)
        if done.returncode:
            raise OSError(f"{arguments[0]}: {done.stderr.strip()}")

    def mount(self):
        self.call("mount", "-o", "loop", self.image, self.point)
        self.is_mounted = True

    def unmount(self):
        if not self.is_mounted:
            return
        complaints = []

        def is_unmounted():
            try:
                self.call("umount", self.point)
                return True
            except OSError as error:
                complaints[:] = [error]
                return False

        try:
            wait_for("the image to be unmounted", is_unmounted, seen=lambda: complaints, pause=0.1)
        except Late:
            self.call("umount", "-l", self.point)
        self.is_mounted = False

    def cut_power(self):
        # The ioctl goes to whatever file system holds the folder: it must be ours.
        if not os.path.ismount(self.point) or self.point.stat().st_dev == ROOT.stat().st_dev:
            raise SystemExit("the image is not mounted; nothing was shut down")
        descriptor = os.open(self.point, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, NO_LOG_FLUSH.to_bytes(4, "little"))
        finally:
            os.close(descriptor)


def powerloss_command(options, folder):
    """A disk that loses all that was not synced still holds every acknowledged deletion."""
    if os.geteuid() != 0:
        print("powerloss: SKIPPED: mounting an image takes root")
        return 0
    if not shutil.which("mkfs.ext4") or not os.path.exists("/dev/loop-control"):
        print("powerloss: SKIPPED: no mkfs.ext4 or no loop devices here")
        return 0
    problems, times, lost_control, acknowledged = [], [], 0, []
    mount = run = None
    try:
        try:
            mount = Mount(folder)
            mount.mount()
        except OSError as error:
            print(f"powerloss: SKIPPED: {error}")
            return 0
        ids = [f"r{n}" for n in range(60 + options.cycles * 3)]
        run = Run(folder / "run", [record_line(i, n) for n, i in enumerate(ids)],
                  policy="eager", directory=mount.point / "data")
        run.start()
        chance = random.Random(options.seed)
        for cycle in range(options.cycles):
            subprocess.run([sys.executable, "-c", UNSYNCED, str(mount.point)], check=True)
            for i in ids[3 * cycle:3 * cycle + 3]:
                if run.delete([i])[i]["outcome"] == "accepted":
                    acknowledged.append(i)
            # Sometimes into the purge, sometimes before it.
            time.sleep(chance.uniform(0, 0.1))
            mount.cut_power()
            run.kill()
            mount.unmount()
            mount.mount()
            written = list(mount.point.glob("unsynced-*"))
            lost_control += 50 - sum(p.read_bytes() == b"x" * 4096 for p in written)
            for path in written:
                path.unlink()
            times.append(run.start())
            problems += [f"cycle {cycle}: {i} was undone" for i in run.violations(acknowledged)]
            if problem := run.journal_problem():
                problems.append(f"cycle {cycle}: journal: {problem}")
        purged_or(problems, run)
    finally:
        if run:
            run.stop()
        if mount:
            mount.unmount()
    if not lost_control:
        problems.append("files that were never synced survived: the test has no teeth")
    return report("powerloss", problems, (
        f"{options.cycles} power cuts, {len(acknowledged)} acknowledged deletions kept; control: "
        f"{lost_control} of {50 * options.cycles} unsynced files lost; start to ready median "
        f"{statistics.median(times) * 1000:.0f} ms, max {max(times) * 1000:.0f} ms"))


# MARK: - command line


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of every random choice")
    commands = parser.add_subparsers(dest="command", required=True)
    add_commands(commands)
    options = parser.parse_args()
    if not os.access(LETHE, os.X_OK):
        print(f"no executable at {LETHE}; swift build -c release", file=sys.stderr)
        return 69
    with tempfile.TemporaryDirectory(prefix="lethe-crash-") as folder:
        return options.body(options, Path(folder))


def add_commands(commands):
    def add(name, body, **sizes):
        command = commands.add_parser(name, help=body.__doc__, description=body.__doc__)
        command.set_defaults(body=body)
        for option, (default, text) in sizes.items():
            command.add_argument(
                f"--{option}", type=type(default), default=default, help=f"{text} ({default})")

    add("kill", kill_command, cycles=(200, "kills, half of them under each repair policy"),
        size=(750, "records of each of the two runs"))
    add("syscalls", syscalls_command, points=(0, "kill points to sample; 0 for every one"),
        errors=(100, "points of each kind of error"), parallel=(4, "points at a time"))
    add("trace", trace_command, deletions=(10, "deletions to follow"))
    add("replay", replay_command, frames=(20_000, "frames; 100000 in a campaign"))
    add("group", group_command, clients=(64, "clients at once"),
        size=(4_000, "records, all of which are deleted"))
    add("bulk", bulk_command, records=(100_000, "records; 1000000 in a campaign"),
        ids=(10_000, "ids in the one request"))
    add("canaries", canaries_command, records=(1_000, "records to delete; 10000 in a campaign"))
    add("powerloss", powerloss_command, cycles=(20, "power cuts; 1000 in a campaign"))


if __name__ == "__main__":
    sys.exit(main())
