# Shared by the scripts beside it: where we are, how we speak, which Python, who may install.
# shellcheck shell=bash
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$ROOT"
VENV="$ROOT/.venv"
PYTHON_MIN="3.11"
NODE_MIN=20

say() { printf '%s\n' "madang: $*" >&2; }

die() {
  printf '%s\n' "madang: $1" >&2
  shift
  for line in "$@"; do printf '        %s\n' "$line" >&2; done
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# The command prefix that installs Debian packages, or a failure when this user may not.
# sudo only where it asks no password: a build must not stop to ask one.
privilege() {
  have apt-get || return 1
  if [ "$(id -u)" = 0 ]; then echo env; return 0; fi
  if have sudo && sudo -n true 2>/dev/null; then echo "sudo -n"; return 0; fi
  return 1
}

# apt_install PACKAGE...: install what is missing without starting any daemon that comes with it.
apt_install() {
  local as policy=/usr/sbin/policy-rc.d made_policy=0 rc=0
  as=$(privilege) || return 1
  say "installing $* with apt-get"
  # policy-rc.d answering 101 keeps Debian from starting a daemon at installation: a mosquitto on 1883 would stand in our way.
  if [ ! -e "$policy" ] && printf '#!/bin/sh\nexit 101\n' | $as tee "$policy" >/dev/null && $as chmod 755 "$policy"; then made_policy=1; fi
  $as apt-get update -qq </dev/null >&2 || say "apt-get update failed; trying with the package list as it is"
  $as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >&2 || rc=$?
  if [ "$made_policy" = 1 ]; then $as rm -f "$policy"; fi
  return "$rc"
}

python_ok() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python; do
    if have "$candidate" && python_ok "$candidate"; then
      command -v "$candidate"
      return 0
    fi
  done
  return 1
}

hash_files() { cat "$@" | sha256sum | cut -d' ' -f1; }
