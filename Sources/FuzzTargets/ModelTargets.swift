import ModelFormats
import Tokenization
import Unlearning

private let sampleTensors = [
  NamedTensor(name: "a", shape: [2, 3], values: [1, 2, 3, 4, 5, 6]),
  NamedTensor(name: "b.weight", shape: [1], values: [-1]),
  NamedTensor(name: "empty", shape: [0, 2], values: []),
]

func safetensorsSeeds() -> [[UInt8]] {
  let header = #"{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#
  return [
    SafetensorsWriter.encode(sampleTensors, metadata: ["format": "pt"]),
    SafetensorsWriter.encode([]),
    [UInt8(header.utf8.count), 0, 0, 0, 0, 0, 0, 0] + header.utf8 + [1, 2],
  ]
}

func runSafetensors(_ bytes: [UInt8]) {
  guard let file = try? SafetensorsFile(bytes) else { return }
  var tensors: [NamedTensor] = []
  for tensor in file.tensors {
    demand(file.tensor(named: tensor.name) == tensor, "a tensor that its name does not find")
    _ = try? file.checkFinite(tensor)
    guard let values = try? file.floats(tensor) else { continue }
    tensors.append(NamedTensor(name: tensor.name, shape: tensor.shape, values: Array(values)))
  }
  guard tensors.count == file.tensors.count else { return }
  let written = SafetensorsWriter.encode(
    tensors, metadata: Dictionary(file.metadata, uniquingKeysWith: { first, _ in first }))
  guard let again = try? SafetensorsFile(written) else { fatalError("written and not readable") }
  for tensor in tensors {
    let values = try? again.floats(tensor.name, shape: tensor.shape)
    demand(
      values?.map(\.bitPattern) == tensor.values.map(\.bitPattern), "a tensor that changed")
  }
}

/// The configuration, a zero byte, and the tensors.
func peftAdapterSeeds() -> [[UInt8]] {
  let adapters = [
    Adapter(
      layer: 1, target: .query, rank: 2, scale: 8, a: [1, 2, 3, 4, 5, 6], b: [1, 2, 3, 4]),
    Adapter(
      layer: 3, target: .output, rank: 2, scale: 8, a: [1, 2, 3, 4], b: [1, 2, 3, 4]),
  ]
  let head = ClassifierHead(weight: [1, 2, 3, 4, 5, 6], bias: [1, 2])
  return [
    PEFTAdapter(rank: 2, alpha: 16, rankStabilized: false, adapters: adapters, head: head),
    PEFTAdapter(rank: 2, alpha: 0.5, rankStabilized: true, adapters: [], head: head),
    PEFTAdapter(rank: 2, alpha: 16, rankStabilized: true, adapters: [adapters[0]], head: nil),
  ].map { adapter in
    let files = adapter.encode(baseModel: "base", metadata: ["key": "value"])
    return files.configuration + [0] + files.tensors
  }
}

func runPEFTAdapter(_ bytes: [UInt8]) {
  let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
  guard parts.count == 2,
    let adapter = try? PEFTAdapter(configuration: parts[0], tensors: parts[1])
  else { return }
  let files = adapter.encode()
  let again = try? PEFTAdapter(configuration: files.configuration, tensors: files.tensors)
  demand(again == adapter, "an adapter that is read otherwise than it was written")
}

func jsonSeeds() -> [[UInt8]] {
  [
    #"{"a":[1,-2.5e+3,0],"b":{"c":null,"d":[true,false]},"":"x"}"#,
    #"["\u00e9\n\"\\\/","\ud83d\ude00",[[[[]]]],{}]"#, " 0 ", #""text""#,
    String(repeating: "[", count: 63) + String(repeating: "]", count: 63),
  ].map { Array($0.utf8) }
}

func runJSON(_ bytes: [UInt8]) {
  guard let value = try? JSON(parsing: bytes) else { return }
  _ = (value.integer, value.double, value.array?.count, value["a"])
  let compact = value.compactBytes
  demand((try? JSON(parsing: compact))?.compactBytes == compact, "compact text that changes")
  demand(
    (try? JSON(parsing: value.prettyBytes))?.compactBytes == compact, "pretty text that changes")
}

func json5Seeds() -> [[UInt8]] {
  [
    "// one\n{a: 1, 'b' /* two */ : [.5, 5., +0x1F, -2e-3,], $c: {d: null,},}\n",
    #"['it\'s "x"', "\x41\v\0\u00e9", true]"#, "\"a\\\r\nb\"", #"{"a": [1, -2.5E+3]}"#,
  ].map { Array($0.utf8) }
}

