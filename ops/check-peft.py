#!/usr/bin/env python3
"""Loads an adapter that Lethe wrote with the real PEFT, by the program that stands beside it.

    python3 ops/check-peft.py --backbone DIR --adapter DIR
    python3 ops/check-peft.py --backbone DIR --adapter DIR --records RECORDS --predictions PREDICTIONS

Runs the adapter's own load_peft.py: every warning of PEFT is a failure, its tensors must be exactly
those that PEFT would save, and its logits those that Lethe wrote down. With RECORDS, JSONL with id,
text and optionally text_pair, it also answers those and compares with

    lethe predict --backbone DIR --adapter DIR --file RECORDS --format json > PREDICTIONS

Exit code 0: all checks passed; 1: at least one failed; 2: wrong usage. Needs
Tests/Reference/requirements.txt.
"""

import argparse
import importlib.util
import json
import math
import pathlib
import sys

# The folder of an export holds what Lethe wrote, and a deletion removes no more than that.
sys.dont_write_bytecode = True


class Failed(Exception):
    """One check did not hold; the text says which and what to look at."""


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, required in [
        ("backbone", True), ("adapter", True), ("predictions", False), ("records", False)
    ]:
        parser.add_argument("--" + name, type=pathlib.Path, required=required)
    parser.add_argument(
        "--tolerance", type=float, default=1e-4, help="largest difference of a logit (default 1e-4)"
    )
    options = parser.parse_args()
    if (options.records is None) != (options.predictions is None):
        parser.error("--records and --predictions go together")
    return options


def loader(folder):
    """The module that Lethe wrote into an adapter's folder."""
    path = folder / "load_peft.py"
    if not path.exists():
        raise Failed(f"{folder} has no load_peft.py: lethe export and train-block write one")
    spec = importlib.util.spec_from_file_location("load_peft", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_predictions(options, records):
    """One list of logits per record, matched by id, or by place where no prediction has an id."""
    try:
        predictions = json.loads(options.predictions.read_text())["predictions"]
    except (ValueError, KeyError, TypeError) as problem:
        raise Failed(
            f"{options.predictions} is not what `lethe predict --format json` prints: {problem!r}"
        ) from problem
    if len(predictions) != len(records):
        raise Failed(f"{len(predictions)} predictions for {len(records)} records")
    if all("id" not in prediction for prediction in predictions):
        return [prediction["logits"] for prediction in predictions]
    by_id = {prediction.get("id"): prediction["logits"] for prediction in predictions}
    absent = [record["id"] for record in records if record["id"] not in by_id]
    if absent or len(by_id) != len(predictions):
        raise Failed(
            f"prediction ids do not match: {len(predictions) - len(by_id)} repeated, "
            f"absent {absent[:3]}"
        )
    return [by_id[record["id"]] for record in records]


def read_records(path):
    lines = path.read_text(encoding="utf-8").split("\n")
    records = [json.loads(line) for line in lines if line.strip()]
    if not records:
        raise Failed(f"{path} has no records")
    if not all("id" in record and "text" in record for record in records):
        raise Failed(f"{path}: every record needs id and text")
    return records


def compare(options, records, reference, ours):
    worst, place = 0.0, None
    for record, expected, actual in zip(records, reference, ours):
        if len(expected) != len(actual):
            raise Failed(
                f"record {record['id']}: {len(actual)} logits, the head has {len(expected)} rows"
            )
        for left, right in zip(expected, actual):
            difference = abs(left - right)
            if not math.isfinite(difference):
                raise Failed(f"record {record['id']}: a logit is not finite")
            if place is None or difference > worst:
                worst, place = difference, record["id"]
    if worst > options.tolerance:
        raise Failed(
            f"logits differ by up to {worst:.3g} (record {place}), allowed {options.tolerance:g}"
        )
    print(
        f"ok    logits of {len(records)} records agree, greatest difference {worst:.2e} "
        f"(record {place}, allowed {options.tolerance:g})"
    )


def check(options):
    module = loader(options.adapter)
    try:
        print("ok   ", module.check(options.backbone))
        if options.records is None:
            return
        records = read_records(options.records)
        model, tokenizer = module.load(options.backbone)
    except module.Failed as problem:
        raise Failed(str(problem)) from problem
    reference = [
        module.logits(model, tokenizer, record["text"], record.get("text_pair"))
        for record in records
    ]
    compare(options, records, reference, read_predictions(options, records))


def main():
    options = parse()
    try:
        check(options)
    except OSError as problem:
        print(f"cannot read {problem.filename}: {problem.strerror}", file=sys.stderr)
        return 2
    except Failed as problem:
        print(f"FAIL  {problem}\nverdict: PEFT and Lethe do not agree")
        return 1
    print("verdict: PEFT and Lethe agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
