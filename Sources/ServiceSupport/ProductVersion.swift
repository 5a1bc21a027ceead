/// Which Lethe this is, for `--version`, manual pages and metrics.
package enum ProductVersion {
  package static let text = "0.1.0"
}
