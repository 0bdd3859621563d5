#!/bin/sh
# Install the Debian packages that tests need. Without root or apt the tests that need them are
# skipped, with a word; in CI that is a failure.
set -eu
missing=
for pair in nginx:nginx-light jq:jq openssl:openssl; do
    command -v "${pair%%:*}" > /dev/null || [ -x "/usr/sbin/${pair%%:*}" ] || missing="$missing ${pair##*:}"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "installing:$missing" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing > /dev/null && missing=
fi
if [ -n "$missing" ]; then
    echo "NOT INSTALLED:$missing - the tests that need them are skipped" >&2
    [ "${CI:-}" != true ]
fi
