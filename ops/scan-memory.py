#!/usr/bin/env python3
"""Counts where a process's memory holds any of some strings.

usage: ops/scan-memory.py PID NEEDLES-FILE

NEEDLES-FILE holds one string a line, at least 8 bytes each. Every readable region of /proc/PID/mem
is searched. Prints how many hits each region has and how many strings were found, never a string.
Ends with 0 when there was none, 1 when there was one, 2 when memory could not be read.

Lethe's promise that a purged record is in no process's memory is tested with it.
"""
import re
import sys

CHUNK = 16 << 20


def trie_pattern(needles):
    """One expression for all needles, walked letter by letter: time does not grow with their number."""
    root = {}
    for needle in needles:
        node = root
        for byte in needle:
            node = node.setdefault(byte, {})
        node[None] = True

    def expression(node):
        # Straight runs are written out, so that only real branches nest.
        run = b""
        while len(node) == 1 and None not in node:
            byte, node = next(iter(node.items()))
            run += re.escape(bytes([byte]))
        if None in node:
            return run
        return run + b"(?:" + b"|".join(
            re.escape(bytes([byte])) + expression(child) for byte, child in sorted(node.items())
        ) + b")"

    return re.compile(expression(root), re.DOTALL)


def regions(pid):
    with open(f"/proc/{pid}/maps") as maps:
        for line in maps:
            fields = line.split(maxsplit=5)
            name = fields[5].strip() if len(fields) > 5 else "anonymous"
            # Neither is memory of the process.
            if not fields[1].startswith("r") or name in ("[vvar]", "[vsyscall]", "[vvar_vclock]"):
                continue
            start, end = (int(part, 16) for part in fields[0].split("-"))
            yield start, end, name.rsplit("/", 1)[-1], fields[1]


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 64
    pid = int(sys.argv[1])
    with open(sys.argv[2], "rb") as file:
        needles = sorted({line for line in file.read().split(b"\n") if line})
    if not needles or min(map(len, needles)) < 8:
        print("the file holds no needle, or one shorter than 8 bytes", file=sys.stderr)
        return 64
    pattern = trie_pattern(needles)
    overlap = max(map(len, needles)) - 1
    total = byte_count = 0
    found = set()
    try:
        memory = open(f"/proc/{pid}/mem", "rb", buffering=0)
        listed = list(regions(pid))
    except OSError as error:
        print(f"process {pid}: {error.strerror}", file=sys.stderr)
        return 2
    with memory:
        for start, end, name, rights in listed:
            hits = 0
            position = start
            tail = b""
            while position < end:
                try:
                    memory.seek(position)
                    chunk = memory.read(min(CHUNK, end - position))
                except OSError:
                    # Pages behind the end of a mapped file, or a region that is gone by now.
                    break
                if not chunk:
                    break
                position += len(chunk)
                byte_count += len(chunk)
                if not tail and chunk.count(0) == len(chunk):
                    continue
                window = tail + chunk
                for match in pattern.finditer(window):
                    # What lies wholly in the tail was counted with the chunk before.
                    if match.end() > len(tail):
                        hits += 1
                        found.add(match.group())
                tail = window[-overlap:]
            if hits:
                total += hits
                print(f"{hits} in {name} {rights} ({(end - start) >> 10} KiB)")
    print(
        f"{total} hits of {len(found)} of {len(needles)} needles"
        f" in {byte_count >> 20} MiB of process {pid}")
    if byte_count == 0:
        return 2
    return 1 if total else 0


sys.exit(main())
