#!/usr/bin/env python3
"""Sends a coordinator what no client should send, and asks what HTTP/1.1 promises.

usage: ops/check-http.py

  malformed   every request of Protocols/vectors/http-malformed.json, whole and in pieces: the
              status that stands there, as problem+json, and a connection that ends; afterwards the
              coordinator lives, and has neither grown nor kept a descriptor
  promises    keep-alive, pipelining, HEAD, ETag, chunks, 100-continue, HTTP/1.0, dates, roles,
              idempotency keys, events, and the ends of slow and silent peers
"""
import json
import re
import select
import socket
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))
import runs  # noqa: E402
from waiting import Late, patience, wait_for  # noqa: E402

VECTORS = runs.ROOT / "Protocols/vectors/http-malformed.json"
GROWTH_LIMIT = 16 << 20
problems = []


def need(condition, text):
    if not condition:
        problems.append(text)


class Peer:
    """One connection, with the bytes that came on it and are not read yet."""

    def __init__(self, run):
        self.run = run
        self.socket = socket.create_connection(run.address, patience())
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, text):
        content = text if isinstance(text, bytes) else text.encode("latin-1")
        self.socket.sendall(content.replace(b"{token}", self.run.token.encode()))

    def more(self):
        try:
            part = self.socket.recv(1 << 16)
        except ConnectionResetError:
            part = b""
        self.rest += part
        return part

    def reply(self, is_head=False):
        """Status, headers and body of the next reply; None at the end of the connection."""
        while b"\r\n\r\n" not in self.rest:
            if not self.more():
                return None
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        status = int(lines[0].split()[1])
        length = int(headers.get("content-length", 0))
        if is_head or status in (100, 304):
            return status, headers, b""
        while len(self.rest) < length:
            if not self.more():
                raise SystemExit("check-http: a reply ends early")
        body, self.rest = self.rest[:length], self.rest[length:]
        return status, headers, body

    def has_ended(self):
        return not self.rest and not self.more()


def need_descriptors(run, count, when):
    """Waits until the coordinator has no more than `count` descriptors."""
    try:
        wait_for(f"descriptors to be closed {when}", lambda: run.descriptors() <= count,
                 seen=lambda: f"{run.descriptors()} where {count} were")
    except Late as late:
        need(False, str(late))


def request(path, method="GET", headers="", body=b"", version="1.1"):
    length = f"Content-Length: {len(body)}\r\nContent-Type: application/json\r\n" if body else ""
    return (f"{method} {path} HTTP/{version}\r\nHost: localhost\r\n"
            f"Authorization: Bearer {{token}}\r\n{length}{headers}\r\n").encode() + body


def octets(parts):
    """A vector's request: texts of Latin-1, and texts to be repeated."""
    return b"".join(
        part.encode("latin-1") if isinstance(part, str) else part[0].encode("latin-1") * part[1]
        for part in parts)


def send_case(run, case, size):
    content = octets(case["request"]).replace(b"{token}", run.token.encode())
    with Peer(run) as peer:
        try:
            for at in range(0, len(content), size):
                peer.socket.sendall(content[at:at + size])
        except (BrokenPipeError, ConnectionResetError):
            pass  # It had heard enough.
        answer = peer.reply()
        name = f"{case['name']}, {size} bytes at a time"
        if answer is None:
            return need(False, f"{name}: no answer")
        status, headers, body = answer
        need(status == case["status"], f"{name}: {status} instead of {case['status']}: {body!r}")
        need(headers.get("content-type") == "application/problem+json", f"{name}: {headers}")
        document = json.loads(body)
        need(document["status"] == status and document["title"] and document["detail"],
             f"{name}: not a problem: {document}")
        if case["layer"] == "parse" or "announced" in case["name"]:
            need(headers.get("connection") == "close" and peer.has_ended(),
                 f"{name}: the connection goes on")
        need(status != 405 or headers.get("allow"), f"{name}: no Allow")
        need(status != 401 or headers.get("www-authenticate"), f"{name}: no WWW-Authenticate")


def malformed(run):
    cases = json.loads(VECTORS.read_text())
    for case in cases[::10]:
        send_case(run, case, 1 << 20)
    memory, open_before = run.resident(), run.descriptors()
    for _ in range(3):
        for case in cases:
            send_case(run, case, 1 << 20)
    for case in cases:
        content = octets(case["request"])
        if len(content) < 2_000:
            send_case(run, case, 1)
        send_case(run, case, 1_000)
    need_descriptors(run, open_before, "after malformed requests")
    grown = run.resident() - memory
    need(grown < GROWTH_LIMIT, f"memory grew by {grown >> 20} MiB")
    need(run.coordinator.poll() is None, "the coordinator ended")
    return f"{len(cases)} malformed requests, memory +{max(0, grown) >> 10} KiB"


