#!/usr/bin/env bash
# What can be known in seconds: format, lint, types, import directions, tidiness, freshness of the generated pages.
. "$(dirname "$0")/lib.sh"

rc=0
step() {
  local name=$1
  shift
  if "$@"; then printf '  ok      %s\n' "$name"; else rc=1; printf '  FAILED  %s\n' "$name"; fi
}
step "format (make format mends it)" "$VENV/bin/ruff" format --check --quiet .
step "lint" "$VENV/bin/ruff" check --quiet .
step "types" "$VENV/bin/mypy" --no-error-summary
step "imports, tidiness, generated pages" "$VENV/bin/python" -m pytest -q --no-header -p no:cacheprovider tests/repo tests/services/test_every_service.py
exit "$rc"
