import SystemIO
import Testing

@Suite("Files with secrets") struct PrivateFileTests {
  struct Row: Sendable {
    var mode: UInt32
    var owner: UInt32
    var reader: UInt32
    var isPrivate: Bool
    var because: String
  }

  static let rows: [Row] = [
    Row(mode: 0o600, owner: 7, reader: 7, isPrivate: true, because: "its owner alone"),
    Row(mode: 0o640, owner: 7, reader: 7, isPrivate: false, because: "the owner's group"),
    Row(mode: 0o604, owner: 7, reader: 7, isPrivate: false, because: "everybody"),
    Row(mode: 0o440, owner: 0, reader: 7, isPrivate: true, because: "handed over by systemd"),
    Row(mode: 0o640, owner: 0, reader: 7, isPrivate: true, because: "handed over by Kubernetes"),
    Row(mode: 0o460, owner: 0, reader: 7, isPrivate: false, because: "the group may change it"),
    Row(mode: 0o444, owner: 0, reader: 7, isPrivate: false, because: "root's, but for everybody"),
    Row(mode: 0o440, owner: 8, reader: 7, isPrivate: false, because: "another user's"),
    Row(mode: 0o440, owner: 0, reader: 0, isPrivate: false, because: "root needs no group"),
  ]

  @Test("a file is private to whoever reads it, or handed over by root", arguments: rows)
  func privacy(_ row: Row) {
    #expect(
      FileSystem.isPrivate(mode: row.mode, owner: row.owner, reader: row.reader) == row.isPrivate,
      "\(row.because)")
  }
}
