#!/usr/bin/env python3
"""Records what RoBERTa's tokenizer does: tables, digests over every code point, and whole texts.

    python3 Tests/Reference/record_byte_level.py

Writes Sources/Tokenization/ByteLevelClasses+Data.swift (which code points are letters, numbers and
spaces for the reference's expression) and Tests/Fixtures/byte-level: vocab.json and merges.txt, a
small byte-level BPE trained here, pieces.tsv (digests that hold the Swift code to the reference on
all scalars) and cases.jsonl. Nothing of Lethe is used. Needs Tests/Reference/requirements.txt.
"""

import hashlib
import json
import os
import pathlib
import random

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import tokenizers
from tokenizers import AddedToken, ByteLevelBPETokenizer, pre_tokenizers
from transformers import RobertaTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "Tests/Fixtures/byte-level"
POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
SPLIT = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str

TEXTS = [
    "", " ", "  ", "\n", "\r\n", "\t\t a", "a ", "a  ", "  a", "   a b", "a\n\nb", "a \n b", "a\n b",
    "Hello world", "Hello, world!", "I'm you're he's we've they'll I'd don't", "I'M YOU'RE 'S 's 't",
    "'s 'sx x's ' s '' ''s 'll'll 'l", "rock'n'roll", "it’s typographic", "1984", "3.14159e-10", "a1b2",
    "x² + y³ = ½", "٣٤٥ १२३ 一二三", "Ⅷ ⅷ ① ٪", "naïve café Ärger", "nai\u0308ve cafe\u0301", "ﬁnd ß ſ",
    "中文 分词", "日本語のテキスト", "한국어 조선말", "ไทย ภาษา", "हिन्दी भाषा", "עברית שָׁלוֹם", "العربية مَرْحَبًا",
    "🙂", "a🙂b", "👩‍👩‍👧 family", "🇩🇪 🇫🇷", "👍🏽 ok", "a\u00a0b", "a\u00a0 b", " \u00a0 \u3000a", "a\u2003b\u2009c",
    "a\u200bb", "a\u200db", "\ufeffbom", "a\u0085b", "a\u2028b\u2029c", "\x00\x01 \x7f", "\x1c\x1d\x1e\x1f a",
    "a\x0bb\x0cc", "_under_score_ __x__", "#hash @at $5 5$ 100%", "C++ C# .NET", "...", "…", "— – -", "()[]{}",
    "\u0301a", "a\u0301\u0302 b", "\U0001f1e6", "\U00020000\U0002a6d6", "\U000e0001", "\ue000", "\uffff",
    "http://example.org/a?b=c&d=%20", "if (x) {\n    return y;\n}\n", "tab\tseparated\tvalues", "x" * 300,
    "ab" * 200, "   " * 40 + "end", "The quick brown fox jumps over the lazy dog. " * 4,
    "<s>", "</s>", "<pad>", "<unk>", "<mask>", "a <mask> b", "a   <mask>b", "a\n\t<mask>  b", "a<mask>",
    "<mask><mask>", " <mask> <mask>", "</s></s>", "a</s> b", "a <s>b", "<S> <MASK>", "<s", "<mask", "< mask>",
    "\u00a0<mask>", "x <pad> y",
]


def byte_of():
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(b): b for b in kept}
    others = [b for b in range(256) if b not in kept]
    table.update({chr(256 + n): b for n, b in enumerate(others)})
    return table


BYTE = byte_of()


def pieces(text):
    return [bytes(BYTE[c] for c in piece) for piece, _ in SPLIT(text)]


def spans(points):
    result = []
    for c in sorted(points):
        if result and result[-1][1] == c - 1:
            result[-1][1] = c
        else:
            result.append([c, c])
    return result


def literal(name, comment, points):
    lines, row = [f"  /// {comment}: first, last.", f"  static let {name}: [UInt32] = ["], "   "
    for number in (n for span in spans(points) for n in span):
        text = f" {number:#x},"
        if len(row) + len(text) > 100:
            lines.append(row)
            row = "   "
        row += text
    return "\n".join(lines + [row, "  ]"])


