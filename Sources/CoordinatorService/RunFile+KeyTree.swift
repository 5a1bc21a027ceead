extension RunFile {
  /// The names in an object and in the objects one level below, whatever their values.
  struct KeyTree: Decodable {
    struct Name: CodingKey {
      var stringValue: String
      var intValue: Int? { nil }
      init(stringValue: String) { self.stringValue = stringValue }
      init?(intValue: Int) { nil }
    }

    var keys: [String] = []
    var sections: [String: [String]] = [:]

    /// Of all objects of a list.
    private static func keys(ofEach list: inout any UnkeyedDecodingContainer) -> [String] {
      var keys: Set<String> = []
      while !list.isAtEnd, let inner = try? list.nestedContainer(keyedBy: Name.self) {
        keys.formUnion(inner.allKeys.map(\.stringValue))
      }
      return keys.sorted()
    }

    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: Name.self)
      keys = container.allKeys.map(\.stringValue).sorted()
      for key in container.allKeys {
        if let inner = try? container.nestedContainer(keyedBy: Name.self, forKey: key) {
          sections[key.stringValue] = inner.allKeys.map(\.stringValue).sorted()
        } else if var list = try? container.nestedUnkeyedContainer(forKey: key) {
          sections[key.stringValue] = Self.keys(ofEach: &list)
        }
      }
    }
  }
}
