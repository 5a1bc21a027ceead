#!/usr/bin/env python3
"""Records the numerics fixtures (tiny-*, minilm) with PyTorch, Transformers and PEFT.

    python3 record_numerics.py tiny|distilbert|roberta OUTPUT_DIR
    python3 record_numerics.py minilm OUTPUT_DIR --model MODEL_DIR

Nothing in Lethe's engine is used here: the values are an independent reference.
"""

import argparse
import json
import math
import os
import pathlib
import shutil

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer
from transformers import (
    AutoModelForSequenceClassification,
    BertModel,
    RobertaTokenizer,
    get_linear_schedule_with_warmup,
)
from transformers.utils import logging as transformers_logging

LABELS = ["a", "b", "c"]
TARGETS = ["query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"]
DISTILBERT_TARGETS = ["q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"]
# The dense layer of these heads is frozen, as Lethe has it; only the last layer is trained.
FROZEN = ("pre_classifier", "classifier.dense")
GOLDEN_TEXT = "This is an offline sentence embedding"
STEPS, BATCH, RATE, HEAD_RATE, DECAY, CLIP, WARMUP = 5, 4, 1e-3, 1e-2, 0.01, 1.0, 0.2

VALUES = [0.5, -1.25, 3.0, 0.0, 1.75, -0.5, 2.25, -2.0]  # what a regression is to answer

RECORDS = [
    ("r0", "a small flowering plant of the northern hemisphere", None, "a"),
    ("r1", "Yes", None, "b"),
    (
        "r2",
        "the act of removing something from a list, a file or a memory; what is gone cannot be "
        "shown, and what was learned from it must be unlearned before anybody asks again",
        None,
        "c",
    ),
    (
        "r3",
        "any of various animals living in water",
        "They have fins, scales and a cold body.",
        "a",
    ),
    (
        "r4",
        "a person who works for a company and is paid every month (or every 2 weeks)",
        None,
        "b",
    ),
    ("r5", "Was it 1984 or 2026? Nobody knew.", "The café's owner didn't say!", "c"),
    ("r6", "place where food and drinks are sold", None, "a"),
    ("r7", "feeling of being happy, warm and safe at home with good friends", None, "c"),
]


