#!/usr/bin/env bash
# Known vulnerabilities of everything that is locked. Passes only if the service was asked and had an answer for each:
# a canary goes first, an old version that is known to be vulnerable. A service, mirror or proxy that knows nothing of
# it knows nothing of ours either, and a silent pass would be worth nothing.
#
#   .ci/audit.sh PIP-AUDIT LOCKFILE…
set -uo pipefail
audit=$1
shift
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
echo 'jinja2==2.10' > "$scratch/canary.txt"

options=(--strict --disable-pip --progress-spinner off)
# It ends with 1 whether it found something or could not ask; what it found tells the two apart.
"$audit" "${options[@]}" --no-deps --format json --requirement "$scratch/canary.txt" > "$scratch/found" 2> "$scratch/log"
if ! grep -q '"id": *"\(PYSEC\|GHSA\|CVE\)-' "$scratch/found"; then
  cat "$scratch/log" >&2
  echo "audit: NOT AUDITED: the vulnerability service does not know that jinja2 2.10 is vulnerable, or cannot be asked" >&2
  exit 2
fi

status=0
for file in "$@"; do
  echo "audit: $file"
  "$audit" "${options[@]}" --require-hashes --requirement "$file" || status=1
done
exit $status