def promises(run):
    with Peer(run) as peer:
        peer.send(request("/v1/runs") + request("/v1/plan") + request("/v1/nothing"))
        statuses = [peer.reply()[0] for _ in range(3)]
        need(statuses == [200, 200, 404], f"pipelined: {statuses}")
        peer.send(request("/v1/runs"))
        _, headers, body = peer.reply()
        need(re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d gmt", headers["date"]),
             f"date: {headers['date']}")
        need(headers["cache-control"] == "no-store", f"caches: {headers}")
        peer.send(request("/v1/runs", method="HEAD"))
        status, found, _ = peer.reply(is_head=True)
        need((status, found["content-length"], found["etag"])
             == (200, str(len(body)), headers["etag"]), f"HEAD: {status} {found}")
        peer.send(request("/v1/runs", headers=f"If-None-Match: \"a\", {headers['etag']}\r\n"))
        need(peer.reply()[0] == 304, "If-None-Match with the tag")
        peer.send(request("/v1/runs", headers='If-None-Match: "a"\r\n'))
        need(peer.reply()[0] == 200, "If-None-Match with another tag")
        peer.send(request("http://localhost/v1/runs?"))
        need(peer.reply()[0] == 200, "a whole address as the target")
        peer.send(b"\r\n" + request("/v1/runs", headers="Connection: close\r\n"))
        need(peer.reply()[0] == 200 and peer.has_ended(), "an empty line, then close")
    wanted = json.dumps({"ids": ["r1"]}).encode()
    with Peer(run) as peer:
        chunks = b"5;a=b\r\n" + wanted[:5] + b"\r\n" + b"%x\r\n" % (len(wanted) - 5)
        chunks += wanted[5:] + b"\r\n0\r\n\r\n"
        head = request("/v1/deletions/plan", "POST", "Transfer-Encoding: chunked\r\n")
        peer.send(head + chunks + request("/v1/runs"))
        status, _, body = peer.reply()
        need(status == 200 and json.loads(body)["ids"] == ["r1"], f"chunks: {status} {body}")
        need(peer.reply()[0] == 200, "a request after chunks")
        head = request("/v1/deletions/plan", "POST", "Expect: 100-continue\r\n", wanted)
        peer.send(head[:-len(wanted)])
        need(peer.reply()[0] == 100, "100-continue")
        peer.send(wanted)
        need(peer.reply()[0] == 200, "the answer after 100-continue")
    with Peer(run) as peer:
        peer.send(request("/v1/runs", version="1.0"))
        need(peer.reply()[0] == 200 and peer.has_ended(), "HTTP/1.0 ends")
    with Peer(run) as peer:
        peer.send(request("/v1/runs", headers="Connection: keep-alive\r\n", version="1.0"))
        need(peer.reply()[0] == 200, "HTTP/1.0")
        peer.send(request("/v1/runs"))
        need(peer.reply()[0] == 200, "HTTP/1.0 kept alive")
    return "keep-alive, pipelining, HEAD, ETag, chunks, 100-continue"


def reader_token(run, name):
    path = run.folder / f"{name}.key"
    runs.must("key", "new", "--name", name, "--role", "reader", "--output", path,
              "--run", run.run_file)
    _, identifier, *_, secret = path.read_text().split()
    return f"{identifier}.{secret}"


def roles(run):
    """What each role may ask; nobody else learns more than 401."""
    token, run.token = run.token, reader_token(run, "auditor")
    try:
        for path in ("status", "runs", "plan", "shards", "shards/0", "workers", "blocks",
                     "deletions", "ledger/checkpoint"):
            status = run.ask("GET", f"/v1/{path}")[0] if "checkpoint" not in path else 200
            need(status == 200, f"a reader and {path}: {status}")
        for path in ("lineage/shards/0", "lineage/records?id=r1", "recipe", "why?block=000000"):
            need(run.ask("GET", f"/v1/{path}")[0] == 403, f"a reader and {path}")
        for path in ("deletions", "train", "verify", "predictions", "backups", "audits"):
            need(run.ask("POST", f"/v1/{path}", {})[0] == 403, f"a reader and POST {path}")
    finally:
        run.token = token