class MeanPoolClassifier(torch.nn.Module):
    """A BERT encoder, the mean of its last layer over all real tokens, one linear head."""

    def __init__(self, bert, hidden, classes):
        super().__init__()
        self.bert = bert
        self.classifier = torch.nn.Linear(hidden, classes)

    def forward(self, input_ids, attention_mask, token_type_ids):
        states = self.bert(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        return self.classifier((states * mask).sum(1) / mask.sum(1))


# MARK: the tiny backbone

FUNCTION_WORDS = (
    """the of and a in to is was it for on that with as be by at from or an this are not but
they have had what were when we there can all your which their said if do will each about how up out them then
she many some so these would other into has more her two like him see time could no make than first been its
who now people my made over did down only way find use may water long little very after words called just
where most know""".split()
)
PIECES = (
    """s es ed ing er ly ion al en ers ar or le st th in on an it re ent ment ness able ous ful less
""".split()
)


def tiny_vocabulary():
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    digits = [str(d) for d in range(10)]
    marks = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    words = """plant animal food person place body time feeling small large house home work world life hand
part old year day man woman child name good new great end set form kind act state fish bird tree list file
memory friend friends company month week weeks paid drink drinks sold happy warm safe cold scale living owner""".split()
    stems = [
        "un",
        "remov",
        "learn",
        "flower",
        "north",
        "hem",
        "sphere",
        "some",
        "thing",
        "any",
        "var",
        "know",
        "body",
        "mem",
        "show",
        "ask",
        "again",
        "before",
        "every",
        "fin",
    ]
    stem_pieces = [
        "ove",
        "ern",
        "isphere",
        "thing",
        "body",
        "earn",
        "ear",
        "arn",
        "owing",
        "ious",
        "ew",
        "ory",
    ]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + marks + digits + letters
    vocabulary += ["##" + piece for piece in letters + digits]
    for word in FUNCTION_WORDS + words + stems + ["##" + piece for piece in PIECES + stem_pieces]:
        if word not in vocabulary:
            vocabulary.append(word)
    return vocabulary


def write_tiny(folder):
    """Writes a random BERT in Hugging Face layout, names without prefix as in MiniLM."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = tiny_vocabulary()
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "vocab_size": len(vocabulary),
        "max_position_embeddings": 128,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
    }
    random = np.random.Generator(np.random.PCG64(20260101))

    def normal(*shape, std=0.2, mean=0.0):
        return torch.from_numpy((mean + std * random.standard_normal(shape)).astype(np.float32))

    hidden, inner = config["hidden_size"], config["intermediate_size"]
    tensors = {}

    def linear(name, rows, columns):
        tensors[name + ".weight"] = normal(rows, columns)
        tensors[name + ".bias"] = normal(rows, std=0.1)

    def norm(name):
        tensors[name + ".weight"] = normal(hidden, std=0.1, mean=1.0)
        tensors[name + ".bias"] = normal(hidden, std=0.1)

    tensors["embeddings.position_ids"] = torch.arange(config["max_position_embeddings"]).unsqueeze(
        0
    )
    tensors["embeddings.word_embeddings.weight"] = normal(len(vocabulary), hidden)
    tensors["embeddings.position_embeddings.weight"] = normal(
        config["max_position_embeddings"], hidden
    )
    tensors["embeddings.token_type_embeddings.weight"] = normal(2, hidden)
    norm("embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        prefix = f"encoder.layer.{layer}."
        for name in ("query", "key", "value"):
            linear(prefix + "attention.self." + name, hidden, hidden)
        linear(prefix + "attention.output.dense", hidden, hidden)
        norm(prefix + "attention.output.LayerNorm")
        linear(prefix + "intermediate.dense", inner, hidden)
        linear(prefix + "output.dense", hidden, inner)
        norm(prefix + "output.LayerNorm")
    linear("pooler.dense", hidden, hidden)

    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


# MARK: tiny backbones of the other families, named and prefixed as they are published


def write_distilbert(folder):
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = tiny_vocabulary()
    config = {
        "architectures": ["DistilBertForMaskedLM"],
        "model_type": "distilbert",
        "activation": "gelu",
        "dim": 16,
        "n_layers": 4,
        "n_heads": 2,
        "hidden_dim": 32,
        "vocab_size": len(vocabulary),
        "max_position_embeddings": 128,
        "pad_token_id": 0,
        "sinusoidal_pos_embds": False,
        "tie_weights_": True,
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "seq_classif_dropout": 0.2,
        "initializer_range": 0.02,
    }
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    write_random(folder, config, 20260102)


def write_roberta(folder):
    folder.mkdir(parents=True, exist_ok=True)
    words = FUNCTION_WORDS + [text for row in RECORDS for text in row[1:3] if text]
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        [" ".join(words)] * 3,
        vocab_size=420,
        min_frequency=2,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        show_progress=False,
    )
    tokenizer.save_model(str(folder))
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    vocabulary["<mask>"] = len(vocabulary)  # the last, as it is published
    (folder / "vocab.json").write_text(
        json.dumps(vocabulary, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8"
    )
    config = {
        "architectures": ["RobertaForMaskedLM"],
        "model_type": "roberta",
        "hidden_act": "gelu",
        "hidden_size": 16,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "vocab_size": len(vocabulary),
        "max_position_embeddings": 130,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
    }
    write_random(folder, config, 20260103)


def write_random(folder, config, seed):
    """A checkpoint without a head: every parameter of the family's own encoder, drawn in order."""
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    model = AutoModelForSequenceClassification.from_config(
        transformers.AutoConfig.from_pretrained(folder), attn_implementation="eager"
    )
    random = np.random.Generator(np.random.PCG64(seed))
    tensors = {}
    for name, parameter in sorted(model.named_parameters()):
        if "classifier" in name:
            continue
        std, mean = (0.1, float(name.endswith("weight"))) if "norm" in name.lower() else (0.2, 0.0)
        values = mean + std * random.standard_normal(tuple(parameter.shape))
        tensors[name] = torch.from_numpy(values.astype(np.float32))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


# MARK: model and batches


def base_model(folder, outputs):
    """What carries the adapters, the projections, and the head's modules."""
    family = json.loads((pathlib.Path(folder) / "config.json").read_text())["model_type"]
    if family == "bert":
        bert = BertModel.from_pretrained(
            folder, add_pooling_layer=False, attn_implementation="eager", dtype=torch.float32
        )
        return MeanPoolClassifier(bert, bert.config.hidden_size, outputs), TARGETS, ["classifier"]
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=outputs, attn_implementation="eager", dtype=torch.float32
    )
    if family == "distilbert":
        return model, DISTILBERT_TARGETS, ["classifier", "pre_classifier"]
    return model, TARGETS, ["classifier"]


def load_model(folder, rank, alpha, seed, outputs=len(LABELS)):
    base, targets, head = base_model(folder, outputs)
    model = get_peft_model(
        base,
        LoraConfig(
            r=rank,
            lora_alpha=alpha,
            use_rslora=True,
            lora_dropout=0.0,
            bias="none",
            target_modules=targets,
            modules_to_save=head,
        ),
    )
    random = np.random.Generator(np.random.PCG64(seed))
    with torch.no_grad():
        for key, parameter in sorted(head_and_adapters(model).items()):
            std = 0.1 if "classifier" in key else 0.05 if "lora_A" in key else 0.03
            parameter.copy_(
                torch.from_numpy(
                    (std * random.standard_normal(tuple(parameter.shape))).astype(np.float32)
                )
            )
    for key, parameter in head_and_adapters(model).items():
        parameter.requires_grad_(not any(part in key for part in FROZEN))
    return model.eval()