func runJSON5(_ bytes: [UInt8]) {
  let plain = try? JSON5.plainJSON(bytes)
  if (try? JSON(parsing: bytes)) != nil {
    demand(plain == bytes, "JSON that does not come back as it is")
  }
  guard let plain, (try? JSON(parsing: plain)) != nil else { return }
  demand((try? JSON5.plainJSON(plain)) == plain, "JSON that is rewritten twice")
}

func encoderConfigurationSeeds() -> [[UInt8]] {
  let text = """
    {
      "architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu",
      "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4,
      "intermediate_size": 64, "vocab_size": 313, "max_position_embeddings": 128,
      "type_vocab_size": 2, "layer_norm_eps": 1e-12, "position_embedding_type": "absolute",
      "is_decoder": false
    }
    """
  let others = [
    """
    {"model_type": "distilbert", "activation": "gelu", "dim": 16, "n_layers": 4, "n_heads": 2,
     "hidden_dim": 32, "vocab_size": 313, "max_position_embeddings": 128}
    """,
    text.replacing("\"bert\"", with: "\"roberta\"")
      .replacing("\"is_decoder\"", with: "\"pad_token_id\": 1, \"is_decoder\""),
  ]
  return ([text] + others).map { Array($0.utf8) }
}

func runEncoderConfiguration(_ bytes: [UInt8]) {
  guard let shape = try? EncoderConfiguration(configJSON: bytes) else { return }
  demand(shape.headWidth * shape.headCount == shape.hiddenSize, "heads that do not fit")
  demand(shape.longestSequence > 0, "no position for any token")
}

/// The vocabulary, a zero byte, and a text.
func vocabularySeeds() -> [[UInt8]] {
  let vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nbird\n##s\nsing\n##ing\né\n中\n,\n"
  return ["A bird sings, [MASK] birds\u{e9} 中中 \u{301}", "[SEP][CL", ""].map {
    Array((vocabulary + "\0" + $0).utf8)
  }
}

func runVocabulary(_ bytes: [UInt8]) {
  let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
  guard let tokenizer = try? WordPieceTokenizer(vocabulary: Array(parts[0])) else { return }
  let text = parts.count == 2 ? String(decoding: parts[1], as: UTF8.self) : ""
  for pair in [nil, String(text.prefix(9))] {
    for limit in [0, 5, 128] {
      let sequence = tokenizer.encode(text, pair: pair, maximumTokens: limit)
      demand(
        sequence.ids.allSatisfy { $0 >= 0 && $0 < tokenizer.vocabularyCount },
        "a token that is not in the vocabulary")
      demand(sequence.count <= max(limit, 3), "more tokens than allowed")
    }
  }
}

/// Merges, a zero byte, and a text. The vocabulary knows each byte and what the merges join.
func mergesSeeds() -> [[UInt8]] {
  ["a bird's  song\n", "<s> 'll <mask>\u{a0}7\u{301}", ""].map {
    Array(("#version: 0.2\nb i\nr d\nbi rd\nĠ bird\nĠ Ġ\n" + "\0" + $0).utf8)
  }
}

func runMerges(_ bytes: [UInt8]) {
  let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
  var vocabulary = ["<s>": 0, "<pad>": 1, "</s>": 2, "<mask>": 3]
  let symbols = (33...126).map { $0 } + (161...172).map { $0 } + (174...323).map { $0 }
  for symbol in symbols {
    guard let scalar = Unicode.Scalar(UInt32(symbol)) else { continue }
    vocabulary[String(scalar)] = vocabulary.count
  }
  for line in String(decoding: parts[0], as: UTF8.self).split(separator: "\n").prefix(1000) {
    let joint = line.split(separator: " ").joined()
    if vocabulary[joint] == nil { vocabulary[joint] = vocabulary.count }
  }
  guard
    let tokenizer = try? ByteLevelTokenizer(vocabulary: vocabulary, mergeLines: Array(parts[0]))
  else { return }
  let text = parts.count == 2 ? String(decoding: parts[1], as: UTF8.self) : ""
  demand(
    byteLevelPieces(text).flatMap { $0 } == Array(text.utf8), "pieces that are not the text")
  for pair in [nil, String(text.prefix(9))] {
    for limit in [0, 5, 128] {
      let sequence = tokenizer.encode(text, pair: pair, maximumTokens: limit)
      demand(
        sequence.ids.allSatisfy { $0 >= 0 && $0 < tokenizer.vocabularyCount },
        "a token that is not in the vocabulary")
      demand(sequence.count <= max(limit, 4), "more tokens than allowed")
    }
  }
}
