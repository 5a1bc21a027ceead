import Foundation
import ModelFormats
import ServiceSupport
import SystemIO
import Tokenization

extension TextTokenizer {
  /// Reads what a backbone's folder says of its tokenizer.
  init(_ files: BackboneFiles) throws {
    let settings = try TokenizerSettings(folder: files.folder)
    switch files.configuration.architecture {
    case .bert, .distilbert:
      let path = "\(files.folder)/\(BackboneFiles.vocabularyName)"
      self = .wordPiece(
        try naming(path) {
          try WordPieceTokenizer(
            vocabulary: try FileSystem.read(path), lowercases: settings.doLowerCase ?? true,
            stripsAccents: settings.stripAccents,
            tokenizesChineseCharacters: settings.tokenizeChineseChars ?? true)
        })
    case .roberta:
      let (vocabulary, merges) = BackboneFiles.byteLevelNames
      let path = "\(files.folder)/\(vocabulary)"
      let numbers = try naming(path) {
        try JSONDecoder().decode([String: Int].self, from: Data(try FileSystem.read(path)))
      }
      self = .byteLevel(
        try naming("\(path) with \(merges)") {
          try ByteLevelTokenizer(
            vocabulary: numbers, mergeLines: try FileSystem.read("\(files.folder)/\(merges)"),
            addsPrefixSpace: settings.addPrefixSpace ?? false)
        })
    }
  }
}

private func naming<Value>(_ path: String, _ body: () throws -> Value) throws -> Value {
  do {
    return try body()
  } catch {
    throw ServiceError(.badData, "\(path): \(error)", try: "fetch it again: ops/fetch-backbone")
  }
}

/// The fields of `tokenizer_config.json` that change tokens, their snake_case names converted.
private struct TokenizerSettings: Decodable {
  var doLowerCase: Bool?
  var addPrefixSpace: Bool?
  var stripAccents: Bool?
  var tokenizeChineseChars: Bool?

  init(folder: String) throws {
    let path = "\(folder)/\(BackboneFiles.tokenizerConfigurationName)"
    guard FileSystem.exists(path) else { return }
    do {
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      self = try decoder.decode(Self.self, from: Data(try FileSystem.read(path)))
    } catch {
      throw ServiceError(.badData, "\(path): \(error)", try: "fetch it again")
    }
  }
}