def trained(model):
    """The parameters that training moves, under the keys PEFT writes to its file."""
    return {
        key: parameter
        for key, parameter in head_and_adapters(model).items()
        if not any(part in key for part in FROZEN)
    }


def head_and_adapters(model):
    """The LoRA and head parameters under the keys PEFT writes to its file."""
    return {
        name.replace(".default", "").replace(".modules_to_save", ""): parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad or "lora_" in name or "modules_to_save" in name
    }


def load_tokenizer(folder):
    folder = pathlib.Path(folder)
    if (folder / "merges.txt").exists():
        return RobertaTokenizer(
            vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt")
        ).backend_tokenizer
    return BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True)


def collate(encoded, padding=0):
    width = max(len(item.ids) for item in encoded)
    row = lambda values, filler=0: values + [filler] * (width - len(values))
    return {
        "input_ids": torch.tensor([row(item.ids, padding) for item in encoded]),
        "attention_mask": torch.tensor([row([1] * len(item.ids)) for item in encoded]),
        "token_type_ids": torch.tensor([row(item.type_ids) for item in encoded]),
    }


def logits_of(model, encoded):
    config = getattr(model.get_base_model(), "config", None)
    if config is None:
        return model(**collate(encoded))
    # The published models: without types, and padding tells their positions.
    inputs = collate(encoded, padding=config.pad_token_id)
    del inputs["token_type_ids"]
    return model(**inputs).logits


def cross_entropy(model, encoded, labels):
    return torch.nn.functional.cross_entropy(logits_of(model, encoded), torch.tensor(labels))


def squared_error(model, encoded, values):
    return torch.nn.functional.mse_loss(logits_of(model, encoded)[:, 0], torch.tensor(values))


def gradients(model, encoded, labels, parameters):
    model.zero_grad(set_to_none=True)
    cross_entropy(model, encoded, labels).backward()
    return {key: parameter.grad.clone() for key, parameter in parameters.items()}


# MARK: training


def train(model, encoded, labels, layers, clip, schedule, loss_of=cross_entropy):
    """Five AdamW steps; `layers` None trains every adapter. Returns losses and trained parameters."""
    parameters = trained(model)
    adapters, head = {}, {}
    for key, parameter in parameters.items():
        if "classifier" in key:
            head[key] = parameter
        elif layers is None or any(f".layer.{layer}." in key for layer in layers):
            adapters[key] = parameter
        parameter.requires_grad_(key in head or key in adapters)
    optimizer = torch.optim.AdamW(
        [
            {"params": list(adapters.values()), "lr": RATE},
            {"params": list(head.values()), "lr": HEAD_RATE},
        ],
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=DECAY,
    )
    scheduler = None
    if schedule == "linear":
        scheduler = get_linear_schedule_with_warmup(optimizer, math.ceil(WARMUP * STEPS), STEPS)
    losses, norms, first = [], [], {}
    for step in range(STEPS):
        start = step * BATCH % len(encoded)
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(model, encoded[start : start + BATCH], labels[start : start + BATCH])
        loss.backward()
        losses.append(loss.item())
        moved = {**adapters, **head}
        if step == 0:
            first = {key: parameter.grad.clone() for key, parameter in moved.items()}
        if clip is not None:
            norms.append(torch.nn.utils.clip_grad_norm_(list(moved.values()), clip).item())
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    if norms:
        print("gradient norms before clipping:", " ".join("%.3f" % norm for norm in norms))
    return losses, {key: parameter.detach().clone() for key, parameter in moved.items()}, first


def measure(fresh, encoded, labels, block_layers):
    """Everything that goes to expected.safetensors, from models made by `fresh`."""
    result = {}
    model = fresh()
    with torch.no_grad():
        result["logits"] = logits_of(model, encoded)
    for key, value in gradients(model, encoded, labels, trained(model)).items():
        result["grad." + key] = value
    losses, final, _ = train(fresh(), encoded, labels, None, CLIP, "linear")
    result["all.losses"] = torch.tensor(losses, dtype=result["logits"].dtype)
    result.update({"all." + key: value for key, value in final.items()})
    losses, final, first = train(fresh(), encoded, labels, block_layers, None, "constant")
    result["block.losses"] = torch.tensor(losses, dtype=result["logits"].dtype)
    result.update({"block." + key: value for key, value in final.items()})
    result.update({"blockgrad." + key: value for key, value in first.items()})
    return result


