import CSystem
import Glibc

/// Files, as durably as the kernel can.
package enum FileSystem {
  package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  package static func read(_ path: String) throws(SystemCallError) -> [UInt8] {
    let file = try OwnedDescriptor.open(path, O_RDONLY)
    var status = stat()
    guard fstat(file.number, &status) == 0 else { throw SystemCallError("fstat", path) }
    guard status.st_mode & S_IFMT != S_IFDIR else {
      throw SystemCallError("read", path, code: EISDIR)
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(status.st_size) + 1)
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = Glibc.read(file.number, &chunk, chunk.count)
      if count == 0 { return bytes }
      if count > 0 {
        bytes.append(contentsOf: chunk[..<count])
      } else if errno != EINTR {
        throw SystemCallError("read", path)
      }
    }
  }

  /// Replaces a file so that a crash leaves the old bytes or the new, never a mixture.
  ///
  /// Written beside, synced, renamed, and the directory synced: only then has the name moved for
  /// good.
  package static func replace(_ path: String, with bytes: [UInt8]) throws(SystemCallError) {
    let temporary = path + temporarySuffix
    do throws(SystemCallError) {
      let file = try OwnedDescriptor.open(temporary, O_WRONLY | O_CREAT | O_TRUNC)
      try file.write(bytes, path: temporary)
      try file.synchronize(path: temporary)
      guard rename(temporary, path) == 0 else { throw SystemCallError("rename", temporary) }
    } catch {
      _ = unlink(temporary)
      throw error
    }
    try synchronizeDirectory(directory(of: path))
  }

  /// Makes new files, and the folders they lie in, durable together: one call of the kernel for all
  /// costs about what one file costs alone.
  ///
  /// When it returns, all are there for good; when it throws, none is left. A name can be there
  /// before its bytes are durable, so this is only for names that say what must be in the file and
  /// that nothing durable refers to before this returns. Files that are there already are kept.
  ///
  /// It waits for everything else that is being written to the same file system too, so few files
  /// are better made one by one.
  ///
  /// - Parameter directory: Where all of them lie, at any depth.
  package static func createTogether(
    _ files: [(path: String, bytes: [UInt8])], in directory: String
  ) throws(SystemCallError) {
    // Opened before the first write: the kernel reports what goes wrong from here on (Linux 5.8).
    let anchor = try OwnedDescriptor.open(directory, O_RDONLY | O_DIRECTORY)
    var made: [String] = []
    var folders: [String] = []
    do throws(SystemCallError) {
      for (path, bytes) in files where !exists(path) {
        let folder = Self.directory(of: path)
        if !exists(folder) {
          guard mkdir(folder, 0o700) == 0 else { throw SystemCallError("mkdir", folder) }
          folders.append(folder)
        }
        let temporary = path + temporarySuffix
        made.append(temporary)
        let file = try OwnedDescriptor.open(temporary, O_WRONLY | O_CREAT | O_TRUNC)
        try file.write(bytes, path: temporary)
        guard rename(temporary, path) == 0 else { throw SystemCallError("rename", temporary) }
        made[made.count - 1] = path
      }
      try synchronizeAll(below: anchor, path: directory)
    } catch {
      for path in made { _ = unlink(path) }
      // A folder that stayed would pass for one that is there for good.
      for folder in folders { _ = rmdir(folder) }
      throw error
    }
  }

  private static func synchronizeAll(below directory: OwnedDescriptor, path: String)
    throws(SystemCallError)
  {
    guard syncfs(directory.number) == 0 else { throw SystemCallError("syncfs", path) }
  }

  /// Ends the name of a file that is still being written; such files are debris after a crash.
  package static let temporarySuffix = ".partial"

  package static func byteCount(_ path: String) throws(SystemCallError) -> Int {
    var status = stat()
    guard stat(path, &status) == 0 else { throw SystemCallError("stat", path) }
    return Int(status.st_size)
  }

  /// Whether only its owner, besides the superuser, may read a file.
  package static func isPrivate(_ path: String) throws(SystemCallError) -> Bool {
    var status = stat()
    guard stat(path, &status) == 0 else { throw SystemCallError("stat", path) }
    return isPrivate(mode: status.st_mode, owner: status.st_uid, reader: geteuid())
  }

  /// The superuser's file may also let our group read, and no more: that is how systemd and
  /// Kubernetes hand a secret to a process that is not to own it.
  package static func isPrivate(mode: mode_t, owner: uid_t, reader: uid_t) -> Bool {
    let othersMayNot: mode_t = owner == 0 && reader != 0 ? 0o037 : 0o077
    return mode & othersMayNot == 0
  }

  /// Whether any user may put files into a directory, or take them out.
  package static func isOpenToAll(_ path: String) throws(SystemCallError) -> Bool {
    var status = stat()
    guard stat(path, &status) == 0 else { throw SystemCallError("stat", path) }
    return status.st_mode & 0o002 != 0
  }

  package static func synchronizeDirectory(_ path: String) throws(SystemCallError) {
    let directory = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY)
    guard fsync(directory.number) == 0 else { throw SystemCallError("fsync", path) }
  }

  /// Makes a directory, private to its owner, and the ones above it.
  package static func createDirectory(_ path: String) throws(SystemCallError) {
    if exists(path) { return }
    let parent = directory(of: path)
    if parent != path { try createDirectory(parent) }
    guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw SystemCallError("mkdir", path) }
    try synchronizeDirectory(parent)
  }

  /// Removes a file; one that is not there is removed already.
  package static func remove(_ path: String) throws(SystemCallError) {
    guard unlink(path) == 0 || errno == ENOENT else { throw SystemCallError("unlink", path) }
  }

  /// Removes a directory with everything below it.
  package static func removeTree(_ path: String) throws(SystemCallError) {
    var status = stat()
    guard lstat(path, &status) == 0 else {
      if errno == ENOENT { return }
      throw SystemCallError("lstat", path)
    }
    // A link is removed, never followed.
    guard status.st_mode & S_IFMT == S_IFDIR else { return try remove(path) }
    for name in try list(path) { try removeTree("\(path)/\(name)") }
    guard rmdir(path) == 0 || errno == ENOENT else { throw SystemCallError("rmdir", path) }
  }

  /// Removes a directory in which nothing is left.
  package static func removeDirectoryIfEmpty(_ path: String) throws(SystemCallError) {
    guard rmdir(path) == 0 || [ENOENT, ENOTEMPTY, EEXIST].contains(errno) else {
      throw SystemCallError("rmdir", path)
    }
  }

  /// Names in a directory, sorted, without `.` and `..`.
  package static func list(_ path: String) throws(SystemCallError) -> [String] {
    guard let directory = opendir(path) else { throw SystemCallError("opendir", path) }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  package static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}

