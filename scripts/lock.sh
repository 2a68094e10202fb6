#!/usr/bin/env bash
# Writes requirements.txt and requirements-dev.txt from pyproject.toml, and those of the clients that tests/clients tries: every version pinned, every file hashed, no address
# of any registry. Needs uv. `scripts/lock.sh --upgrade` takes newer versions; without it pins stay where they are.
# uv.lock is a by-product and stays out of the repository, because it records registry addresses (docs/adr/0010).
. "$(dirname "$0")/lib.sh"

have uv || die "uv is needed to resolve the requirements: pip install uv"
uv lock --quiet "$@"
uv export --quiet --format requirements-txt --no-dev --no-emit-project -o requirements.txt >/dev/null
uv export --quiet --format requirements-txt --no-emit-project -o requirements-dev.txt >/dev/null
for name in ngsildclient filip; do
  # pip, unlike uv, takes a pin without its extra for another requirement than the one with it.
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-header --no-annotate "$@" \
    -o "tests/clients/$name.txt" "tests/clients/$name.in" >/dev/null
done
if grep -nE '://|--(extra-)?index-url|--find-links' requirements.txt requirements-dev.txt tests/clients/*.txt; then
  die "the lines above name a registry; requirement files carry names, versions and hashes only"
fi
say "pinned $(grep -c == requirements.txt) packages to run, $(grep -c == requirements-dev.txt) to develop"
