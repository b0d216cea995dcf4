# llama-webgpu. `make demo` shows what it does, `make test` checks everything.

SHELL   := bash
GO      ?= go
BIN     := build/llama-webgpu
MODEL   := testdata/tiny
PROMPT  ?= It was a cold morning of the early spring, and we sat after breakfast
FUZZTIME ?= 60s
BASE ?=
ROUNDS ?= 5
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

.DEFAULT_GOAL := help
.PHONY: help demo test check build page setup bench fuzz formats golden families-table readme wgsl cross clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

build: page ## Build build/llama-webgpu, with the demo page inside
	@scripts/tools $(GO)
	$(GO) build -tags page -o $(BIN) ./cmd/llama-webgpu

# Programs built with -tags page contain web/site. Those built without the tag have the same command build it.
page: ## Build the demo page (web/site) and the package's JavaScript and WebAssembly (web/dist); wants nothing but Go
	@$(GO) run ./internal/tools/page -go $(GO)

setup: build ## Make sure that a GPU driver is there; on Debian and Ubuntu, install a software one
	@scripts/driver $(BIN)

demo: setup ## Quantize the embedded model to int4, verify it against FP16, let it write
	$(BIN) quantize --input-dir $(MODEL) --output-dir build/demo --format int4 --force
	$(BIN) verify --model build/demo --reference $(MODEL)
	$(BIN) infer --model build/demo --device gpu --prompt "$(PROMPT)" -n 64 --temperature 0.6 --repeat-penalty 1.1 --seed 3 --echo --stats

# The tests come last, so that what they say is the end of the output. What setup has built is not built again (-o), and what check
# has vetted not vetted again.
test: setup ## Everything: check, cross, a short fuzz, all tests
	@$(MAKE) --no-print-directory -o page web
	@$(MAKE) --no-print-directory clients
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory cross
	@$(MAKE) --no-print-directory fuzz FUZZTIME=500x
	@PATH="$(CURDIR)/build/bin:$$PATH" $(MAKE) --no-print-directory -o setup wgsl
	@PATH="$(CURDIR)/build/bin:$$PATH" $(MAKE) --no-print-directory dawn-test
	$(GO) build -o build/gotest ./internal/tools/gotest
	LLAMA_WEBGPU_WEB=1 PATH="$(CURDIR)/build/bin:$$PATH" build/gotest -go $(GO) -- -vet=off -timeout 60m ./...

check: ## Formatting, vet, staticcheck; for TypeScript, Biome (where npm is)
	@out=$$($(GO) tool gofumpt -l .); test -z "$$out" || { echo "gofumpt would change:"; echo "$$out"; exit 1; } >&2
	$(GO) vet ./...
	CGO_ENABLED=0 $(GO) vet ./...
	$(GO) tool staticcheck ./...
	@if command -v npm >/dev/null; then scripts/npm && cd web && npm run --silent lint; else echo "no npm: TypeScript was not checked"; fi

.PHONY: release release-check
release: page web ## Make archives for PLATFORMS, the npm package, SBOMs and checksums in build/release (wants npm and the network)
	$(GO) run ./internal/tools/release -go $(GO) -platforms "$(PLATFORMS)" $(RELEASE)

release-check: ## Make the release of HEAD twice, in two places with two caches, and compare (PLATFORMS= for fewer)
	@scripts/release-check "$(PLATFORMS)"

.PHONY: load
LOAD ?=
load: demo ## Serve the embedded model to 64 clients that do not behave, for five minutes; LOAD='-time 20s -device cpu' for other options
	$(GO) run ./internal/tools/load -program $(BIN) -model build/demo $(LOAD)