/// A file's bytes in memory without a copy, shared by all processes that map it; what is written to
/// the file meanwhile shows.
package final class MappedFile: Sendable {
  nonisolated(unsafe) package let bytes: UnsafeRawBufferPointer

  package init(_ path: String) throws(SystemCallError) {
    let file = try OwnedDescriptor.open(path, O_RDONLY)
    var status = stat()
    guard fstat(file.number, &status) == 0 else { throw SystemCallError("fstat", path) }
    guard status.st_mode & S_IFMT == S_IFREG, status.st_size > 0 else {
      throw SystemCallError("mmap", path, code: EINVAL)
    }
    let address = mmap(nil, Int(status.st_size), PROT_READ, MAP_SHARED, file.number, 0)
    guard let address, address != MAP_FAILED else { throw SystemCallError("mmap", path) }
    bytes = UnsafeRawBufferPointer(start: address, count: Int(status.st_size))
  }

  deinit { munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count) }
}

/// The exclusive hold of a directory by one process; the kernel ends it with the process.
package final class DirectoryLock: Sendable {
  private let file: OwnedDescriptor

  /// - Returns: `nil` if another process holds it.
  package init?(_ path: String) throws(SystemCallError) {
    file = try OwnedDescriptor.open(path, O_RDWR | O_CREAT)
    guard flock(file.number, LOCK_EX | LOCK_NB) == 0 else {
      if errno == EWOULDBLOCK { return nil }
      throw SystemCallError("flock", path)
    }
  }
}
