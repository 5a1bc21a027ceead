#!/usr/bin/env python3
"""Training throughput of PyTorch + PEFT on one encoder, the peer of `lethe bench engine`.

    python3 ops/bench-pytorch.py MODEL_DIR [--threads 1] [--steps 30] [--cases a,b,c] [--stages 1,3,6] [--json]
    python3 ops/bench-pytorch.py MODEL_DIR --schedule FILE [--grouped] [--bf16] [--compile] [--json]

A plain loop in fp32, as a careful user would write it: the forward pass of all layers, backward, AdamW; no cache, batches in
random order, padded to their longest text. Stage i trains the adapters of the i-th layer from the top and the head.

    a  32 x 128 tokens    b  32 x 64 tokens    c  32 texts of 8 to 64 tokens, log-normal, mean 26
    d  32 x 32 tokens

With --schedule a whole sequence as `lethe bench schedule --format json` has written it: the same numbers of records, lengths,
stages, epochs. --grouped puts records of like length into one batch, --bf16 runs under autocast, --compile takes torch.compile,
whose compilation is not timed.

Needs torch, transformers, peft and numpy (Tests/Reference/requirements.txt).
"""

import argparse
import json
import os
import platform
import resource
import statistics
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")

CLASSES, RANK, ALPHA = 2, 16, 32


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder with config.json and model.safetensors")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=30, help="measured steps per row (default 30)")
    parser.add_argument("--warm-up", type=int, default=3, help="steps before them (default 3)")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--cases", default="a,b,c")
    parser.add_argument("--stages", default="1,3,6")
    parser.add_argument("--schedule", metavar="FILE", help="what lethe bench schedule has printed as JSON")
    parser.add_argument("--grouped", action="store_true", help="batches of like length (--schedule)")
    parser.add_argument("--bf16", action="store_true", help="bf16 autocast")
    parser.add_argument("--compile", action="store_true", help="torch.compile")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    options = parser.parse_args()
    options.cases = options.cases.split(",")
    options.stages = [int(stage) for stage in options.stages.split(",")]
    if not set(options.cases) <= {"a", "b", "c", "d"}:
        parser.error("--cases knows a, b, c and d")
    if options.steps < 1 or options.threads < 1 or options.batch_size < 1:
        parser.error("--steps, --threads and --batch-size must be at least 1")
    return parser, options


