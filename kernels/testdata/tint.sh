#!/usr/bin/env bash
# Compiles every variant of every kernel with Tint, the compiler of Chrome, through Dawn's Node
# package. Usage: kernels/testdata/tint.sh [GO [BACKEND]]; tint.mjs says what a backend is. It needs
# node and npm, and the network once.
set -euo pipefail
cd "$(dirname "$0")/../.."
go=${1:-go} backend=${2:-null}
version=0.6.2
dir=build/node

command -v npm >/dev/null || { echo "node and npm are needed" >&2; exit 1; }
if ! grep -qs "\"version\": \"$version\"" "$dir/node_modules/webgpu/package.json"; then
	mkdir -p "$dir"
	npm install --prefix "$dir" --ignore-scripts --no-audit --no-fund --no-save --loglevel=error "webgpu@$version"
fi
"$go" test -count=1 -run '^TestKernelsCompile$' ./kernels -args -dump "$PWD/$dir/kernels.json"
node kernels/testdata/tint.mjs "$dir/kernels.json" "$dir" "$backend"
