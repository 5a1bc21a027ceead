#!/usr/bin/env python3
"""Predictions per second of Lethe and of PyTorch, side by side in one run.

    python3 ops/bench-serve.py MODEL_DIR [--lethe .build/release/lethe] [--cases a,b,c] [--repetitions 6] [--compile] [--json]

Runs `lethe bench serve` for a case, then PyTorch on texts of the same lengths, then the next case. PyTorch runs as a careful
user would serve it: adapters merged, inference mode, fp32, one thread, memory allocation tuned so that it maps no memory anew
for every layer; batches of 32 in the given order, padded to their longest text, without a mask where nothing is padded. An
ensemble of n shards is n models, one after the other. With --compile also torch.compile, and the faster of both counts.

Needs torch, transformers and numpy (Tests/Reference/requirements.txt).
"""

import argparse
import json
import os
import subprocess
import sys
import time

# The C library reads these when it starts; above 32 MiB it would ignore the first.
TUNED = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder with config.json and model.safetensors")
    parser.add_argument("--lethe", default=".build/release/lethe")
    parser.add_argument("--cases", default="a,b,c")
    parser.add_argument("--shards", type=int, default=5)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--repetitions", type=int, default=6, help="batches to measure (default 6)")
    parser.add_argument("--compile", action="store_true", help="also torch.compile; takes minutes")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    return parser.parse_args()


def spread(seconds):
    ordered = sorted(1e3 * second for second in seconds)
    last = len(ordered) - 1
    return {name: ordered[round(share * last)] for name, share in (("median", 0.5), ("p10", 0.1), ("p90", 0.9))}


def lethe(options, case):
    command = [options.lethe, "bench", "serve", "--backbone", options.model, "--cases", case,
               "--shards", str(options.shards), "--depth", str(options.depth),
               "--repetitions", str(options.repetitions), "--format", "json"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return {row["model"]: row for row in json.loads(done.stdout)["rows"]}


def main():
    options = parse()
    if any(os.environ.get(name) != value for name, value in TUNED.items()):
        os.environ.update(TUNED)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    import numpy as np
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.manual_seed(1)

    class Classifier(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = transformers.BertModel.from_pretrained(
                options.model, add_pooling_layer=False, dtype=torch.float32)
            self.head = torch.nn.Linear(self.bert.config.hidden_size, 2)

        def forward(self, ids, mask):
            states = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
            if mask is None:
                return self.head(states.mean(1))
            kept = mask.unsqueeze(-1).to(states.dtype)
            return self.head((states * kept).sum(1) / kept.sum(1))

    # Weights of their own, as five adapted models have.
    models = [Classifier().eval() for _ in range(options.shards)]
    vocabulary = models[0].bert.config.vocab_size
    random = np.random.Generator(np.random.PCG64(7))

    def batches(lengths, size):
        for start in range(0, len(lengths), size):
            some = np.array(lengths[start : start + size])
            ids = random.integers(1000, vocabulary, (len(some), some.max()))
            mask = (np.arange(some.max()) < some[:, None]).astype(np.int64)
            yield torch.from_numpy(ids * mask), None if mask.all() else torch.from_numpy(mask)

    def measure(run, work):
        with torch.inference_mode():
            run(*work[0])
            times = []
            for ids, mask in work:
                start = time.perf_counter()
                run(ids, mask)
                times.append(time.perf_counter() - start)
        return times

    def best(lengths, count):
        """The fastest way to run one model over batches and single texts, and the times of several."""
        full, single = list(batches(lengths, 32)), list(batches(lengths[:count], 1))
        ways = {"eager": models}
        if options.compile:
            ways["compiled"] = [torch.compile(model, dynamic=True) for model in models]
            with torch.inference_mode():
                for model in ways["compiled"]:
                    for ids, mask in full + single:
                        model(ids, mask)
        result = {}
        for name, several in ways.items():
            def ensemble(ids, mask, several=several):
                for model in several:
                    model(ids, mask)

            found = {
                "way": name,
                "batch": measure(several[0], full),
                "text": measure(several[0], single),
                "ensembleBatch": measure(ensemble, full),
                "ensembleText": measure(ensemble, single),
            }
            for kind in ("batch", "text", "ensembleBatch", "ensembleText"):
                if kind not in result or sum(found[kind]) < sum(result[kind][1]):
                    result[kind] = (name, found[kind])
        return result

    rows = []
    for case in options.cases.split(","):
        ours = lethe(options, case)
        lengths = ours["one"]["lengths"]
        theirs = best(lengths, min(len(lengths), 64))
        for model, batch, text in (("one", "batch", "text"), ("ensemble", "ensembleBatch", "ensembleText")):
            row = ours[model]
            way, times = theirs[batch]
            rate = 32 * len(times) / sum(times)
            latency = spread(theirs[text][1])
            rows.append({
                "case": case,
                "model": model,
                "lethe": {key: row[key] for key in ("examplesPerSecond", "batchMs", "textMs")},
                "pytorch": {"examplesPerSecond": rate, "batchMs": spread(times), "textMs": latency, "way": way},
                "examplesRatio": row["examplesPerSecond"] / rate,
                "textRatio": latency["median"] / row["textMs"]["median"],
                "sharingRatio": row["examplesPerSecond"] / ours["unshared"]["examplesPerSecond"] if model == "ensemble" else None,
            })
            if not options.json:
                if len(rows) == 1:
                    print(f"torch {torch.__version__}, transformers {transformers.__version__}, one thread, batches of 32, "
                          f"{options.shards} shards at depth {options.depth}")
                    print("case  model     lethe ex/s  torch ex/s  ratio   one text ms: lethe  torch  ratio   shared/unshared")
                shared = rows[-1]["sharingRatio"]
                print(f"{case:4}  {model:8}  {row['examplesPerSecond']:10.1f}  {rate:10.1f}  {rows[-1]['examplesRatio']:5.2f}"
                      f"   {row['textMs']['median']:18.1f}  {latency['median']:5.1f}  {rows[-1]['textRatio']:5.2f}"
                      f"   {'' if shared is None else f'{shared:.2f}':>15}   {way}", flush=True)
    if options.json:
        print(json.dumps({"torch": torch.__version__, "transformers": transformers.__version__, "threads": 1,
                          "shards": options.shards, "depth": options.depth, "rows": rows}))


if __name__ == "__main__":
    main()
