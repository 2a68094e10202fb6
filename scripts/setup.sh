#!/usr/bin/env bash
# Makes this checkout ready: the Python environment in .venv, the built console, and for tests the servers they talk to.
#   scripts/setup.sh python     the environment alone
#   scripts/setup.sh run        the environment and the console: all that running needs (Python and Node, no root)
#   scripts/setup.sh all        as above, and the Debian programs that the tests use
# Running it again costs a second when nothing changed.
. "$(dirname "$0")/lib.sh"

# uv is several times quicker than pip and checks the same hashes; pip is there on every machine.
use_uv() { [ -z "${MADANG_NO_UV:-}" ] && uv --version >/dev/null 2>&1; }

make_venv() {
  local python
  if [ -x "$VENV/bin/python" ] && python_ok "$VENV/bin/python"; then return 0; fi
  python=$(find_python) || die "Python $PYTHON_MIN or newer is needed and was not found." \
    "Debian, Ubuntu: apt install python3 python3-venv. Another place: make setup PYTHON=/path/to/python3"
  say "creating .venv with $("$python" --version)"
  rm -rf "$VENV"
  if use_uv; then
    uv venv --quiet --no-project --python "$python" "$VENV"
  elif ! "$python" -m venv "$VENV" >/dev/null 2>&1; then
    # Debian splits ensurepip off into python3-venv.
    rm -rf "$VENV"
    apt_install python3-venv || true
    "$python" -m venv "$VENV" || die "python3 -m venv failed (its words are above)." "Debian, Ubuntu: apt install python3-venv"
  fi
}

# Pinned versions with hashes; the project itself editable, without asking the network for anything.
install_python() {
  local stamp="$VENV/.madang-stamp" want
  want=$(hash_files requirements-dev.txt pyproject.toml)
  if [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && [ -x "$VENV/bin/madang" ]; then return 0; fi
  say "installing the pinned requirements into .venv"
  if use_uv; then
    uv pip install --quiet --python "$VENV/bin/python" --require-hashes -r requirements-dev.txt
    uv pip install --quiet --python "$VENV/bin/python" --no-deps --no-build-isolation -e .
  else
    "$VENV/bin/python" -m pip --version >/dev/null 2>&1 || "$VENV/bin/python" -m ensurepip >/dev/null
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
  fi
  printf '%s\n' "$want" >"$stamp"
}

console_sources() {
  find console -type d \( -name node_modules -o -name dist -o -name test-results -o -name .svelte-kit \) -prune -o -type f -print0 | LC_ALL=C sort -z
}

node_ok() {
  local major
  major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null) || return 1
  [ "$major" -ge "$NODE_MIN" ]
}

# npm ci only when the lock changed, the build only when a source did. The build travels in the wheel: who installs the wheel needs no Node.
build_console() {
  [ -f console/package.json ] || return 0
  local stamp=madang/console_dist/.madang-stamp want packages
  want=$(console_sources | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
  packages=$(hash_files console/package.json console/package-lock.json)
  if [ "${1:-}" != packages ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then return 0; fi
  node_ok && have npm || die "Node.js $NODE_MIN or newer with npm is needed to build the console (found: $(node --version 2>/dev/null || echo none))." \
    "Install it from your distribution (Debian 13, Ubuntu 24.10 and later have it) or with a version manager, then run this again."
  if [ "$(cat console/node_modules/.madang-stamp 2>/dev/null)" != "$packages" ]; then
    say "installing the console's packages"
    (cd console && npm ci --no-audit --no-fund --loglevel=error </dev/null >&2)
    printf '%s\n' "$packages" >console/node_modules/.madang-stamp
  fi
  [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && return 0
  say "building the console"
  # A build may write files beside its sources (generated types); they are part of what the stamp is taken over afterwards.
  (cd console && npm run --silent build </dev/null >&2)
  [ -f madang/console_dist/index.html ] || die "the console's build left no madang/console_dist/index.html"
  want=$(console_sources | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
  printf '%s\n' "$want" >"$stamp"
}

# Foreign implementations that the tests try ours against. Tests that miss one say so and skip, except in CI.
test_programs() {
  local missing=()
  [ -x /usr/sbin/mosquitto ] || have mosquitto || missing+=(mosquitto)
  have mosquitto_pub || missing+=(mosquitto-clients)
  have chromium || have chromium-browser || have google-chrome || missing+=(chromium)
  # The tests start a cluster of their own; the version is the distribution's.
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
  ls /usr/share/postgresql/*/extension/postgis.control >/dev/null 2>&1 || missing+=(postgresql-postgis)
  [ "${#missing[@]}" = 0 ] && return 0
  if ! apt_install "${missing[@]}"; then
    say "not installed and not installable here: ${missing[*]}"
    say "the tests that use them will be skipped; for all of them: apt install ${missing[*]} fonts-noto-cjk"
    [ -z "${CI:-}" ] || die "CI runs every test: the programs above are needed"
  fi
}

# Clients of NGSI-LD that others wrote, for tests/clients: each in an environment of its own, because their pins contradict ours (docs/adr).
client_environments() {
  local name want folder
  for name in ngsildclient filip; do
    folder="$VENV/clients/$name"
    want=$(hash_files "tests/clients/$name.txt")
    [ "$(cat "$folder/.madang-stamp" 2>/dev/null)" = "$want" ] && continue
    say "installing the client $name for the tests"
    rm -rf "$folder"
    if "$VENV/bin/python" -m venv "$folder" >/dev/null &&
      if use_uv; then
        uv pip install --quiet --python "$folder/bin/python" --require-hashes -r "tests/clients/$name.txt"
      else
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "tests/clients/$name.txt"
      fi; then
      printf '%s\n' "$want" >"$folder/.madang-stamp"
    else
      rm -rf "$folder"
      say "not installed: $name; its tests will be skipped"
      [ -z "${CI:-}" ] || die "CI runs every test: the client above is needed"
    fi
  done
}

case "${1:-all}" in
  python) make_venv; install_python ;;
  run) make_venv; install_python; build_console ;;
  all) make_venv; install_python; build_console packages; test_programs; client_environments ;;
  *) die "setup.sh knows python, run and all, not '$1'" ;;
esac
