#!/usr/bin/env python3
"""Records the tokenizer fixture with Hugging Face's own tokenizer.

    python3 record_tokenizer.py OUTPUT_DIR --vocab VOCAB_TXT [--glosses TSV]

Without --glosses the WordNet glosses are taken from the cases already recorded.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import unicodedata

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from tokenizers import BertWordPieceTokenizer, normalizers, pre_tokenizers
from transformers import BertTokenizerFast

LETTERS = """Ünïcödé café CAFÉ naïve Škoda Łódź Øresund Ærø Þórr ðe Đặng ŋ ƒlorin Ĳsselmeer ŒUVRE ß STRASSE straße Straẞe
İstanbul ISTANBUL ıstanbul I İ ı ſ long-ſ ﬁ ﬂ ﬀ ﬃ ﬆ eﬃcient ǅ ǆ Ǆ ǈ ǋ ǲ Ω Å K ª º µ Dž Lj ŉ ǰ ΐ ΰ և ẖ ẗ ẘ ẙ ẚ
ΟΔΥΣΣΕΥΣ Ὀδυσσεύς ΣΑΣ σας Σ ς ΑΣ. άέήίόύώ ΪΫ ᾳ ῷ ὣ ΑΪ Привет МОСКВА Ёлка йод Україна ґ Ђорђе ѣ Ӂ
שלום שָׁלוֹם ‫עברית‬ مرحبا العَرَبِيَّة ﻻ ﷺ ٱلله ۱۲۳ ٣٫١٤ हिन्दी नमस्ते क़ किताब १२३ বাংলা தமிழ் తెలుగు ಕನ್ನಡ മലയാളം සිංහල
สวัสดีครับ ภาษาไทย ພາສາລາວ ဗမာစာ ភាសាខ្មែរ བོད་ཡིག ქართული ᲥᲐᲠᲗᲣᲚᲘ Հայերեն ՀԱՅԵՐԵՆ አማርኛ ᏣᎳᎩ ꭰꭱ ᐃᓄᒃᑎᑐᑦ ᠮᠣᠩᠭᠣᠯ
中文 漢字 汉字测试 你好世界 日本語 ひらがな カタカナ ｶﾀｶﾅ がぎぐ が パ ー 々 〆 〇 〸 한국어 한국어 가 갉 ㄱㄴㄷ ㈀ 豈 﨎 㐀 䶵 𠀀 𪜀 𫝀 𫠠 𬺰 𰀀 丽
𝐀𝐁𝐂 𝒜 𝔄 𝕬 𝟘𝟙 Ａｂｃ １２３ ① ⑳ Ⅷ ⅷ ½ ¾ x² H₂O ™ ℃ ℡ ㎏ ㍿ 𐐀 𐐨 𐲀 𞤀 𞤢 𑢠 𖹀 ⒶⒷ ⓐ ꙮ Ꙋ Ꞌ ꟾ""".split()

SEQUENCES = [
    "e\u0301",
    "E\u0301",
    "\u00e9",
    "a\u0308\u0301",
    "n\u0303o",
    "A\u030a",
    "o\u0302\u0323",
    "\u1ed9",
    "\u1e69",
    "s\u0323\u0307",
    "q\u0307\u0323",
    "\u0301",
    "\u0301a",
    "a\u0301\u0301\u0301",
    "x\u0338",
    "\u2260",
    "=\u0338",
    "\u226e",
    "Z\u0351\u0352\u0353algo\u0354",
    "\u0915\u093c",
    "\u0958",
    "\u0b94",
    "\u0e19\u0e49\u0e33",
    "\u05e9\u05c1",
    "\ufb2a",
    "\u0622",
    "\u0627\u0653",
    "\u1100\u1161\u11a8",
    "\uac00\u11a8",
    "\uac01",
    "\u3042\u3099",
    "\u304b\u3099",
    "\u30cf\u309a",
    "\uff76\uff9e",
    "\ufe0f",
    "\ufe0e",
    "1\ufe0f\u20e3",
    "\u20dd",
    "a\u20dd",
    "\u0483",
    "\u0488",
    "\ua670",
    "\u1ab0",
    "\u0903",
    "\u0bbe",
    "\u1d165",
    "\U0001d15e",
    "\U0001d160",
    "\U0002f800",
    "\uf900",
    "\u212b",
    "\u2126",
    "\u0130\u0307",
    "i\u0307",
    "I\u0307",
    "\u0131\u0307",
    "\u03a3\u0301",
    "\u1fb3",
    "\u0345",
    "\u1e9e",
    "\u01c5ungla",
    "\ua64a",
    "\u10a0",
    "\u13a0",
    "\uab70",
    "\U0001f469\u200d\U0001f4bb",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "\U0001f44d\U0001f3fd",
    "\U0001f1e9\U0001f1ea",
    "\u2764\ufe0f",
    "\u2764",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "good \U0001f600!",
    "\u263a",
    "\u2603",
    "\U0001fae0",
    "\U0001fac6",
    "a\u0000b",
    "\u0000",
    "\ufffd",
    "a\ufffdb",
    "so\u00adft",
    "\u00ad",
    "zero\u200bwidth",
    "\u200b",
    "join\u200der",
    "non\u200cjoiner",
    "\ufeffbom",
    "a\u2060b",
    "a\u180eb",
    "\u061c",
    "\u200e\u200f",
    "\u202aab\u202c",
    "a\u2066b\u2069",
    "\ufff9a\ufffab\ufffb",
    "\U000e0001",
    "\U000e0041",
    "\U0001d173",
    "\u0600",
    "\u070f",
    "\U000110bd",
    "tab\there",
    "line\nfeed",
    "cr\rlf\r\n",
    "nb\u00a0sp",
    "ideo\u3000graphic",
    "line\u2028sep",
    "para\u2029sep",
    "vt\u000bff\u000c",
    "\u0085nel",
    "a\u0085b",
    "ogham\u1680space",
    "en\u2002em\u2003thin\u2009hair\u200a",
    "fig\u2007",
    "nn\u202fb",
    "math\u205fspace",
    "\u001c\u001d\u001e\u001f",
    "a\u001cb",
    "bell\u0007",
    "esc\u001b[0m",
    "del\u007f",
    "c1\u0080\u009f",
    "a\u0001b",
    "\u0008",
    "\ud7ff",
    "\ue000",
    "\uf8ff",
    "x\ue123y",
    "\ufdd0",
    "\ufffe",
    "\uffff",
    "a\uffffb",
    "\U0001fffe",
    "\U0010ffff",
    "\U000f0000",
    "\U00100000",
    "\U0010fffd",
    "\u0378",
    "\u0530",
    "\u1c90",
    "\u2fe0",
    "\U000e01ef",
    "a\U000e0100",
    "\ud7b0",
    "\u0ac0",
    "\U0001e900",
    "\U00016e40",
    "\U00010400x",
    "\u4dff",
    "\u4e00",
    "\u9fff",
    "\ua000",
    "\u3400",
    "\u4dbf",
    "\u4dc0",
    "\uf8ff\uf900",
    "\ufaff",
    "\ufb00",
    "\U0001ffff",
    "\U00020000",
    "\U0002a6df",
    "\U0002a6e0",
    "\U0002a700",
    "\U0002b73f",
    "\U0002b740",
    "\U0002b81f",
    "\U0002b820",
    "\U0002ceaf",
    "\U0002ceb0",
    "\U0002f7ff",
    "\U0002f800",
    "\U0002fa1f",
    "\U0002fa20",
    "\U00030000",
    "",
    " ",
    "   ",
    "\t\n\r",
    "\u3000\u00a0",
    "\u200b\u200b",
    "\u0301\u0301",
    "\u0000\u0000",
]

SPECIAL = [
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "[UNK]",
    "[PAD]",
    "[cls]",
    "[Mask]",
    "[ MASK ]",
    "[MASK",
    "MASK]",
    "[[MASK]]",
    "[MASK][MASK]",
    "a[MASK]b",
    "a [MASK] b",
    "the [UNK] and [PAD]",
    "[CLS] hello [SEP] world [SEP]",
    "[unused0]",
    "[unused99]",
    "##ing",
    "##",
    "# #ing",
    "[MA\u200bSK]",
    "[M\u00c1SK]",
    "[MASK]\u0301",
    "\u0301[SEP]",
    "[MASK]s",
    "x[CLS",
    "[UNK]\u4e2d",
    "\u3000[SEP]\u3000",
    "<s>",
    "</s>",
    "<pad>",
    "[CLS]]",
    "[]",
    "[SEP",
]

PROSE = [
    "Hello, world!",
    "Don't stop believin'",
    "it's o'clock",
    "rock 'n' roll",
    "e.g. U.S.A. etc.",
    "A.B.C.",
    "3.14159",
    "1,000,000",
    "$5.00+tax=~6",
    "50% off",
    "C++ & C#",
    "a<b>c",
    "x^2",
    "back`tick`",
    "pipe|line",
    "~home",
    "user@example.com",
    "https://example.com/a_b-c?q=1&r=%20#top",
    "ftp://[::1]:21/",
    "C:\\Windows\\System32",
    "/usr/local/bin",
    "#hashtag @mention",
    "snake_case camelCase kebab-case SCREAMING_CASE",
    "0x1F600",
    "1e-5",
    "2026-11-24T00:07:26Z",
    "+49 (0)30 123-456",
    "1/2",
    "v1.2.3-rc.4+build.5",
    '{"json": [1, 2.5, null]}',
    '<html><body class="x">&amp;</body></html>',
    "if (a && b) { return !c; }",
    "\u201cQuoted\u201d \u2018single\u2019 \u00abguillemets\u00bb \u201elow\u201c",
    "dash\u2014em \u2013en \u2010hyphen \u2011nb \u2212minus",
    "ellipsis\u2026",
    "bullet \u2022 item",
    "\u00a1Hola! \u00bfQu\u00e9?",
    "\u00a7 1 \u00b6 2",
    "\u20ac5 \u00a35 \u00a55 \u20bf1",
    "5 \u00b0C \u00b1 2",
    "\u00d7 \u00f7 \u221e \u2211 \u222b",
    "a\u2190b\u2192c",
    "\u00a9 \u00ae",
    "\u3001\u3002\u300c\u300d\u30fb\uff01\uff1f",
    "\u060c\u061b\u061f",
    "\u0964\u0965",
    "\u037e \u0387",
    "\u055a\u055d",
    "\u1361\u1362",
    "\u2e3a\u2e3b",
    "I love \u5317\u4eac and \u6771\u4eac!",
    "\u5317\u4eacabc\u6771\u4eac123",
    "\u041f\u0440\u0438\u0432\u0435\u0442 world \u4f60\u597d",
    "caf\u00e9\u4e2d\u6587",
    "mixed\u0e44\u0e17\u0e22text",
    "\u03b1\u03b2\u03b3-rays",
    "\ud55c\uad6d\uc5b4text",
    "\u30c6\u30b9\u30c8test",
    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG",
    "The quick brown fox jumps over the lazy dog.",
    "antidisestablishmentarianism",
    "pneumonoultramicroscopicsilicovolcanoconiosis",
    "supercalifragilisticexpialidocious",
    "xqzjkvbw",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "hellooooooooooo",
    "no   double    spaces",
    " leading and trailing ",
    "unaffable",
    "embeddings tokenization",
    "deoxyribonucleic acid",
    "McDonald's",
    "iPhone15ProMax",
    "naive na\u00efve nai\u0308ve",
    "r\u00e9sum\u00e9 re\u0301sume\u0301",
    "\u00c0\u00c1\u00c2\u00c3\u00c4\u00c5\u00c7\u00c8\u00c9",
    "1\u20442",
    "a\u0301\u00ad\u200bb",
    "...",
    "?!?!",
    "----",
    "____",
    "((()))",
    "''''",
    '"""',
    "\\\\\\",
    "!@#$%^&*()_+-=[]{}|;':\",./<>?`~",
]


