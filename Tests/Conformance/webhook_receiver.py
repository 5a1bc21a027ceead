#!/usr/bin/env python3
"""A receiver of webhooks, from Protocols/webhooks.md alone.

usage: webhook_receiver.py --secret whsec_… --log FILE --port-file FILE [--port N] [--fail N]

Verifies every request and writes one JSON line about it to the log before it answers: 204, or 500
for the first N, or 401 where the signature or the timestamp is wrong.
"""
import argparse
import base64
import hashlib
import hmac
import http.server
import json
import os
import time


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--secret", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--port-file", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--fail", type=int, default=0)
    options = parser.parse_args()
    key = base64.b64decode(options.secret.removeprefix("whsec_"))
    left = [options.fail]

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            identity, stamp = self.headers["webhook-id"], self.headers["webhook-timestamp"]
            signed = f"{identity}.{stamp}.".encode() + body
            wanted = "v1," + base64.b64encode(
                hmac.new(key, signed, hashlib.sha256).digest()).decode()
            given = self.headers["webhook-signature"].split(" ")
            verified = (any(hmac.compare_digest(wanted, one) for one in given)
                        and abs(time.time() - int(stamp)) < 300
                        and self.headers["content-type"] == "application/json")
            status = 204 if verified else 401
            if left[0] > 0:
                left[0] -= 1
                status = 500
            event = json.loads(body)
            with open(options.log, "a") as log:
                log.write(json.dumps({
                    "id": identity, "verified": verified, "status": status, "path": self.path,
                    "type": event["type"], "deletion": event["data"].get("deletion"),
                    "state": event["data"].get("state"), "body": body.decode()}) + "\n")
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", options.port), Receiver)
    with open(options.port_file + ".new", "w") as file:
        file.write(str(server.server_port))
    os.rename(options.port_file + ".new", options.port_file)
    server.serve_forever()


main()
