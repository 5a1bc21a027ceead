import ServiceSupport
import SystemIO

/// Where a coordinator may listen.
enum Listening {
  enum Reach {
    /// Only processes of this machine.
    case loopback(because: String)
    case anywhere
  }

  /// The address that the run file names, if a coordinator may listen there.
  ///
  /// - Throws: `ServiceError`
  static func address(_ field: String, _ text: String, reach: Reach) throws -> NetworkAddress {
    guard let address = NetworkAddress(text) else {
      throw ServiceError(
        .configuration, "\(field) is \"\(text)\", not host:port", try: "write 127.0.0.1:7420")
    }
    if case .loopback(let reason) = reach, !address.isLoopback {
      throw ServiceError(
        .configuration, "\(field) is \(address), which other machines can reach", try: reason)
    }
    return address
  }

  /// Binds an address of the run file.
  ///
  /// - Parameter last: Where the coordinator before this one listened. With port 0 its port is
  ///   taken again if it is free, so that workers find the run where they left it.
  static func start<Listener>(
    _ address: NetworkAddress, last: String?, _ bind: (NetworkAddress) throws -> Listener
  ) throws -> Listener {
    if address.port == 0, let last = last.flatMap({ NetworkAddress($0) }),
      last.host == address.host, let listener = try? bind(last)
    {
      return listener
    }
    do {
      return try bind(address)
    } catch let error as SystemCallError {
      throw ServiceError(
        .unavailable, "cannot listen on \(address): \(error)",
        try: error.isAddressInUse
          ? "stop the program that uses the port, or write another port in the run file" : nil)
    }
  }
}