def long_words():
    for count in (99, 100, 101, 150, 1000):
        yield "a" * count
        yield "z" * count + " end"
    yield "\u00e9" * 100
    yield "\u00e9" * 101
    yield "e\u0301" * 100
    yield "e\u0301" * 101
    yield "b" * 100 + "\u0301"
    yield "\u0430" * 100
    yield "\u0430" * 101
    yield "\U00010428" * 100
    yield "\U00010428" * 101
    yield "\uac00" * 50
    yield "\uac00" * 51
    yield "\uac01" * 33
    yield "\uac01" * 34
    yield "\u4e2d" * 120
    yield "a" * 60 + "-" + "b" * 60
    yield "a" * 60 + "\u00ad" + "b" * 60
    yield "a" * 60 + "\u200b" + "b" * 40
    yield "\u0130" * 100
    yield "the " + "q" * 101 + " the"
    yield "+" * 120


def random_strings():
    source = random.Random(20260707)
    planes = [
        (0x00, 0x7F),
        (0x80, 0x24F),
        (0x250, 0x36F),
        (0x370, 0x52F),
        (0x530, 0x8FF),
        (0x900, 0xDFF),
        (0xE00, 0x13FF),
        (0x1400, 0x1DFF),
        (0x1E00, 0x1FFF),
        (0x2000, 0x2BFF),
        (0x2C00, 0x33FF),
        (0x3400, 0x9FFF),
        (0xA000, 0xD7FF),
        (0xE000, 0xFFFF),
        (0x10000, 0x10FFF),
        (0x11000, 0x16FFF),
        (0x17000, 0x1CFFF),
        (0x1D000, 0x1FFFF),
        (0x20000, 0x2FFFF),
        (0x30000, 0x3FFFF),
        (0xE0000, 0xE0FFF),
        (0xF0000, 0x10FFFF),
        (0x40000, 0xDFFFF),
    ]

    def scalar(low, high):
        while True:
            value = source.randint(low, high)
            if not 0xD800 <= value <= 0xDFFF:
                return chr(value)

    for low, high in planes:
        for length in (3, 8, 20, 40):
            yield "".join(scalar(low, high) for _ in range(length))
    for _ in range(70):
        yield "".join(scalar(0, 0x10FFFF) for _ in range(source.randint(1, 40)))
    for _ in range(90):
        yield "".join(
            (
                scalar(*source.choice(planes))
                if source.random() < 0.4
                else source.choice("abcdefghij KLM,.")
            )
            for _ in range(source.randint(5, 60))
        )


