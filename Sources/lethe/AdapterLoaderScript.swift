/// What `lethe export` and `train-block` write as `load_peft.py`: an independent reader of the
/// folder it stands in. `ops/check-peft.py` runs it, too.
let adapterLoaderScript = #"""
  #!/usr/bin/env python3
  """Loads the adapter of this folder with Transformers and PEFT, and holds it to Lethe's logits.

      python3 load_peft.py --backbone DIR

  Exit code 0: PEFT takes the adapter without a warning, holds every tensor of the file and no
  other, and answers the texts of lethe_manifest.json with the logits that Lethe computed; 1: it
  does not. Needs torch, transformers, peft and tokenizers.

  In a program of your own: `model, tokenizer = load_peft.load(BACKBONE)`, then
  `load_peft.logits(model, tokenizer, TEXT)`.
  """

  import argparse
  import json
  import os
  import pathlib
  import sys
  import warnings

  os.environ.setdefault("HF_HUB_OFFLINE", "1")

  import tokenizers
  import torch
  import transformers
  from peft import PeftModel, get_peft_model_state_dict
  from safetensors.torch import load_file

  FOLDER = pathlib.Path(__file__).resolve().parent
  MANIFEST = json.loads((FOLDER / "lethe_manifest.json").read_text(encoding="utf-8"))
  SETTINGS = {"attn_implementation": "eager", "dtype": torch.float32}


  class Failed(Exception):
      """One check did not hold; the text says which and what to look at."""


  class MeanPoolClassifier(torch.nn.Module):
      """BERT as Lethe reads it: the mean of the last layer over all tokens, and a linear head."""

      def __init__(self, bert, labels):
          super().__init__()
          self.bert = bert
          self.classifier = torch.nn.Linear(bert.config.hidden_size, labels)

      def forward(self, input_ids, attention_mask, token_type_ids):
          states = self.bert(
              input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
          ).last_hidden_state
          mask = attention_mask.unsqueeze(-1).to(states.dtype)
          return self.classifier((states * mask).sum(1) / mask.sum(1))


  def base_model(backbone):
      """The frozen model that the adapter belongs on; its head's values come with the adapter."""
      labels = len(MANIFEST["labels"])
      if MANIFEST["architecture"] == "bert":
          bert = transformers.BertModel.from_pretrained(
              backbone, add_pooling_layer=False, **SETTINGS
          )
          return MeanPoolClassifier(bert, labels)
      return transformers.AutoModelForSequenceClassification.from_pretrained(
          backbone, num_labels=labels, ignore_mismatched_sizes=True, **SETTINGS
      )


  def tokenizer_of(backbone):
      path = backbone / "tokenizer_config.json"
      settings = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
      if MANIFEST["architecture"] == "roberta":
          tokenizer = transformers.RobertaTokenizer(
              vocab=str(backbone / "vocab.json"),
              merges=str(backbone / "merges.txt"),
              add_prefix_space=settings.get("add_prefix_space") is True,
              mask_token=tokenizers.AddedToken("<mask>", lstrip=True, special=True),
          ).backend_tokenizer
      else:
          tokenizer = tokenizers.BertWordPieceTokenizer(
              str(backbone / "vocab.txt"),
              lowercase=settings.get("do_lower_case") is not False,
              strip_accents=settings.get("strip_accents"),
              handle_chinese_chars=settings.get("tokenize_chinese_chars") is not False,
          )
      tokenizer.enable_truncation(MANIFEST["maximumTokens"], strategy="longest_first")
      return tokenizer


  def load(backbone):
      """The adapter on its backbone, and the tokenizer."""
      transformers.utils.logging.set_verbosity_error()
      transformers.utils.logging.disable_progress_bar()
      backbone = pathlib.Path(backbone)
      base = base_model(backbone)
      with warnings.catch_warnings():
          # What PEFT only warns about, such as an absent tensor, changes the answers.
          warnings.simplefilter("error", UserWarning)
          try:
              model = PeftModel.from_pretrained(base, str(FOLDER))
          except Exception as problem:
              raise Failed(f"PEFT refuses it: {type(problem).__name__}: {problem}") from problem
      return model.eval(), tokenizer_of(backbone)


  def logits(model, tokenizer, text, pair=None):
      encoded = tokenizer.encode(text, pair or None)
      inputs = {
          "input_ids": torch.tensor([encoded.ids]),
          "attention_mask": torch.ones(1, len(encoded.ids), dtype=torch.long),
      }
      if MANIFEST["architecture"] == "bert":
          inputs["token_type_ids"] = torch.tensor([encoded.type_ids])
      with torch.no_grad():
          output = model.get_base_model()(**inputs)
      return getattr(output, "logits", output)[0].tolist()


  def check_tensors(model):
      """PEFT holds exactly what the file does."""
      file = load_file(FOLDER / "adapter_model.safetensors")
      held = get_peft_model_state_dict(model)
      missing, unexpected = sorted(held.keys() - file.keys()), sorted(file.keys() - held.keys())
      if missing or unexpected:
          raise Failed(f"keys differ: missing {missing[:3]}, unexpected {unexpected[:3]}")
      for key, value in held.items():
          if value.shape != file[key].shape or value.dtype != file[key].dtype:
              raise Failed(f"{key}: PEFT holds {value.dtype} {tuple(value.shape)}")
          if not torch.equal(value, file[key]) or not torch.isfinite(value).all():
              raise Failed(f"{key}: PEFT holds other values than the file")
      return len(file)


  def check(backbone):
      """Everything this file promises; returns what it saw. Raises `Failed`."""
      model, tokenizer = load(backbone)
      count = check_tensors(model)
      allowed, worst = MANIFEST["logits"]["tolerance"], 0.0
      for probe in MANIFEST["logits"]["texts"]:
          found = logits(model, tokenizer, probe["text"], probe.get("text_pair"))
          if len(found) != len(probe["logits"]):
              raise Failed(f"{len(found)} logits for {len(probe['logits'])} labels")
          difference = max(abs(a - b) for a, b in zip(found, probe["logits"]))
          if not difference <= allowed:
              raise Failed(
                  f"logits of {probe['text']!r} differ by {difference:.3g}, allowed {allowed:g}: "
                  f"{found}, Lethe has {probe['logits']}"
              )
          worst = max(worst, difference)
      return (
          f"{count} tensors, all expected, none missing; logits of "
          f"{len(MANIFEST['logits']['texts'])} texts agree, greatest difference {worst:.2e} "
          f"(allowed {allowed:g})"
      )


  def main():
      parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
      parser.add_argument("--backbone", type=pathlib.Path, required=True)
      try:
          print("ok   ", check(parser.parse_args().backbone))
      except Failed as problem:
          print(f"FAIL  {problem}")
          return 1
      return 0


  if __name__ == "__main__":
      sys.exit(main())

  """#
