import Foundation

/// A disk of a few megabytes, which only root can have made.
package final class SmallDisk {
  package let path: String

  /// - Parameter path: Of the folder that it is mounted on, made if it is not there.
  /// - Returns: `nil` where mounting is not allowed.
  package init?(
    _ path: String = NSTemporaryDirectory() + "/lethe-disk-" + UUID().uuidString, byteCount: Int
  ) throws {
    self.path = path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    guard Self.run("mount", "-t", "tmpfs", "-o", "size=\(byteCount),mode=700", "tmpfs", path)
    else {
      try FileManager.default.removeItem(atPath: path)
      return nil
    }
  }

  deinit {
    // At once by its name, whoever still holds a file of it.
    _ = Self.run("umount", "--lazy", path)
    try? FileManager.default.removeItem(atPath: path)
  }

  private static func run(_ arguments: String...) -> Bool {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = arguments
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }

  /// Takes what room there is.
  package func fill(_ number: Int) {
    let descriptor = open("\(path)/fill\(number)", O_WRONLY | O_CREAT, 0o600)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    let bytes = [UInt8](repeating: 7, count: 4096)
    while write(descriptor, bytes, bytes.count) == bytes.count {}
  }

  package func empty() throws {
    for name in try FileManager.default.contentsOfDirectory(atPath: path)
    where name.hasPrefix("fill") {
      try FileManager.default.removeItem(atPath: "\(path)/\(name)")
    }
  }
}