def punctuation_strings():
    for value in range(0x21, 0x7F):
        if not chr(value).isalnum():
            yield f"a{chr(value)}b"
    marks = [chr(v) for v in range(0x80, 0x110000) if unicodedata.category(chr(v))[0] == "P"]
    symbols = [chr(v) for v in range(0x80, 0x3300) if unicodedata.category(chr(v))[0] == "S"]
    for source, width in ((marks, 24), (symbols, 40)):
        for start in range(0, len(source), width):
            yield "a" + "a".join(source[start : start + width]) + "a"


def cased_strings():
    """Every character that lower-casing or accent stripping changes, outside Hangul, in runs of 60."""
    normalizer = normalizers.BertNormalizer()
    changed = [
        chr(v)
        for v in range(0x80, 0x30000)
        if not 0xAC00 <= v <= 0xD7A3
        and not 0xD800 <= v <= 0xDFFF
        and normalizer.normalize_str(chr(v)) not in ("", " ", chr(v), f" {chr(v)} ")
    ]
    for start in range(0, len(changed), 60):
        yield " ".join(changed[start : start + 60])


def code_point_classes():
    """What the reference does with every code point, as ranges."""
    normalizer, splitter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    classes = {"removed": [], "space": [], "ideograph": [], "punctuation": [], "mapped": []}

    def add(name, value):
        ranges = classes[name]
        if ranges and ranges[-1][1] == value - 1:
            ranges[-1][1] = value
        else:
            ranges.append([value, value])

    mapped = {}
    for value in range(0x110000):
        if 0xD800 <= value <= 0xDFFF:
            continue
        character = chr(value)
        result = normalizer.normalize_str(character)
        if result == "":
            add("removed", value)
        elif result == " ":
            add("space", value)
        else:
            if result.startswith(" ") and result.endswith(" "):
                add("ideograph", value)
                result = result[1:-1]
            elif len(splitter.pre_tokenize_str(f"a{result}a")) > 1:
                add("punctuation", value)
            if result != character:
                add("mapped", value)
                if not 0xAC00 <= value <= 0xD7A3:
                    mapped[f"{value:X}"] = result
    return classes, mapped


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("output", type=pathlib.Path)
    arguments.add_argument("--vocab", type=pathlib.Path, required=True)
    arguments.add_argument("--glosses", type=pathlib.Path, help="TSV id, label, text")
    options = arguments.parse_args()
    output = options.output
    output.mkdir(parents=True, exist_ok=True)

    glosses = []
    if options.glosses:
        rows = [line.rstrip("\n").split("\t")[2] for line in open(options.glosses)]
        glosses = rows[:: len(rows) // 120][:120]
    else:
        glosses = [
            row["text"]
            for row in map(json.loads, open(output / "cases.jsonl"))
            if row["id"].startswith("gloss-")
        ]

    if options.vocab.resolve() != (output / "vocab.txt").resolve():
        shutil.copyfile(options.vocab, output / "vocab.txt")
    vocabulary = str(output / "vocab.txt")
    fast = BertTokenizerFast(vocab=vocabulary, do_lower_case=True, model_max_length=10**9)
    second = BertWordPieceTokenizer(vocabulary, lowercase=True)

    cases = []

    def add(kind, text, pair=None, limit=None):
        extra = {"truncation": "longest_first", "max_length": limit} if limit else {}
        encoded = fast(text, pair, **extra)
        if limit is None and pair != "":  # Transformers takes an empty second text for none
            check = second.encode(text, pair)
            assert (check.ids, check.type_ids) == (
                encoded["input_ids"],
                encoded["token_type_ids"],
            ), text
        number = sum(case["id"].startswith(kind + "-") for case in cases)
        case = {"id": f"{kind}-{number}", "text": text}
        if pair is not None:
            case["text_pair"] = pair
        if limit:
            case["max_length"] = limit
        case["ids"] = encoded["input_ids"]
        if pair is not None:
            case["type_ids"] = encoded["token_type_ids"]
        else:
            assert not any(encoded["token_type_ids"])
        cases.append(case)

    groups = {
        "letters": LETTERS,
        "sequence": SEQUENCES,
        "special": SPECIAL,
        "prose": PROSE,
        "long": list(long_words()),
        "gloss": glosses,
        "punctuation": list(punctuation_strings()),
        "cased": list(cased_strings()),
        "random": list(random_strings()),
    }
    for kind, texts in groups.items():
        for text in texts:
            add(kind, text)
    add("letters", " ".join(LETTERS))

    words = " ".join(glosses).split()
    source = random.Random(99)
    for limit in (2, 3, 4, 15, 16, 17, 512):
        for count in (0, 1, 12, 14, 15, 30, 700):
            add("cut", " ".join(words[:count]), limit=limit)
    add("cut", "[MASK] " * 20, limit=16)
    add("cut", "\u4e2d\u6587" * 300, limit=512)
    add("cut", "antidisestablishmentarianism " * 4, limit=16)
    for limit in (None, 3, 4, 5, 8, 15, 16, 17, 64, 512):
        for first, last in (
            (0, 0),
            (1, 1),
            (0, 9),
            (9, 0),
            (3, 30),
            (30, 3),
            (6, 7),
            (7, 6),
            (20, 20),
            (21, 20),
            (20, 21),
            (5, 300),
            (400, 300),
        ):
            at = source.randrange(200)
            add(
                "pair",
                " ".join(words[at : at + first]),
                " ".join(words[at + 7 : at + 7 + last]),
                limit,
            )
    add("pair", "[CLS] a [SEP]", "b [MASK]")
    add("pair", "\u4f60\u597d", "caf\u00e9 \u200b", 16)

    with open(output / "cases.jsonl", "w") as file:
        for case in cases:
            file.write(json.dumps(case) + "\n")
    classes, mapped = code_point_classes()
    with open(output / "code-points.json", "w") as file:
        rows = [
            f"{json.dumps(name)}: {json.dumps(ranges, separators=(',', ':'))}"
            for name, ranges in classes.items()
        ]
        rows.append('"mapping": ' + json.dumps(mapped, separators=(",", ":")))
        file.write("{\n" + ",\n".join(rows) + "\n}\n")
    print(
        len(cases),
        "cases",
        {
            kind: sum(c["id"].startswith(kind + "-") for c in cases)
            for kind in [*groups, "cut", "pair"]
        },
    )
    print(
        {
            name: (len(ranges), sum(b - a + 1 for a, b in ranges))
            for name, ranges in classes.items()
        },
        len(mapped),
    )


if __name__ == "__main__":
    main()
