import CSystem
import Foundation
import Glibc

/// What a folder's disk is and does, measured where a run would write.
package struct DiskProbe: Equatable, Sendable {
  /// The file system's number: two folders with the same one are lost together.
  package var device: UInt64
  package var byteCount: UInt64
  package var freeByteCount: UInt64
  /// Seconds that one small write takes until the kernel says it is on the disk; the median.
  package var syncSeconds: Double
  /// What the kernel says of the disk's own cache, as in `write back`; `nil` where it says nothing.
  package var cache: String?

  package init(
    device: UInt64, byteCount: UInt64, freeByteCount: UInt64, syncSeconds: Double, cache: String?
  ) {
    self.device = device
    self.byteCount = byteCount
    self.freeByteCount = freeByteCount
    self.syncSeconds = syncSeconds
    self.cache = cache
  }

  /// Writes and syncs a small file 101 times in a folder, and removes it.
  ///
  /// Like the journal, into space that is written already, so that only bytes have to move.
  package static func measure(_ folder: String) throws(SystemCallError) -> DiskProbe {
    var status = stat()
    guard stat(folder, &status) == 0 else { throw SystemCallError("stat", folder) }
    let path = "\(folder)/probe-\(getpid())\(FileSystem.temporarySuffix)"
    let file = try OwnedDescriptor.create(path)
    defer { unlink(path) }
    var offset = 0
    try file.writeZeros(from: &offset, to: 1 << 16, path: path)
    try file.synchronize(path: path)
    var seconds: [Double] = []
    for index in 0..<101 {
      let begin = SystemClock.seconds
      try file.write([UInt8](repeating: UInt8(index), count: 200), at: index * 200, path: path)
      try file.synchronize(path: path)
      seconds.append(SystemClock.seconds - begin)
    }
    let room = try FileSystem.room(folder)
    return DiskProbe(
      device: UInt64(status.st_dev), byteCount: room.byteCount, freeByteCount: room.freeByteCount,
      syncSeconds: seconds.sorted()[seconds.count / 2], cache: cache(of: status.st_dev))
  }

  /// Of the disk, or the disk that a partition is of.
  private static func cache(of device: dev_t) -> String? {
    let place = "/sys/dev/block/\(gnu_dev_major(UInt(device))):\(gnu_dev_minor(UInt(device)))"
    for queue in ["\(place)/queue", "\(place)/../queue"] {
      if let bytes = try? FileSystem.read("\(queue)/write_cache") {
        return String(decoding: bytes, as: UTF8.self)
          .trimmingCharacters(in: .whitespacesAndNewlines)
      }
    }
    return nil
  }
}
