"""Records what the reference tokenizer does with every code point.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install tokenizers==0.23.3
    /tmp/venv/bin/python Tests/Fixtures/unicode/record.py

Writes Sources/Tokenization/UnicodeTables+Data.swift (the tables) and Tests/Fixtures/unicode/
words.tsv (digests that hold the Swift code to the reference, 4,096 code points a line).

The reference mixes several versions of Unicode, one per library it links, so its tables are asked
for by running it on all 1,112,064 code points instead of being taken from one edition.
"""

import hashlib
import pathlib
import unicodedata

import tokenizers
from tokenizers import normalizers, pre_tokenizers

ROOT = pathlib.Path(__file__).resolve().parents[3]
POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
HANGUL = range(0xAC00, 0xD7A4)


def bert(clean=False, chinese=False, strip=False, lower=False):
    return normalizers.BertNormalizer(
        clean_text=clean, handle_chinese_chars=chinese, strip_accents=strip, lowercase=lower
    )


def spans(points):
    result = []
    for c in sorted(points):
        if result and result[-1][1] == c - 1:
            result[-1][1] = c
        else:
            result.append([c, c])
    return result


def combining_classes(nfd):
    """The class of every code point that reorders, found by watching it reorder."""
    classes = {}
    representatives = {1: "\u0334"}
    for c in POINTS:
        # Only marks old enough for the reference to know their class.
        if nfd("a" + chr(c) + "\u0334") == "a\u0334" + chr(c):
            representatives.setdefault(unicodedata.combining(chr(c)), chr(c))
    order = sorted(representatives)
    for c in POINTS:
        moved = nfd("a" + chr(c) + representatives[1]) != nfd("a" + chr(c)) + representatives[1]
        if not moved and unicodedata.combining(chr(c)) != 1:
            continue
        if nfd(chr(c)) != chr(c):
            continue  # its parts are looked up instead
        # The first class that does not move in front of it is its own.
        for candidate in order:
            mark = representatives[candidate]
            if nfd("a" + chr(c) + mark) == "a" + chr(c) + mark:
                classes[c] = candidate
                break
        expected = unicodedata.combining(chr(c))
        assert expected in (0, classes[c]), hex(c)
    return classes


def lower_runs(lower):
    """Runs of (first, last, stride, distance) with one distance between a letter and its lower."""
    runs = []
    for c in sorted(lower):
        distance = lower[c] - c
        if runs and runs[-1][3] == distance:
            first, last, stride, _ = runs[-1]
            step = c - last
            if (stride == 0 and step <= 2) or step == stride:
                runs[-1] = [first, c, step, distance]
                continue
        runs.append([c, c, 0, distance])
    return [[f, l, s or 1, d] for f, l, s, d in runs]


def literal(name, comment, numbers, kind, radix="x"):
    lines = [f"  /// {comment}", f"  static let {name}: [{kind}] = ["]
    row = "   "
    for number in numbers:
        text = f" {number:#x}," if radix == "x" else f" {number},"
        if len(row) + len(text) > 100:
            lines.append(row)
            row = "   "
        row += text
    return "\n".join(lines + [row, "  ]"])