def idempotency(run):
    def delete(ids, key):
        with Peer(run) as peer:
            peer.send(request("/v1/deletions", "POST", f"Idempotency-Key: {key}\r\n",
                              json.dumps({"ids": ids}).encode()))
            status, _, body = peer.reply()
            return status, json.loads(body)

    first, again = delete(["r5"], "k1"), delete(["r5"], "k1")
    need(first[0] == again[0] == 200, f"idempotency: {first} {again}")
    number = first[1]["requests"][0]["deletion"]
    need(again[1]["requests"][0]["deletion"] == number, "the same key makes another deletion")
    need(delete(["r6"], "k1")[0] == 422, "the same key for other records")
    status, document = run.ask("GET", f"/v1/deletions/{number}")
    need(status == 200 and document["deletion"] == number, f"one deletion: {document}")
    need(run.ask("GET", "/v1/deletions/999")[0] == 404, "a deletion that is none")


def events(run):
    """Documents come as they change, and a key's end is the stream's."""
    token = reader_token(run, "watcher")
    with Peer(run) as peer:
        peer.send(request("/v1/events").replace(b"{token}", token.encode()))

        def until(what, is_there):
            """Reads on until it is; comments that come in between show that the stream lives."""
            try:
                wait_for(what, lambda: is_there() or not peer.more() or is_there(), pause=0,
                         seen=lambda: peer.rest[-500:])
            except (Late, TimeoutError) as error:
                return need(False, f"{what}: {error}")
            need(is_there(), f"the stream ended before {what}: {peer.rest[-500:]!r}")

        until("the first events",
              lambda: re.search(rb"event: blocks\ndata: \{.*\}\n\n", peer.rest))
        need(b"text/event-stream" in peer.rest, "not a stream of events")
        peer.rest = b""
        run.delete(["r7"])
        until("word of a deletion",
              lambda: re.search(rb'event: deletions\ndata: \{.*"deletion":2', peer.rest))
        runs.must("key", "revoke", "watcher", "--run", run.run_file)
        try:
            wait_for("the end of a revoked key's events", lambda: not peer.more(), pause=0,
                     seen=lambda: peer.rest[-500:])
        except (Late, TimeoutError) as error:
            need(False, f"a revoked key still sees events: {error}")


def crowd(run):
    """Many who stay, and those who come after them; and the ends of slow and silent peers."""
    open_before = run.descriptors()
    idle = [Peer(run) for _ in range(400)]
    for peer in idle[:390]:
        peer.send(request("/v1/runs"))
    answers = [peer.reply() for peer in idle[:390]]
    need(all(answer and answer[0] == 200 for answer in answers), "not everybody is answered")
    need(run.ask("GET", "/v1/runs")[0] == 200, "nobody else is answered")
    surplus = [Peer(run) for _ in range(520)]
    need(run.ask("GET", "/v1/runs")[0] == 200, "silent strangers keep others out")
    kept = idle[0]
    kept.send(request("/v1/runs"))
    answer = kept.reply()
    need(answer and answer[0] == 200, f"strangers pushed out who had shown a token: {answer}")
    for peer in idle + surplus:
        peer.__exit__()
    slow = Peer(run)
    slow.send("GET /v1/status HT")
    need(drip(slow), "a slow peer was not answered")
    answer = slow.reply()
    need(answer and answer[0] == 408, f"a slow peer is answered {answer}")
    slow.__exit__()
    need_descriptors(run, open_before, "after the crowd")


def drip(peer):
    """Sends a byte every half second until an answer is there; whether one came."""
    def is_answered():
        try:
            peer.send("T")
        except OSError:
            pass  # It has been answered, and nobody reads on.
        return select.select([peer.socket], [], [], 0.5)[0]

    try:
        # Ten seconds are the coordinator's own deadline.
        return wait_for("an answer to a slow peer", is_answered, quiet=7, pause=0)
    except Late:
        return False


def main():
    with tempfile.TemporaryDirectory() as folder:
        lines = [runs.record_line(f"r{index}", index) for index in range(40)]
        run = runs.Run(folder, lines)
        try:
            run.start()
            figures = f"{malformed(run)}; {promises(run)}"
            roles(run)
            idempotency(run)
            events(run)
            crowd(run)
        finally:
            run.stop()
    sys.exit(runs.report("check-http", problems, figures))


if __name__ == "__main__":
    main()
