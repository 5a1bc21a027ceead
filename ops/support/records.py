"""Turns a published data file into Lethe's JSONL: id, text, label, split, and subject if known.

usage: records.py wordnet10 data.noun [ROWS_PER_CLASS]
       records.py movies movieReviewSnippets_GroundTruth.txt
       records.py products amazonReviewSnippets_GroundTruth.txt

The split is 80/20 by a hash of the id: the first four bytes of its SHA-256, big-endian, modulo 100,
below 80 for training. Rows that share a text follow the first of them, so that no text of the test
half is trained on. With ROWS_PER_CLASS, only that first row is kept, and of each class so many
rows, evenly spaced in the order of the file.
"""

import hashlib
import json
import sys

# Lexicographer files of WordNet 3.0, in the declared order of the labels.
WORDNET_CLASSES = {
    "05": "animal",
    "20": "plant",
    "13": "food",
    "18": "person",
    "15": "location",
    "08": "body",
    "06": "artifact",
    "27": "substance",
    "28": "time",
    "12": "feeling",
}


def wordnet10(lines):
    for line in lines:
        if line.startswith("  "):  # the licence, at the head of the file
            continue
        fields, gloss = line.rstrip("\n").split(" | ")[:2]
        offset, category = fields.split(" ")[:2]
        if category in WORDNET_CLASSES:
            definition = gloss.split('; "', 1)[0].rstrip(" ")  # without the usage examples
            yield {"id": "n" + offset, "text": definition, "label": WORDNET_CLASSES[category]}


def sentiment(prefix, lines, subject=None):
    """Ratings from -4 to 4; those near zero are neither and are left out."""
    for line in lines:
        name, rating, text = line.rstrip("\r\n").split("\t")[:3]
        if abs(float(rating)) < 0.5:
            continue
        record = {"id": prefix + name, "text": text}
        record["label"] = "positive" if float(rating) > 0 else "negative"
        if subject:
            record["subject"] = subject(name)
        yield record


def split_of(identifier):
    digest = hashlib.sha256(identifier.encode()).digest()
    return "train" if int.from_bytes(digest[:4], "big") % 100 < 80 else "test"


def sample(records, rows_per_class):
    """Evenly spaced rows of each class, sorted by id."""
    classes = {}
    for record in records:
        classes.setdefault(record["label"], []).append(record)
    chosen = []
    for rows in classes.values():
        chosen += [rows[i * len(rows) // rows_per_class] for i in range(rows_per_class)]
    return sorted(chosen, key=lambda record: record["id"])


def main(kind, path, rows_per_class=None):
    with open(path, encoding="utf-8", newline="\n") as lines:
        records = list(
            {
                "wordnet10": lambda: wordnet10(lines),
                "movies": lambda: sentiment("mv", lines),
                "products": lambda: sentiment("pr", lines, lambda name: name.split("_")[0]),
            }[kind]()
        )
    first = {}
    for record in records:
        first.setdefault(record["text"], record["id"])
        record["split"] = split_of(first[record["text"]])
    if rows_per_class:
        distinct = [record for record in records if first[record["text"]] == record["id"]]
        records = sample(distinct, int(rows_per_class))
    for record in records:
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        sys.stdout.buffer.write(line.encode() + b"\n")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
