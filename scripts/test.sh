#!/usr/bin/env bash
# Everything that must hold, in one run: the console's own checks, then every Python test (they include import directions,
# tidiness and the freshness of generated pages). pytest's closing lines come last. Arguments go to pytest.
. "$(dirname "$0")/lib.sh"

rc=0
if [ -f console/package.json ]; then
  for task in check test; do
    if grep -q "\"$task\":" console/package.json; then
      say "console: npm run $task"
      (cd console && npm run --silent "$task" </dev/null) || { rc=1; say "console: npm run $task FAILED"; }
    fi
  done
fi

say "format, lint, types"
"$VENV/bin/ruff" format --check --quiet . || { rc=1; say "ruff format FAILED: make format"; }
"$VENV/bin/ruff" check --quiet . || { rc=1; say "ruff check FAILED"; }
"$VENV/bin/mypy" --no-error-summary || { rc=1; say "mypy FAILED"; }

# The hub, the API and the services again on the other store, beside the first run: most tests keep one core busy, there are two.
on_postgres="$(mktemp)"
beside=""
trap 'rm -f "$on_postgres"; [ -z "$beside" ] || kill "$beside" 2>/dev/null || true' EXIT
MADANG_TEST_STORE=postgres "$VENV/bin/python" -m pytest -q -m "not soak and not browser" -p no:cacheprovider \
  tests/api tests/hub tests/services/manure/test_procedure.py tests/ngsild/test_match.py </dev/null >"$on_postgres" 2>&1 &
beside=$!

say "all tests but the browser's"
"$VENV/bin/python" -m pytest -q -m "not soak and not browser" "$@" </dev/null || rc=1

say "hub, API and services on PostgreSQL"
wait "$beside" || rc=1
beside=""
cat "$on_postgres"

# The browser draws maps in software on the cores that the server needs too: a test that ran out of its patience gets one second chance, alone.
# What is really broken fails twice.
say "browser tests"
"$VENV/bin/python" -m pytest -q -m browser "$@" </dev/null || {
  say "browser tests: once more, those that failed"
  "$VENV/bin/python" -m pytest -q -m browser --last-failed --last-failed-no-failures none "$@" </dev/null || rc=1
}
[ "$rc" = 0 ] || say "FAILED: see above"
exit "$rc"
