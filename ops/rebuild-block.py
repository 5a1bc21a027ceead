#!/usr/bin/env python3
"""Trains a shard's served blocks again, alone, and compares them with what the run exports.

usage: ops/rebuild-block.py RUN_FILE RECORDS EXPORTED --shard N [--sequence N] [--depth N]

For somebody who trusts neither the coordinator nor its workers: from the run file, the retained
records (JSONL) and the backbone, works out which records each stage read, in which order of slices
and with which seed, from Protocols/block-key.md alone; trains each stage with `lethe train-block`;
and compares the tensors with those of EXPORTED, a folder that `lethe export` wrote. Knows cyclic
sequences, cumulative stages and records without slice thresholds, as `lethe init` makes them. Exit
code 0: the same bits; 1: not. Works in one numeric class only; see ops/docs/explanation/exact.md.
"""
import argparse
import hashlib
import hmac
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

LETHE = os.environ.get("LETHE", "lethe")


def read_json5(text):
    """Comments, then bare names and trailing commas away; words in quotes stay as they are."""
    words = r'("(?:[^"\\]|\\.)*")'
    text = re.sub(words + r"|//[^\n]*", lambda m: m[1] or "", text)
    text = re.sub(words + r"|(\w+)(?=\s*:)|,(?=\s*[}\]])",
                  lambda m: m[1] or (f'"{m[2]}"' if m[2] else ""), text)
    return json.loads(text)


def place(run, identifier):
    """Shard and slice of a record."""
    digest = hmac.digest(bytes.fromhex(run["partitionKey"]), identifier.encode(), "sha256")
    shard, part = struct.unpack(">QQ", digest[:16])
    return shard % run["shards"], part % run["slices"]


def seed(run, shard, sequence, stage):
    name = b"lethe-stage-seed-1"
    text = struct.pack("<I", len(name)) + name
    text += struct.pack("<QIII", run["seed"], shard, sequence, stage)
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")


def layer_groups(run, count):
    """Layers of each block, the topmost first; the upper blocks take what is left over."""
    parts = run["slices"]
    sizes = run.get("layersPerBlock") or [
        count // parts + (n < count % parts) for n in range(parts)]
    groups, top = [], count
    for size in sizes:
        groups.append(list(range(top - size, top)))
        top -= size
    return groups


def tensors(path):
    """Bytes by name of a safetensors file."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    head = json.loads(data[8:8 + size])
    return {name: data[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]]
            for name, entry in head.items() if name != "__metadata__"}


def train(run, data, layers, stage_seed, before, output):
    recipe = run["training"]
    options = {
        "backbone": run["backbone"], "data": data, "labels": ",".join(run["labels"]),
        "layers": ",".join(map(str, layers)), "targets": ",".join(recipe["targets"]),
        "rank": recipe["rank"], "alpha": recipe["alpha"], "epochs": recipe["epochs"],
        "batch-size": recipe["batchSize"], "lr": recipe["learningRate"],
        "head-lr": recipe["headLearningRate"], "schedule": recipe["schedule"],
        "warmup": recipe["warmup"], "weight-decay": recipe["weightDecay"],
        "max-grad-norm": recipe["maximumGradientNorm"], "max-tokens": recipe["maximumTokens"],
        "head-start": "zero" if before else recipe.get("headStart", "zero"),
        "seed": stage_seed, "output": output, **({"init-adapter": before} if before else {})}
    words = [f"--{name}={value}" for name, value in options.items()]
    subprocess.run(
        [LETHE, "train-block", *words, *(["--rslora"] if recipe["rankStabilized"] else [])],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("run_file", type=Path)
    parser.add_argument("records", type=Path)
    parser.add_argument("exported", type=Path)
    parser.add_argument("--shard", type=int, required=True)
    parser.add_argument("--sequence", type=int, default=0)
    parser.add_argument("--depth", type=int)
    options = parser.parse_args()
    run = read_json5(options.run_file.read_text())
    own = {"sequenceSelection", "sliceThresholds"} & run.keys()
    if own or run["stageData"] != "cumulative" or run["training"].get("stageRateFactor", 1) != 1:
        sys.exit("rebuild-block: this run has sequences, slices or stages of a kind of its own")
    lines = options.records.read_text().splitlines()
    placed = [(place(run, str(json.loads(line)["id"])), line) for line in lines if line]
    order = [(options.sequence + n) % run["slices"] for n in range(run["slices"])]
    config = json.loads((Path(run["backbone"]) / "config.json").read_text())
    groups = layer_groups(run, config["num_hidden_layers"])
    with tempfile.TemporaryDirectory() as folder:
        before = ""
        for stage in range(1, (options.depth or run["slices"]) + 1):
            slices = order[:stage]
            data = Path(folder) / f"stage-{stage}.jsonl"
            kept = [line for (shard, part), line in placed
                    if shard == options.shard and part in slices]
            data.write_text("\n".join(kept) + "\n")
            output = f"{folder}/block-{stage}"
            train(run, data, groups[stage - 1],
                  seed(run, options.shard, options.sequence, stage), before, output)
            print(f"block {options.shard}/{options.sequence}/{stage}: layers "
                  f"{','.join(map(str, groups[stage - 1]))} from slices "
                  f"{','.join(map(str, slices))}")
            before = output
        mine = tensors(Path(before) / "adapter_model.safetensors")
    theirs = tensors(options.exported / "adapter_model.safetensors")
    different = sorted(n for n in mine.keys() | theirs.keys() if mine.get(n) != theirs.get(n))
    if different:
        sys.exit(f"rebuild-block: {len(different)} of {len(mine)} tensors differ: {different[0]}")
    print(f"the same bits: {len(mine)} tensors, {sum(map(len, mine.values()))} bytes")


main()
