package import ModelFormats
internal import Unlearning

/// Why a model cannot be built, asked or trained.
package enum TrainingError: Error, Equatable, Sendable {
  case backbone(SafetensorsError)
  /// A layer the backbone does not have.
  case unknownLayer(Int, layerCount: Int)
  /// Two adapters for one projection, or trained and initial adapters that do not match.
  case conflictingAdapters(AdapterPlace)
  case wrongAdapterShape(AdapterPlace, expected: [Int], found: [Int])
  /// An initial adapter whose rank or scale is not the recipe's.
  case wrongAdapterSetting(AdapterPlace)
  case wrongHeadShape(expected: [Int], found: [Int])
  /// Record `index` is empty or longer than the position table.
  case sequenceLength(index: Int, found: Int, limit: Int)
  /// Record `index` holds a token id or type the embedding tables lack.
  case unknownToken(index: Int, id: Int32)
  case unknownTarget(Target, labelCount: Int)
  /// Activations that stop at another layer than training begins at.
  case wrongActivations(expectedLayer: Int, foundLayer: Int)
  case unknownRecord(RecordPosition)
  /// The loss left the numbers; the recipe's rates are too high for this data.
  case notFinite(step: Int)
  case foreignCheckpoint
}

extension TrainingError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .backbone(let error): "the backbone cannot be used: \(error)"
    case .unknownLayer(let layer, let count):
      "layer \(layer) does not exist: the backbone has layers 0 to \(count - 1)"
    case .conflictingAdapters(let place): "more than one adapter for \(place.text)"
    case .wrongAdapterShape(let place, let expected, let found):
      "the adapter of \(place.text) has shape \(found), expected \(expected)"
    case .wrongAdapterSetting(let place):
      "the adapter of \(place.text) has another rank or scale than the recipe"
    case .wrongHeadShape(let expected, let found):
      "the classifier head has shape \(found), expected \(expected)"
    case .sequenceLength(let index, let found, let limit):
      "record \(index) has \(found) tokens; from 1 to \(limit) are possible"
    case .unknownToken(let index, let id):
      "record \(index) holds token or type \(id), which the backbone does not know"
    case .unknownTarget(.label(let label), let count):
      "label number \(label) cannot be: there are \(count)"
    case .unknownTarget(.value(let value), let count):
      "the number \(value) cannot be learnt by a head of \(count) rows"
    case .wrongActivations(let expected, let found):
      "activations entering layer \(found) were given where layer \(expected) is trained first"
    case .unknownRecord(let position):
      "the order names record \(position.index) of segment \(position.segment), which is not there"
    case .notFinite(let step):
      "the loss is no longer a number at step \(step); lower the learning rates"
    case .foreignCheckpoint: "the checkpoint belongs to another block"
    }
  }
}

extension AdapterPlace {
  var text: String { "layer \(layer) \(target.rawValue)" }
}
