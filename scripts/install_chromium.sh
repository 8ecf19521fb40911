#!/usr/bin/env bash
# Chromium for the tests of the page, on a bare Debian or Ubuntu. Nothing is done where it is there already.
set -euo pipefail
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then
        exit 0
    fi
done
if ! command -v apt-get >/dev/null; then
    echo "no chromium here, and no apt-get to install it: the tests of the page are skipped (with CI set they fail)" >&2
    exit 0
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "no chromium here, and no right to install it: sudo apt-get install chromium" >&2
        exit 0
    fi
    as_root=(sudo -n)
fi
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core
