# The tests under a sanitizer; read with `source` by ops/test.
#
# The build is the optimised one, with the sanitizer's checks in every target of ours: it is what
# is shipped, and unoptimised kernels would take minutes for each training test. Accesses that the
# optimiser removed cannot be seen, but neither do they happen in what is shipped. OpenBLAS, the
# C library, Swift's runtime and Foundation are as they are installed, without checks.

# What each sanitizer reports is counted from its log, also for processes that a test kills.
sanitizer_options() {
  local kind=$1 reports=$2
  local common="log_path='$reports/report'"
  case $kind in
    thread)
      # The code stays 0 so that a report does not also fail the test that it came from.
      echo "$common suppressions='$root/ops/support/thread.suppressions' exitcode=0"
      ;;
    address)
      # No search for leaks: Swift's metadata is never freed, and a killed process is not searched.
      echo "$common detect_leaks=0 detect_stack_use_after_return=1"
      ;;
  esac
}

# with_sanitizer KIND REPORTS COMMAND ...
with_sanitizer() {
  local kind=$1 options
  options=$(sanitizer_options "$1" "$2")
  shift 2
  case $kind in
    thread) LETHE_SANITIZER=thread TSAN_OPTIONS=$options "$@" ;;
    address) LETHE_SANITIZER=address ASAN_OPTIONS=$options "$@" ;;
  esac
}

report_count() { find "$1" -name 'report.*' | wc -l; }

# A mistake that is known must be reported, or silence would prove nothing.
sanitizer_control() {
  local kind=$1 folder=$2/control
  rm -rf "$folder"
  mkdir -p "$folder/reports"
  case $kind in
    thread)
      cat >"$folder/main.swift" <<'CONTROL'
import Foundation
final class Counter: @unchecked Sendable { var count = 0 }
let counter = Counter()
let begun = [DispatchSemaphore(value: 0), DispatchSemaphore(value: 0)]
let ended = DispatchSemaphore(value: 0)
// Neither is ordered before the other, however they are scheduled: both have begun before either
// counts, and nothing else is between them.
func add(_ own: Int) {
  begun[own].signal()
  begun[1 - own].wait()
  for _ in 0..<200 {
    counter.count += 1
    Thread.sleep(forTimeInterval: 0.000_1)
  }
  ended.signal()
}
for own in 0..<2 { Thread { add(own) }.start() }
for _ in 0..<2 { ended.wait() }
print(counter.count)
CONTROL
      ;;
    address)
      cat >"$folder/main.swift" <<'CONTROL'
let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: 8)
bytes.initialize(repeating: 1, count: 8)
print(bytes[8 + CommandLine.arguments.count - 1])
CONTROL
      ;;
  esac
  swiftc -O -swift-version 6 -sanitize="$kind" "$folder/main.swift" -o "$folder/control" \
    >"$folder/log" 2>&1 || { cat "$folder/log" >&2; fail 1 "the control did not compile"; }
  with_sanitizer "$kind" "$folder/reports" "$folder/control" >/dev/null 2>&1 || true
  [ "$(report_count "$folder/reports")" = 1 ] ||
    fail 1 "the $kind sanitizer does not report a known mistake" "cat $folder/log"
}

# sanitize KIND [OPTION FOR swift test ...]: 0 if the tests passed and nothing was reported.
sanitize() {
  local kind=$1 build status=0 begun=$SECONDS
  case $kind in
    thread) build=.build/tsan ;;
    address) build=.build/asan ;;
    *) fail 64 "there is no sanitizer $kind" "ops/test --sanitize thread, or address" ;;
  esac
  shift
  local reports="$root/$build/reports"
  local swift_options=(-c release --build-path "$build" --sanitize="$kind")
  rm -rf "$reports"
  mkdir -p "$reports"
  say "$kind sanitizer: building in $build"
  quietly "$build/build.log" swift build "${swift_options[@]}" --build-tests
  grep -q "__${build#.build/}_init" "$build/release/lethe" ||
    fail 1 "$build/release/lethe was built without the sanitizer"
  sanitizer_control "$kind" "$root/$build"
  local skipped=(--skip FuzzTests)
  say "SKIPPED: FuzzTests: they limit memory and time; ops/fuzz has the address sanitizer itself"
  if [ "$kind" = thread ]; then
    # Pure functions, hashing and flipping bytes by the million.
    local target pure=(HashingTests JournalFormatTests LedgerTests ReceiptsTests)
    for target in "${pure[@]}"; do skipped+=(--skip "$target"); done
    say "SKIPPED: ${pure[*]}: nothing in them has two threads, and they take minutes here"
  fi
  say "$kind sanitizer: built after $((SECONDS - begun)) s; testing"
  with_sanitizer "$kind" "$reports" swift test "${swift_options[@]}" --skip-build \
    --disable-xctest "${skipped[@]}" "$@" </dev/null >"$build/test.log" 2>&1 || status=$?
  grep -a -e '^✘ ' -e '^➜ .*skipped' -e 'SKIPPED' "$build/test.log" | sort -u >&2 || true
  local summary count
  summary=$(grep -a 'Test run with ' "$build/test.log" | tail -n 1) ||
    summary="the tests ended without a summary; all they said is in $build/test.log"
  count=$(report_count "$reports")
  if [ "$count" != 0 ]; then
    status=1
    cat "$reports"/report.* | grep -a '^SUMMARY' | sort | uniq -c | sort -rn | head -n 20 >&2
    say "$kind sanitizer: processes with reports: $count, in $build/reports"
  fi
  say "$kind sanitizer: $((SECONDS - begun)) s, $count processes with reports"
  printf '%s\n' "$kind: $summary"
  return "$status"
}
