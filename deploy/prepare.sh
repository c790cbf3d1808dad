#!/usr/bin/env bash
# Installs what building and testing needs on Debian 12, if it is missing. As root, or by sudo.
set -euo pipefail

missing=()
for need in make:make cc:gcc c++:g++ git:git ccache:ccache "$@"; do
  command -v "${need%%:*}" >/dev/null || missing+=("${need##*:}")
done
# bindgen reads RocksDB's header with it.
ls /usr/lib/llvm-*/lib/libclang*.so* >/dev/null 2>&1 || missing+=(libclang-dev)
for need in "$@"; do
  if [ "$need" = python3:python3 ]; then
    python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
  fi
done
if [ ${#missing[@]} -gt 0 ]; then
  sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  echo "installing ${missing[*]}" >&2
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
command -v cargo >/dev/null || {
  echo "cargo is missing: install Rust 1.95 or newer from https://rustup.rs, then try again" >&2
  exit 1
}
