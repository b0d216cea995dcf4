#!/usr/bin/env bash
# Compiles every variant of every kernel with Tint, the compiler of Chrome, through Dawn's Node
# package. Usage: kernels/testdata/tint.sh [GO]. It wants node, npm and the network once.
set -euo pipefail
cd "$(dirname "$0")/../.."
go=${1:-go}
version=0.6.2
dir=build/node

command -v npm >/dev/null || { echo "node and npm are needed" >&2; exit 1; }
if ! grep -qs "\"version\": \"$version\"" "$dir/node_modules/webgpu/package.json"; then
	mkdir -p "$dir"
	npm install --prefix "$dir" --ignore-scripts --no-audit --no-fund --no-save --loglevel=error "webgpu@$version"
fi
# Dawn does not take Mesa's software driver; Chromium brings one that it takes.
swiftshader=/usr/lib/chromium/vk_swiftshader_icd.json
if [[ -z ${VK_ICD_FILENAMES:-} && -e $swiftshader ]]; then
	export VK_ICD_FILENAMES=$swiftshader
fi
"$go" test -count=1 -run '^TestKernelsCompile$' ./kernels -args -dump "$PWD/$dir/kernels.json"
node kernels/testdata/tint.mjs "$dir/kernels.json" "$dir"
