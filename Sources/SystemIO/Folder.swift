import Glibc

/// A directory that was reached name by name, without following a link.
///
/// What is done in it is done by its descriptor: whoever swaps a name on the way there for a link
/// meanwhile changes nothing.
package struct Folder: Sendable {
  /// A directory itself, whatever it is called.
  package struct Identity: Hashable, Sendable {
    let device: UInt64
    let number: UInt64
  }

  package enum Kind: Sendable {
    case file, folder, other
  }

  private let descriptor: OwnedDescriptor
  /// For messages.
  package let path: String
  package let identity: Identity

  private init(_ descriptor: OwnedDescriptor, _ path: String) throws(SystemCallError) {
    self.descriptor = descriptor
    self.path = path
    var status = stat()
    guard fstat(descriptor.number, &status) == 0 else { throw SystemCallError("fstat", path) }
    identity = Identity(device: UInt64(status.st_dev), number: UInt64(status.st_ino))
  }

  /// Opens a directory that the owner of this process has named, links and all.
  package init(trusted path: String) throws(SystemCallError) {
    try self.init(try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY), path)
  }

  /// Opens a directory in this one; a link is refused with `ELOOP` or `ENOTDIR`.
  package func folder(_ name: String) throws(SystemCallError) -> Folder {
    let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW
    do throws(SystemCallError) {
      return try Folder(try open(name, flags), place(name))
    } catch {
      // One that may be walked through and not listed, as homes of other users can be.
      guard error.isDenied else { throw error }
      return try Folder(try open(name, flags | Self.walkOnly), place(name))
    }
  }

  /// Linux's `O_PATH`, which its headers show only to GNU sources.
  private static let walkOnly: CInt = 0o10_000_000

  /// Opens a directory in this one and makes it first, private to its owner, if there is none.
  package func folderMaking(_ name: String) throws(SystemCallError) -> Folder {
    if mkdirat(descriptor.number, name, 0o700) == 0 {
      try synchronize()
    } else if errno != EEXIST {
      throw SystemCallError("mkdir", place(name))
    }
    return try folder(name)
  }

  /// Makes a directory that must not be there yet, as anything at all.
  package func newFolder(_ name: String) throws(SystemCallError) -> Folder {
    guard mkdirat(descriptor.number, name, 0o700) == 0 else {
      throw SystemCallError("mkdir", place(name))
    }
    try synchronize()
    return try folder(name)
  }

  /// What is there under a name; `nil` if nothing is. A link counts as something other.
  package func kind(_ name: String) throws(SystemCallError) -> Kind? {
    var status = stat()
    guard fstatat(descriptor.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
      if errno == ENOENT { return nil }
      throw SystemCallError("stat", place(name))
    }
    switch status.st_mode & S_IFMT {
    case S_IFREG: return .file
    case S_IFDIR: return .folder
    default: return .other
    }
  }

  /// Names in it, sorted, without `.` and `..`.
  package func names() throws(SystemCallError) -> [String] {
    let copy = try open(".", O_RDONLY | O_DIRECTORY)
    // The stream closes its own descriptor, so it gets one that nobody else has.
    let number = dup(copy.number)
    guard number >= 0 else { throw SystemCallError("dup", path) }
    guard let stream = fdopendir(number) else {
      _ = Glibc.close(number)
      throw SystemCallError("fdopendir", path)
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// The first bytes of a regular file, at most so many.
  package func read(_ name: String, limit: Int) throws(SystemCallError) -> [UInt8] {
    // Without blocking: a pipe would wait for somebody to write.
    let file = try open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    var status = stat()
    guard fstat(file.number, &status) == 0 else { throw SystemCallError("fstat", place(name)) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw SystemCallError("read", place(name), code: EINVAL)
    }
    return try file.read(0..<min(limit, Int(status.st_size)), path: place(name))
  }

  /// Puts a file in place so that a crash leaves all of it or none.
  package func replace(_ name: String, with bytes: [UInt8]) throws(SystemCallError) {
    let temporary = name + FileSystem.temporarySuffix
    do throws(SystemCallError) {
      let file = try open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW)
      try file.write(bytes, path: place(temporary))
      try file.synchronize(path: place(temporary))
      guard renameat(descriptor.number, temporary, descriptor.number, name) == 0 else {
        throw SystemCallError("rename", place(temporary))
      }
    } catch {
      _ = unlinkat(descriptor.number, temporary, 0)
      throw error
    }
    try synchronize()
  }

  /// Removes a name that is no directory; one that is not there is removed already.
  package func remove(_ name: String) throws(SystemCallError) {
    guard unlinkat(descriptor.number, name, 0) == 0 || errno == ENOENT else {
      throw SystemCallError("unlink", place(name))
    }
  }

  /// Removes a directory in which nothing is left; `false` if something is.
  @discardableResult
  package func removeFolderIfEmpty(_ name: String) throws(SystemCallError) -> Bool {
    if unlinkat(descriptor.number, name, AT_REMOVEDIR) == 0 || errno == ENOENT { return true }
    guard errno == ENOTEMPTY || errno == EEXIST else {
      throw SystemCallError("rmdir", place(name))
    }
    return false
  }

  /// Removes everything in it; links are removed, never followed.
  package func removeContents() throws(SystemCallError) {
    for name in try names() {
      if case .folder = try kind(name) {
        try folder(name).removeContents()
        try removeFolderIfEmpty(name)
      } else {
        try remove(name)
      }
    }
  }

  /// Makes what was done to its names durable.
  package func synchronize() throws(SystemCallError) {
    guard fsync(descriptor.number) == 0 else { throw SystemCallError("fsync", path) }
  }

  private func place(_ name: String) -> String { path == "/" ? "/\(name)" : "\(path)/\(name)" }

  private func open(_ name: String, _ flags: CInt) throws(SystemCallError) -> OwnedDescriptor {
    while true {
      let number = Glibc.openat(descriptor.number, name, flags | O_CLOEXEC, 0o600)
      if number >= 0 { return OwnedDescriptor(number) }
      guard errno == EINTR else { throw SystemCallError("open", place(name)) }
    }
  }
}

extension FileSystem {
  /// The path with every link on the way to it resolved, as far as the path is there.
  package static func canonical(_ path: String) -> String {
    var (start, rest) = (path, "")
    while start != "/", start.hasPrefix("/") {
      if let resolved = realpath(start, nil) {
        defer { free(resolved) }
        let text = String(cString: resolved)
        return text == "/" && !rest.isEmpty ? rest : text + rest
      }
      rest = start[(start.lastIndex(of: "/") ?? start.startIndex)...] + rest
      start = directory(of: start)
    }
    return path
  }
}