def write_tables():
    letters, numbers, spaces = set(), set(), set()
    for c in POINTS:
        if len(SPLIT("a" + chr(c))) == 1:
            letters.add(c)
        elif len(SPLIT("1" + chr(c))) == 1:
            numbers.add(c)
        elif len(SPLIT("!" + chr(c))) != 1:
            spaces.add(c)
    (ROOT / "Sources/Tokenization/ByteLevelClasses+Data.swift").write_text(
        "// Written by Tests/Reference/record_byte_level.py; not edited by hand.\n\n"
        "extension ByteLevelClasses {\n"
        + "\n\n".join([
            literal("letters", "Code points of `\\p{L}`", letters),
            literal("numbers", "Code points of `\\p{N}`", numbers),
            literal("spaces", "Code points of `\\s`", spaces),
        ])
        + "\n}\n",
        encoding="utf-8",
    )


def write_digests():
    rows = [
        "# reference: tokenizers " + tokenizers.__version__,
        "# first code point, then SHA-256 of the pieces of 4,096 texts",
    ]
    for first in range(0, 0x110000, 4096):
        if 0xD800 <= first <= 0xDFFF:
            continue
        digest = hashlib.sha256()
        for c in range(first, first + 4096):
            if 0xD800 <= c <= 0xDFFF:
                continue
            x = chr(c)
            text = f"a{x}1{x}!{x} {x}{x}  {x}'s{x}"
            digest.update(b"\xff".join(pieces(text)) + b"\xfe")
        rows.append(f"{first:06x}\t{digest.hexdigest()}")
    (FOLDER / "pieces.tsv").write_text("\n".join(rows) + "\n")


def train():
    """A vocabulary with enough merges to matter, from the repository's own texts."""
    records = (ROOT / "Tests/Fixtures/wordnet10/records.jsonl").read_text(encoding="utf-8")
    texts = [json.loads(line)["text"] for line in records.splitlines()] + TEXTS * 3
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        texts,
        vocab_size=1500,
        min_frequency=2,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        show_progress=False,
    )
    tokenizer.save_model(str(FOLDER))
    vocabulary = json.loads((FOLDER / "vocab.json").read_text(encoding="utf-8"))
    vocabulary["<mask>"] = len(vocabulary)
    (FOLDER / "vocab.json").write_text(
        json.dumps(vocabulary, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8"
    )


def random_texts(count):
    """Seeded: spaces, marks, letters and numbers of all planes in every company."""
    source = random.Random(20260104)
    common = list(" \n\t'’!?.,-_<>/smtdrevl0123abcXYZ") + ["'s", " ", "  ", "\u00a0", "\u3000", "é", "中", "🙂"]
    for _ in range(count):
        parts = []
        for _ in range(source.randrange(1, 40)):
            if source.random() < 0.8:
                parts.append(source.choice(common))
            else:
                c = source.choice([source.randrange(0x3000), source.randrange(0x110000)])
                parts.append("" if 0xD800 <= c <= 0xDFFF else chr(c))
        yield "".join(parts)


def write_cases():
    def load(prefix):
        return RobertaTokenizer(
            vocab=str(FOLDER / "vocab.json"),
            merges=str(FOLDER / "merges.txt"),
            add_prefix_space=prefix,
            mask_token=AddedToken("<mask>", lstrip=True, special=True),  # as it is published
        )

    plain, prefixing = load(False), load(True)
    rows = []

    def add(text, pair=None, limit=None, prefix=False):
        arguments = {} if limit is None else {"truncation": "longest_first", "max_length": limit}
        encoded = (prefixing if prefix else plain)(text, pair or None, **arguments)
        row = {"text": text, "ids": encoded["input_ids"]}
        row.update({"text_pair": pair} if pair is not None else {})
        row.update({"max_length": limit} if limit else {})
        row.update({"prefix": True} if prefix else {})
        rows.append(row)

    for text in [*TEXTS, *random_texts(250)]:
        add(text)
    for text in TEXTS:
        add(text, prefix=True)
    source = random.Random(20260105)
    for _ in range(60):
        text, pair = source.choice(TEXTS), source.choice(TEXTS)
        add(text, pair)
        add(text, pair, limit=source.randrange(5, 40))
        add(text, limit=source.randrange(3, 20))
    lines = [json.dumps(row) for row in rows]
    (FOLDER / "cases.jsonl").write_text("\n".join(lines) + "\n")
    print(len(rows), "cases;", plain.backend_tokenizer.get_added_tokens_decoder())


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_tables()
    write_digests()
    train()
    write_cases()


main()