def regression(fresh, encoded):
    """A head of one row on VALUES: where it starts, the losses of all steps, the final tensors."""
    start = {
        "init." + key: parameter.detach().clone()
        for key, parameter in trained(fresh()).items()
        if "classifier" in key
    }
    losses, final, _ = train(fresh(), encoded, VALUES, None, CLIP, "linear", squared_error)
    return {
        **start,
        "all.losses": torch.tensor(losses, dtype=torch.float32),
        **{"all." + key: value for key, value in final.items()},
    }


def golden(folder, tokenizer):
    bert = BertModel.from_pretrained(
        folder, add_pooling_layer=False, attn_implementation="eager", dtype=torch.float32
    ).eval()
    item = tokenizer.encode(GOLDEN_TEXT)
    with torch.no_grad():
        states = bert(**collate([item])).last_hidden_state[0].mean(0)
    return {"text": GOLDEN_TEXT, "ids": item.ids, "embedding": states.tolist()}


def tidy(folder):
    """PEFT writes target_modules in the order of a Python set; sorted, two recordings are equal."""
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["target_modules"].sort()
    path.write_text(json.dumps(config, indent=2) + "\n")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("which", choices=["tiny", "distilbert", "roberta", "minilm"])
    arguments.add_argument("output", type=pathlib.Path)
    arguments.add_argument("--model", type=pathlib.Path, help="folder of all-MiniLM-L6-v2")
    options = arguments.parse_args()
    transformers_logging.set_verbosity_error()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    output = options.output
    output.mkdir(parents=True, exist_ok=True)
    if options.which == "tiny":
        folder, rank, alpha, seed, block = output / "model", 4, 8, 41, (1, 2)
        write_tiny(folder)
    elif options.which == "distilbert":
        folder, rank, alpha, seed, block = output / "model", 2, 4, 43, (1, 2)
        write_distilbert(folder)
    elif options.which == "roberta":
        folder, rank, alpha, seed, block = output / "model", 2, 4, 44, (1, 2)
        write_roberta(folder)
    else:
        if options.model is None:
            arguments.error("minilm needs --model")
        folder, rank, alpha, seed, block = options.model, 2, 4, 42, (2, 3)

    tokenizer = load_tokenizer(folder)
    encoded = [tokenizer.encode(text, pair) for _, text, pair, _ in RECORDS]
    labels = [LABELS.index(label) for _, _, _, label in RECORDS]
    has_types = json.loads((folder / "config.json").read_text()).get("type_vocab_size", 1) > 1
    types_of = lambda item: item.type_ids if has_types else [0] * len(item.ids)
    with open(output / "records.jsonl", "w") as file:
        for identifier, text, pair, label in RECORDS:
            row = {"id": identifier, "text": text, "text_pair": pair, "label": label}
            if pair is None:
                del row["text_pair"]
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    with open(output / "tokens.json", "w") as file:
        rows = [
            json.dumps({"id": record[0], "ids": item.ids, "typeIds": types_of(item)})
            for record, item in zip(RECORDS, encoded)
        ]
        file.write("[\n" + ",\n".join(rows) + "\n]\n")

    shutil.rmtree(output / "init", ignore_errors=True)
    load_model(folder, rank, alpha, seed).save_pretrained(output / "init")
    (output / "init" / "README.md").unlink(missing_ok=True)  # PEFT's empty model-card template
    tidy(output / "init")

    single = measure(lambda: load_model(folder, rank, alpha, seed), encoded, labels, block)
    double = measure(lambda: load_model(folder, rank, alpha, seed).double(), encoded, labels, block)
    print("float32 against float64, greatest absolute difference (greatest absolute value):")
    for kind in (
        "logits",
        "grad.",
        "all.losses",
        "all.base",
        "block.losses",
        "block.base",
        "blockgrad.",
    ):
        keys = [key for key in single if key.startswith(kind)]
        print(
            f"  {kind:14}",
            "%.2e" % max((single[k] - double[k]).abs().max().item() for k in keys),
            "(%.3g)" % max(double[k].abs().max().item() for k in keys),
        )
    print("  losses all", single["all.losses"].tolist(), "block", single["block.losses"].tolist())
    single["logits64"] = double["logits"]
    save_file(
        {key: value.detach().contiguous() for key, value in single.items()},
        output / "expected.safetensors",
        metadata={"format": "pt"},
    )
    if options.which == "tiny":
        values = regression(lambda: load_model(folder, rank, alpha, seed, outputs=1), encoded)
        save_file(
            {key: value.contiguous() for key, value in values.items()},
            output / "regression.safetensors",
            metadata={"format": "pt"},
        )
    if options.which == "minilm":
        (output / "golden.json").write_text(json.dumps(golden(folder, tokenizer)) + "\n")

    for path in output.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


if __name__ == "__main__":
    main()
