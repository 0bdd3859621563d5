#!/bin/sh
# Install the Debian packages that give the named programs (program:package). Without root or apt what
# needs them is skipped, with a word; in CI that is a failure.
set -eu
missing=
for pair in "$@"; do
    command -v "${pair%%:*}" > /dev/null || [ -x "/usr/sbin/${pair%%:*}" ] || missing="$missing ${pair##*:}"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "installing:$missing" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing > /dev/null && missing=
fi
if [ -n "$missing" ]; then
    echo "NOT INSTALLED:$missing - what needs them is skipped" >&2
    [ "${CI:-}" != true ]
fi
