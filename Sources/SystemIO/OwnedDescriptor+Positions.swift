import Glibc

/// Reading and writing at places in a file, for files whose space is made ready beforehand.
extension OwnedDescriptor {
  /// Opens a file that exists, to read and write anywhere in it.
  package static func openForUpdating(_ path: String) throws(SystemCallError) -> OwnedDescriptor {
    try open(path, O_RDWR)
  }

  /// Makes a file that does not exist yet, or is debris to be overwritten.
  package static func create(_ path: String) throws(SystemCallError) -> OwnedDescriptor {
    try open(path, O_RDWR | O_CREAT | O_TRUNC)
  }

  package func byteCount(path: String) throws(SystemCallError) -> Int {
    var status = stat()
    guard fstat(number, &status) == 0 else { throw SystemCallError("fstat", path) }
    return Int(status.st_size)
  }

  /// Writes every byte at an offset, however many calls it takes.
  package func write(_ bytes: some Collection<UInt8>, at offset: Int, path: String)
    throws(SystemCallError)
  {
    var written = 0
    let bytes = Array(bytes)
    while written < bytes.count {
      let count = bytes.withUnsafeBytes {
        pwrite(number, $0.baseAddress! + written, $0.count - written, off_t(offset + written))
      }
      if count > 0 {
        written += count
      } else if count == 0 {
        throw SystemCallError("pwrite", path, code: EIO)
      } else if errno != EINTR {
        throw SystemCallError("pwrite", path)
      }
    }
  }

  /// Writes zeros from one offset to another.
  ///
  /// Written rather than allocated, as an allocated block still needs its metadata changed by the
  /// sync of the first real write. `offset` counts what was done, also when the disk fills midway.
  package func writeZeros(from offset: inout Int, to end: Int, path: String)
    throws(SystemCallError)
  {
    let zeros = [UInt8](repeating: 0, count: max(0, min(end - offset, 1 << 18)))
    while offset < end {
      let count = pwrite(number, zeros, min(zeros.count, end - offset), off_t(offset))
      if count > 0 {
        offset += count
      } else if count == 0 {
        throw SystemCallError("pwrite", path, code: EIO)
      } else if errno != EINTR {
        throw SystemCallError("pwrite", path)
      }
    }
  }

  /// Reads a range; fewer bytes where the file ends before it.
  package func read(_ range: Range<Int>, path: String) throws(SystemCallError) -> [UInt8] {
    // The empty list is one for all threads, and making it anew would write its count.
    guard !range.isEmpty else { return [] }
    var failure: SystemCallError?
    let bytes = [UInt8](unsafeUninitializedCapacity: range.count) { buffer, filled in
      while filled < range.count {
        let count = pread(
          number, buffer.baseAddress! + filled, range.count - filled,
          off_t(range.lowerBound + filled))
        if count == 0 { return }
        if count > 0 {
          filled += count
        } else if errno != EINTR {
          failure = SystemCallError("pread", path)
          return
        }
      }
    }
    if let failure { throw failure }
    return bytes
  }

  /// Asks the kernel to forget its copy of a synced file, so that the next read asks the device.
  package func dropCache() {
    _ = posix_fadvise(number, 0, 0, POSIX_FADV_DONTNEED)
  }
}

extension FileSystem {
  /// Reads a whole regular file with its size known beforehand; `nil` if there is none.
  package static func readIfPresent(_ path: String) throws(SystemCallError) -> [UInt8]? {
    do throws(SystemCallError) {
      let file = try OwnedDescriptor.open(path, O_RDONLY)
      return try file.read(0..<(try file.byteCount(path: path)), path: path)
    } catch {
      if error.isNotFound { return nil }
      throw error
    }
  }

  /// Moves a name within its directory; durable once the directory is synced.
  package static func move(_ path: String, to newPath: String) throws(SystemCallError) {
    guard rename(path, newPath) == 0 else { throw SystemCallError("rename", path) }
  }

  /// Bytes that an unprivileged process may still write.
  package static func freeByteCount(_ path: String) throws(SystemCallError) -> UInt64 {
    try room(path).freeByteCount
  }

  /// What the disk under a path has room for in all, and what of that is left.
  package static func room(_ path: String) throws(SystemCallError)
    -> (byteCount: UInt64, freeByteCount: UInt64)
  {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { throw SystemCallError("statvfs", path) }
    let unit = UInt64(status.f_frsize)
    return (UInt64(status.f_blocks) &* unit, UInt64(status.f_bavail) &* unit)
  }
}

extension SystemCallError {
  /// A file that was synced does not read back as it was written.
  package static func notAsWritten(_ path: String) -> SystemCallError {
    SystemCallError("read back", path, code: EIO)
  }

  /// A place that should be empty and is not.
  package static func alreadyExists(_ path: String) -> SystemCallError {
    SystemCallError("create", path, code: EEXIST)
  }
}