cross: ## Build for six platforms without cgo
	@for p in $(PLATFORMS); do \
		echo "$(GO) build $$p"; \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -o build/cross/$${p/\//-}/ ./cmd/llama-webgpu || exit 1; \
	done

fuzz: ## Run every fuzz test for FUZZTIME (60s)
	@scripts/fuzz $(FUZZTIME) $(GO)

wgsl: setup ## Compile every kernel with the native compiler and, where there is npm, with Tint
	$(GO) test -count=1 -run '^TestKernelsCompile$$' ./kernels
	@if command -v npm >/dev/null; then kernels/testdata/tint.sh $(GO); else echo "no npm: kernels were not compiled with Tint"; fi

bench: setup ## Run the Go benchmarks; with BASE=REVISION, see whether models run slower than there
ifeq ($(BASE),)
	@mkdir -p build/bench
	$(GO) test -run '^$$' -bench . -benchmem ./... | tee build/bench/go.txt
else
	$(GO) run ./internal/tools/bench-compare -base $(BASE) -rounds $(ROUNDS)
endif

.PHONY: same
same: setup ## Show whether bundles and logits are those of BASE=REVISION (and only of the models RUN=REGEX)
	$(GO) run ./internal/tools/same -base "$(BASE)" -run '$(RUN)'

formats: build ## Print what each format makes of a checkpoint (MODEL=)
	@scripts/formats $(BIN) $(MODEL)

families-table: ## Write the tables of families in README.md and docs/models.md
	$(GO) run ./internal/tools/families

readme: setup ## Put what the commands print now into README.md (developers; wants Python)
	@scripts/readme $(BIN)

golden: ## Make the golden files again (developers; wants Python and the network)
	@scripts/golden

clean: ## Remove build/
	rm -rf build

.PHONY: dawn dawn-test
dawn: ## Get a Dawn library, the WebGPU of Chrome, and put it where the program looks (wants npm; NEWER=1: a newer one, wants Python)
	@scripts/dawn $(if $(NEWER),--newer)

dawn-test: ## Run the tests of gpu, of kernels and of models, and the demo without cgo, on Dawn and Chromium's software driver
	@scripts/dawn-test $(GO)

.PHONY: bench-gpu
bench-gpu: setup ## The figures of docs/performance.md for a real GPU: parity first, then speed
	$(GO) test -c -o build/tests/ ./kernels ./gpu/graph ./gpu/transformer ./gpu/calibrate ./gpu/tune
	@scripts/bench-gpu $(BIN) build/tests

# The texts are read by scripts/quality; see there for what else can be chosen.
CALIBRATION ?= testdata/text/calibration.txt
TEXT        ?= testdata/text/evaluation.txt
.PHONY: quality
quality: setup ## Print how far each format and method drifts (MODEL=, CALIBRATION=, TEXT=, ROWS=): docs/quality.md
	@scripts/quality $(BIN) $(MODEL) $(CALIBRATION) $(TEXT) $(WINDOWS)

.PHONY: tokenizers
tokenizers: ## Compare ids and speed with Hugging Face's tokenizers on real vocabularies (wants npm, Python and the network)
	@scripts/tokenizers

.PHONY: quality-real
quality-real: TEXT = testdata/text/unseen.txt
quality-real: build ## The same of models that people use, beside llama.cpp's types (REAL=, WINDOWS=, ROWS=, CALIBRATED=1; wants Python and npm)
	@scripts/quality-real $(BIN) $(TEXT) $(or $(WINDOWS),16) $(REAL)

.PHONY: arm64
arm64: ## Test the assembly for arm64 (wants that processor, or Debian's qemu-user-static)
	@mkdir -p build/arm64
	@for p in kernels/simd internal/vector format/block; do \
		CGO_ENABLED=0 GOARCH=arm64 $(GO) test -c -o build/arm64/$${p/\//-}.test ./$$p && \
		(cd $$p && $$(command -v qemu-aarch64-static qemu-aarch64 | head -n 1) $(CURDIR)/build/arm64/$${p/\//-}.test) || exit 1; \
	done

.PHONY: cpu-peers
cpu-peers: build ## Measure the CPU engine beside llama.cpp, on SmolLM2-135M (ROUNDS=, THREADS=; wants Python, npm and the network)
	@scripts/cpu-peers $(BIN)

.PHONY: real
real: setup ## Convert, verify and chat with SmolLM2-135M, and print how it compares with transformers (wants pip)
	@scripts/real $(BIN)

.PHONY: bench-quantize
bench-quantize: build ## Time quantize beside cp on 2.5 GB of random weights, made once in build/
	$(GO) run ./internal/tools/bench-quantize -bin $(BIN)

.PHONY: faults
faults: build ## Kill quantize 50 times, fill its disk, cut its input: the figures of docs/reliability.md
	KILLS=50 PROGRAM=$(CURDIR)/$(BIN) $(GO) test -count=1 -v -run '^TestFaults' ./cmd/llama-webgpu

.PHONY: web
web: page ## Build the npm package: what make page builds, and its types; install Node and Chromium if need be
	@scripts/web

.PHONY: clients
clients: ## Install the clients that the server is tested with: openai for Node and Python, the AI SDK (wants npm and the network)
	@scripts/clients

# With LLAMA_WEBGPU_WEB, what is missing for the tests in browsers is a failure.
.PHONY: web-test web-bench
web-test: setup web ## Test the package in Chromium and in Node; pictures of the page in build/screenshots
	LLAMA_WEBGPU_WEB=1 PATH="$(CURDIR)/build/bin:$$PATH" $(GO) test -count=1 -timeout 60m ./web

.PHONY: bundlers
bundlers: web ## Build a page with every bundler of web/README.md and run it in Chromium; print a table (wants npm and the network)
	$(GO) vet -tags bundlers ./web
	LLAMA_WEBGPU_WEB=1 PATH="$(CURDIR)/build/bin:$$PATH" $(GO) test -tags bundlers -count=1 -timeout 60m -run '^TestBundlers$$' ./web

.PHONY: picture
picture: web ## Make docs/page.png, the picture of the page in README.md
	LLAMA_WEBGPU_WEB=1 PATH="$(CURDIR)/build/bin:$$PATH" $(GO) test -count=1 -run '^TestPageServer$$' ./web
	cp build/screenshots/page.png docs/page.png

web-bench: web ## Measure the processor time of a token in Chromium, on the shape of a model of 1.2·10⁹ weights
	$(GO) test -count=1 -timeout 30m -run '^$$' -bench '^BenchmarkToken$$' -benchtime 32x ./web

# Each 30 s the seed and what memory takes are printed; SEED repeats a storm.
.PHONY: storm firefox-test
storm: setup web ## Random calls of the package for SECONDS (3600) in one page of Chromium, then in one process of Node
	LLAMA_WEBGPU_WEB=1 LLAMA_WEBGPU_STORM=$(or $(SECONDS),3600) LLAMA_WEBGPU_SEED=$(SEED) PATH="$(CURDIR)/build/bin:$$PATH" $(GO) test -count=1 -v -timeout 12h -run '^TestStorm' ./web

firefox-test: setup web ## Test the package in Firefox, which is to be installed, on the system's software Vulkan driver
	LLAMA_WEBGPU_WEB=1 PATH="$(CURDIR)/build/bin:$$PATH" $(GO) test -tags firefox -count=1 -v -timeout 40m -run '^TestFirefox$$' ./web