def main():
    parser, options = parse()
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    import numpy as np
    import peft
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)

    class MeanPoolClassifier(torch.nn.Module):
        def __init__(self, bert):
            super().__init__()
            self.bert = bert
            self.classifier = torch.nn.Linear(bert.config.hidden_size, CLASSES)

        def forward(self, input_ids, attention_mask):
            states = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            mask = attention_mask.unsqueeze(-1).to(states.dtype)
            return self.classifier((states * mask).sum(1) / mask.sum(1))

    def build():
        bert = transformers.BertModel.from_pretrained(
            options.model,
            add_pooling_layer=False,
            dtype=torch.float32,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        config = peft.LoraConfig(
            r=RANK,
            lora_alpha=ALPHA,
            use_rslora=True,
            lora_dropout=0.0,
            target_modules=["query", "value"],
            modules_to_save=["classifier"],
        )
        return peft.get_peft_model(MeanPoolClassifier(bert), config)

    probe = build().get_base_model().bert.config
    layers, vocabulary = probe.num_hidden_layers, probe.vocab_size
    if not all(1 <= stage <= layers for stage in options.stages):
        parser.error(f"--stages of this model are 1 to {layers}")
    if probe.max_position_embeddings < 128 and "a" in options.cases:
        parser.error("case a needs a model of at least 128 positions")

    def batches(case):
        """Padded batches and the share of their tokens that is real; the same for every stage."""
        random = np.random.Generator(np.random.PCG64(7))
        result, real, padded = [], 0, 0
        for _ in range(options.steps + options.warm_up):
            size = options.batch_size
            if case == "c":
                lengths = np.clip(
                    np.exp(random.normal(np.log(26) - 0.125, 0.5, size)).round(), 8, 64
                )
            else:
                lengths = np.full(size, {"a": 128, "b": 64, "d": 32}[case])
            width = int(lengths.max())
            mask = torch.from_numpy((np.arange(width) < lengths[:, None]).astype(np.int64))
            ids = (
                torch.from_numpy(
                    random.integers(min(1000, vocabulary // 2), vocabulary, (size, width))
                )
                * mask
            )
            result.append((ids, mask, torch.from_numpy(random.integers(0, CLASSES, size))))
            real, padded = real + int(lengths.sum()), padded + size * width
        return result, real / padded

    def optimizer_of(model, trained):
        """Trains the adapters of some layers and the head, nothing else."""
        places = [f".layer.{layer}." for layer in trained]
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(
                ("lora_" in name and any(place in name for place in places))
                or "modules_to_save" in name
            )
        return torch.optim.AdamW(
            [parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-4
        )

    def step(model, optimizer, ids, mask, labels):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
            loss = torch.nn.functional.cross_entropy(model(ids, mask).float(), labels)
        loss.backward()
        optimizer.step()

    def schedule(plan):
        """One sequence from its first stage to its last, in one model that goes on learning."""
        lengths, slices = plan["lengths"], plan["sliceCount"]
        per_slice = len(lengths) // slices
        random = np.random.Generator(np.random.PCG64(7))
        records = [random.integers(min(1000, vocabulary // 2), vocabulary, n) for n in lengths]
        labels = random.integers(0, CLASSES, len(lengths))
        groups, upper = [], layers
        for group in range(slices):
            size = layers // slices + (group < layers % slices)
            groups.append(range(upper - size, upper))
            upper -= size

        def batch(chosen):
            width = max(lengths[index] for index in chosen)
            ids, mask = np.zeros((len(chosen), width), np.int64), np.zeros((len(chosen), width), np.int64)
            for row, index in enumerate(chosen):
                ids[row, : lengths[index]], mask[row, : lengths[index]] = records[index], 1
            return torch.from_numpy(ids), torch.from_numpy(mask), torch.from_numpy(labels[list(chosen)])

        def epoch(count):
            order = random.permutation(count).tolist()
            size = plan["batchSize"]
            if options.grouped:
                order.sort(key=lambda index: lengths[index])
            batches = [order[start : start + size] for start in range(0, count, size)]
            if options.grouped:
                random.shuffle(batches)
            return [batch(chosen) for chosen in batches]

        model = build().train()
        run = torch.compile(model) if options.compile else model
        # Fresh memory, thread pools and, where asked for, the compiler's work are not timed.
        for trained in groups if options.compile else groups[:1]:
            step(run, optimizer_of(model, trained), *epoch(per_slice)[0])
        stages = []
        for stage, trained in enumerate(groups, 1):
            start = time.perf_counter()
            optimizer = optimizer_of(model, trained)
            for _ in range(plan["epochs"]):
                for ids, mask, wanted in epoch(stage * per_slice):
                    step(run, optimizer, ids, mask, wanted)
            stages.append(time.perf_counter() - start)
        return stages

    if options.schedule:
        with open(options.schedule) as file:
            stages = schedule(json.load(file))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        if options.json:
            print(json.dumps({"seconds": sum(stages), "stages": stages, "peakResidentMegabytes": peak}))
        else:
            print(f"{sum(stages):.2f} s in all; by stage {[round(s, 2) for s in stages]}; {peak:.0f} MB at most")
        return

    rows = []
    for case in options.cases:
        work, share = batches(case)
        for stage in options.stages:
            model = build().train()
            optimizer = optimizer_of(model, [layers - stage])
            run = torch.compile(model) if options.compile else model
            times = []
            for ids, mask, labels in work:
                start = time.perf_counter()
                step(run, optimizer, ids, mask, labels)
                times.append(time.perf_counter() - start)
            times = times[options.warm_up:]
            deciles = (
                statistics.quantiles(times, n=10, method="inclusive")
                if len(times) > 1
                else times * 9
            )
            rows.append(
                {
                    "case": case,
                    "stage": stage,
                    "examplesPerSecond": options.batch_size * len(times) / sum(times),
                    "stepMs": {
                        "median": 1e3 * statistics.median(times),
                        "p10": 1e3 * deciles[0],
                        "p90": 1e3 * deciles[-1],
                    },
                    "realTokenShare": share,
                }
            )
            if not options.json:
                if len(rows) == 1:
                    print(
                        f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}, "
                        f"{options.threads} thread(s), batch {options.batch_size}, {options.steps} steps"
                    )
                    print("case  stage  examples/s   ms per step: median (p10..p90)   real tokens")
                row = rows[-1]
                step = row["stepMs"]
                print(
                    f"{case:4}  {stage:5}  {row['examplesPerSecond']:10.1f}   "
                    f"{step['median']:20.0f} ({step['p10']:.0f}..{step['p90']:.0f})   {share:15.0%}",
                    flush=True,
                )
    if options.json:
        print(
            json.dumps(
                {
                    "engine": "pytorch",
                    "torch": torch.__version__,
                    "transformers": transformers.__version__,
                    "peft": peft.__version__,
                    "machine": platform.machine(),
                    "threads": options.threads,
                    "batchSize": options.batch_size,
                    "steps": options.steps,
                    "rank": RANK,
                    "targets": ["query", "value"],
                    "rows": rows,
                    "peakResidentMegabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
                }
            )
        )


if __name__ == "__main__":
    main()