def main():
    nfd = normalizers.NFD().normalize_str
    clean = bert(clean=True).normalize_str
    dropped, spaces = set(), set()
    for c in POINTS:
        shown = clean(f"a{chr(c)}b")
        if shown == "ab":
            dropped.add(c)
        elif shown == "a b":
            spaces.add(c)
        else:
            assert shown == f"a{chr(c)}b"
    chinese = {c for c in POINTS if bert(chinese=True).normalize_str(chr(c)) != chr(c)}
    parts = {c: nfd(chr(c)) for c in POINTS if nfd(chr(c)) != chr(c)}
    strip = bert(strip=True).normalize_str
    marks = {c for c in POINTS if c not in parts and strip(f"a{chr(c)}b") == "ab"}
    for c, text in parts.items():
        assert strip(chr(c)) == "".join(x for x in text if ord(x) not in marks)
    lowered = {c: bert(lower=True).normalize_str(chr(c)) for c in POINTS}
    lowered = {c: text for c, text in lowered.items() if text != chr(c)}
    assert [c for c, text in lowered.items() if len(text) > 1] == [0x130]
    lower = {c: ord(text) for c, text in lowered.items() if len(text) == 1}
    punctuation = set()
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    for c in POINTS:
        if [piece for piece, _ in split(f"a{chr(c)}b")] == ["a", chr(c), "b"]:
            punctuation.add(c)
    classes = combining_classes(nfd)

    flat = []
    for c in sorted(parts):
        if c not in HANGUL:
            flat += [c | len(parts[c]) << 24] + [ord(x) for x in parts[c]]
    class_runs = []
    for first, last in spans(classes):
        for c in range(first, last + 1):
            if class_runs and class_runs[-1][1] == c - 1 and class_runs[-1][2] == classes[c]:
                class_runs[-1][1] = c
            else:
                class_runs.append([c, c, classes[c]])
    flatten = lambda rows: [x for row in rows for x in row]
    tables = [
        literal(
            "dropped",
            "Control, format and private-use code points that cleaning removes: " "first, last.",
            flatten(spans(dropped)),
            "UInt32",
        ),
        literal(
            "spaces",
            "Code points that cleaning turns into a space: first, last.",
            flatten(spans(spaces)),
            "UInt32",
        ),
        literal(
            "ideographs",
            "Code points that stand as words of their own: first, last.",
            flatten(spans(chinese)),
            "UInt32",
        ),
        literal("marks", "Non-spacing marks: first, last.", flatten(spans(marks)), "UInt32"),
        literal(
            "punctuation",
            "Code points that are words of their own: first, last.",
            flatten(spans(punctuation)),
            "UInt32",
        ),
        literal(
            "combiningClasses",
            "Canonical combining classes but 0: first, last, class.",
            flatten(class_runs),
            "UInt32",
        ),
        literal(
            "lowerRuns",
            "Letters with another lower case: first, last, stride, distance.",
            flatten(lower_runs(lower)),
            "Int32",
            radix="d",
        ),
        literal(
            "decompositions",
            "Full canonical decompositions but Hangul's: the code point "
            "with the number\n  /// of parts in its top byte, then the parts.",
            flat,
            "UInt32",
        ),
    ]
    (ROOT / "Sources/Tokenization/UnicodeTables+Data.swift").write_text(
        "// Written by Tests/Fixtures/unicode/record.py; not edited by hand.\n\n"
        "extension UnicodeTables {\n" + "\n\n".join(tables) + "\n}\n"
    )

    rows = [
        "# reference: tokenizers " + tokenizers.__version__,
        "# first code point, then SHA-256 of the words of each of 4,096 texts: "
        "uncased, cased, cased + accents stripped, uncased + accents kept",
    ]
    variants = [
        bert(True, True, True, True),
        bert(True, True, False, False),
        bert(True, True, True, False),
        bert(True, True, False, True),
    ]
    for first in range(0, 0x110000, 4096):
        if 0xD800 <= first <= 0xDFFF:
            continue
        row = [f"{first:06x}"]
        for variant in variants:
            digest = hashlib.sha256()
            for c in range(first, first + 4096):
                # The marks of classes 230, 1 and 7 around it show where it lands in the order.
                if 0xD800 <= c <= 0xDFFF:
                    continue
                text = f"aB{chr(c)}c \u0301{chr(c)}\u0334\u093c{chr(c)}D"
                words = [w for w, _ in split(variant.normalize_str(text))]
                digest.update("\x1f".join(words).encode() + b"\n")
            row.append(digest.hexdigest())
        rows.append("\t".join(row))
    (ROOT / "Tests/Fixtures/unicode/words.tsv").write_text("\n".join(rows) + "\n")


main()
