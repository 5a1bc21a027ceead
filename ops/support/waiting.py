"""Waiting, for everything in ops/: for an event or a state, and never for longer than makes sense.

usage: python3 ops/support/waiting.py

How fast something goes is the machine's affair and no fault. So nothing here sleeps and hopes: it
waits until it sees what it waits for. Where a wait must end in vain, because what is awaited may
never come, its bound is many times what a quiet machine takes, and as many times that as this
machine is slower. As a program it prints that pace, a number such as 2.7.

    PACE        how many times slower this machine is now than a quiet one: LETHE_PACE, or measured
    patience    how many seconds to wait for what takes `quiet` seconds on a quiet machine
    wait_for    waits until a condition holds; otherwise says what was awaited, and what was seen
"""
import hashlib
import os
import re
import subprocess
import sys
import time

# Of a quiet machine, two cores of an AMD EPYC with AVX-512: the least of many tries.
HASHES, HASHING_SECONDS = 480_000, 0.17
STARTS, STARTING_SECONDS = 240, 0.15


def measured():
    """How many times the reference's time a fixed small piece of work takes, of two the slower."""
    began, digest = time.monotonic(), b"pace"
    for _ in range(HASHES):
        digest = hashlib.sha256(digest).digest()
    hashed = time.monotonic()
    for _ in range(STARTS):
        subprocess.run(["true"], stdin=subprocess.DEVNULL, check=True)
    started = time.monotonic()
    return max((hashed - began) / HASHING_SECONDS, (started - hashed) / STARTING_SECONDS)


def pace():
    said = os.environ.get("LETHE_PACE")
    if said and not re.fullmatch(r"\d{1,6}(\.\d+)?", said):
        raise SystemExit(f"LETHE_PACE is {said!r}; give a number such as 2.7, or nothing")
    return max(1.0, float(said) if said else measured())


PACE = round(pace(), 1)
# What this program starts need not measure again.
os.environ["LETHE_PACE"] = str(PACE)


class Late(SystemExit):
    """What was awaited did not come. Ends the program with that sentence, unless it is caught."""


def patience(quiet=1):
    """Seconds to wait for what takes `quiet` seconds on a quiet machine."""
    return max(60, 10 * quiet) * PACE


def wait_for(what, condition, quiet=1, seen=None, pause=0.02, limit=None):
    """Waits until a condition holds, and returns what it returned.

    `quiet` is how long that takes on a quiet machine, in seconds. When it has not come by far more
    than that, `Late` says what was awaited and what `seen()`, or else the condition, gave last.
    `limit` takes the place of patience where a wait in vain is nobody's fault.
    """
    began, limit = time.monotonic(), limit or patience(quiet)
    while True:
        # Taken before the look: a machine that stood still meanwhile gets another one.
        now = time.monotonic()
        if value := condition():
            return value
        if now - began > limit:
            last = seen() if seen else value
            raise Late(f"waited {now - began:.0f} s in vain for {what}; seen: {last}")
        time.sleep(pause)


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.exit(__doc__.strip())
    print(f"{PACE:.1f}")
