#!/usr/bin/env python3
"""Loads an adapter that Lethe exported with the real PEFT and compares logits with `lethe predict`.

    lethe predict --backbone DIR --adapter DIR --file RECORDS --format json > PREDICTIONS
    python3 ops/check-peft.py --backbone DIR --adapter DIR --predictions PREDICTIONS --records RECORDS

RECORDS is JSONL with id, text and optionally text_pair. Every warning of PEFT counts as a failure, and the keys and shapes in
the adapter's file must be exactly those that PEFT would save. Exit code 0: all checks passed; 1: at least one failed;
2: wrong usage. Needs Tests/Reference/requirements.txt.
"""

import argparse
import json
import math
import os
import pathlib
import sys
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")

HEAD = "base_model.model.classifier.weight"


class Failed(Exception):
    """One check did not hold; the text says which and what to look at."""


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("backbone", "adapter", "predictions", "records"):
        parser.add_argument("--" + name, type=pathlib.Path, required=True)
    parser.add_argument(
        "--tolerance", type=float, default=1e-4, help="largest difference of a logit (default 1e-4)"
    )
    parser.add_argument(
        "--max-tokens", type=int, default=128, help="longest record in tokens (default 128)"
    )
    return parser.parse_args()


def load(options):
    """The adapter on its backbone, after the checks of keys, shapes and values."""
    import torch
    import transformers
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors.torch import load_file

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()

    class MeanPoolClassifier(torch.nn.Module):
        def __init__(self, bert, classes):
            super().__init__()
            self.bert = bert
            self.classifier = torch.nn.Linear(bert.config.hidden_size, classes)

        def forward(self, input_ids, token_type_ids):
            states = self.bert(input_ids=input_ids, token_type_ids=token_type_ids).last_hidden_state
            return self.classifier(states.mean(1))

    file = load_file(options.adapter / "adapter_model.safetensors")
    if HEAD not in file:
        raise Failed(f"the adapter has no {HEAD}: without its head it predicts nothing")
    bert = transformers.BertModel.from_pretrained(
        options.backbone, add_pooling_layer=False, attn_implementation="eager", dtype=torch.float32
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            model = PeftModel.from_pretrained(
                MeanPoolClassifier(bert, file[HEAD].shape[0]), str(options.adapter)
            )
        except Exception as problem:
            raise Failed(
                f"PEFT does not load it cleanly: {type(problem).__name__}: {problem}"
            ) from problem
    expected = get_peft_model_state_dict(model)
    missing, unexpected = sorted(expected.keys() - file.keys()), sorted(
        file.keys() - expected.keys()
    )
    if missing or unexpected:
        raise Failed(
            f"keys differ: {len(missing)} missing {missing[:3]}, {len(unexpected)} unexpected {unexpected[:3]}"
        )
    for key, value in expected.items():
        if value.shape != file[key].shape or value.dtype != file[key].dtype:
            raise Failed(
                f"{key}: file has {file[key].dtype} {tuple(file[key].shape)}, "
                f"PEFT expects {value.dtype} {tuple(value.shape)}"
            )
        if not torch.equal(value, file[key]):
            raise Failed(f"{key}: PEFT holds other values after loading than the file")
        if not torch.isfinite(value).all():
            raise Failed(f"{key}: not all values are finite")
    print(
        f"ok    PEFT loads the adapter without a warning: {len(file)} tensors, all expected, none missing"
    )
    return model.get_base_model().eval()


def reference_logits(options, model, records):
    import torch
    from transformers import BertTokenizerFast

    config = {}
    path = options.backbone / "tokenizer_config.json"
    if path.exists():
        config = json.loads(path.read_text())
    tokenizer = BertTokenizerFast(
        vocab=str(options.backbone / "vocab.txt"), do_lower_case=config.get("do_lower_case", True)
    )
    result = []
    with torch.no_grad():
        for record in records:
            encoded = tokenizer(
                record["text"],
                record.get("text_pair"),
                truncation="longest_first",
                max_length=options.max_tokens,
                return_tensors="pt",
            )
            result.append(model(encoded["input_ids"], encoded["token_type_ids"])[0].tolist())
    return result


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
            f"prediction ids do not match: {len(predictions) - len(by_id)} repeated, absent {absent[:3]}"
        )
    return [by_id[record["id"]] for record in records]


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


def main():
    options = parse()
    try:
        lines = options.records.read_text(encoding="utf-8").split("\n")
        records = [json.loads(line) for line in lines if line.strip()]
        if not records:
            raise Failed(f"{options.records} has no records")
        if not all("id" in record and "text" in record for record in records):
            raise Failed(f"{options.records}: every record needs id and text")
        ours = read_predictions(options, records)
        compare(options, records, reference_logits(options, load(options), records), ours)
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
