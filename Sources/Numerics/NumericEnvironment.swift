private import COpenBLAS

/// The environment variables that pin OpenBLAS to one kernel family and one thread.
///
/// OpenBLAS reads them while it is loaded, so setting them inside the process is too late: the
/// executable compares, and starts itself again with what is missing.
package enum NumericEnvironment {
  /// Names and values, sorted by name.
  package static var required: [(name: String, value: String)] {
    var variables: [(name: String, value: String)] = []
    if let core = coreType(vectorUnits: lethe_vector_units()) {
      variables.append(("OPENBLAS_CORETYPE", core))
    }
    variables.append(("OPENBLAS_NUM_THREADS", "1"))
    variables.append(("OMP_NUM_THREADS", "1"))
    return variables.sorted { $0.name < $1.name }
  }

  /// What the given environment lacks; empty when the process may go on.
  package static func missing(from environment: [String: String]) -> [(name: String, value: String)]
  {
    required.filter { environment[$0.name] != $0.value }
  }

  /// The kernel family to pin, or none where the library has no choice worth pinning.
  static func coreType(vectorUnits: UInt32) -> String? {
    if vectorUnits & 2 != 0 { return "SKYLAKEX" }
    if vectorUnits & 1 != 0 { return "HASWELL" }
    return nil
  }
}
