#!/usr/bin/env bash
# Writes the lock files: for each way to install, every package with its version and the hashes of its files, for Python
# 3.11 to 3.13. Run by `make lock` after a pin in pyproject.toml has changed.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=.venv/bin/uv
compile() { "$uv" pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header "$@"; }
all=$(mktemp) && trap 'rm -f "$all"' EXIT

# What is only there for graphics cards stands apart: PyTorch's CPU build needs none of it (torch-cpu.txt, kept by hand).
compile pyproject.toml --extra dev --extra explain --output-file "$all"
cuda=$(grep -E '^(torch|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)==' "$all")
locked() {  # NAME PACKAGE...: without dependencies of their own that stand in no list
  local name=$1
  shift
  compile --generate-hashes --constraints "$all" --output-file "requirements/$name.txt" "$@"
}
locked torch-cuda --no-deps - <<<"$cuda"
locked build --no-deps - <<<"$(grep -E '^setuptools==' "$all")"
apart=$(sed 's/==.*//; s/^/--no-emit-package /' <<<"$cuda" | tr '\n' ' ')
for one in serve=serve explain=serve,explain console=serve,explain,oidc batch=serve,batch train=train text=train,text dev=dev; do
  # shellcheck disable=SC2086
  locked "${one%=*}" pyproject.toml $(tr ',' '\n' <<<"${one#*=}" | sed 's/^/--extra /') $apart
done
