import CoordinatorCore
import ModelFormats
import ServiceSupport

extension NoticeCursor {
  private static let format = "lethe-webhook-cursor-1"

  /// As it lies on disk: equal cursors are equal bytes.
  package var encoded: [UInt8] {
    func number(_ value: some BinaryInteger) -> JSON { .number("\(value)") }
    return JSON.object([
      ("format", .string(Self.format)),
      ("finishedThrough", number(finishedThrough)),
      (
        "told",
        .array(
          told.sorted { $0.key < $1.key }.map { deletion, kinds in
            .object([
              ("deletion", number(deletion)),
              ("kinds", .array(kinds.map(\.rawValue).sorted().map(JSON.string))),
            ])
          })
      ),
      ("trainedAt", trainedAt.map(number) ?? .null),
      (
        "alarms",
        .array(
          alarms.sorted { $0.key < $1.key }.map { condition, alarm in
            .object([
              ("name", .string(condition.name)),
              ("about", condition.about.map(JSON.string) ?? .null),
              ("since", number(alarm.since)), ("told", .bool(alarm.isTold)),
            ])
          })
      ),
    ]).prettyBytes
  }

  /// Reads what `encoded` wrote.
  package init(encoded bytes: [UInt8], path: String) throws {
    self.init()
    guard let json = try? JSON(parsing: bytes), json["format"]?.string == Self.format,
      let finished = json["finishedThrough"]?.integer.flatMap({ UInt64(exactly: $0) }),
      let told = json["told"]?.array, let alarms = json["alarms"]?.array
    else { throw Self.damage(path) }
    finishedThrough = finished
    trainedAt = json["trainedAt"]?.integer.map(Milliseconds.init)
    for item in told {
      guard let number = item["deletion"]?.integer.flatMap({ UInt64(exactly: $0) }),
        let kinds = item["kinds"]?.array
      else { throw Self.damage(path) }
      // A kind of a later version is none that this one could tell.
      self.told[number] = Set(kinds.compactMap { $0.string.flatMap(Notice.Kind.init) })
    }
    for item in alarms {
      guard let name = item["name"]?.string, let since = item["since"]?.integer,
        let isTold = item["told"]?.bool
      else { throw Self.damage(path) }
      self.alarms[Condition(name, about: item["about"]?.string)] = Alarm(
        since: Milliseconds(since), isTold: isTold)
    }
  }

  private static func damage(_ path: String) -> ServiceError {
    ServiceError(
      .badData, "\(path) does not say what a webhook's receiver has been told",
      try: "remove it: the receiver is then told what changes from now on")
  }
}
