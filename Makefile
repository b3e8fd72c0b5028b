# The README's two commands are make demo and make test; each needs Go and make,
# and does all of its own set-up.

GO       ?= go
DURATION ?= 10m
WORLDS   ?= all
# How long the logs are that make bench compares on S3 servers. MinIO writes all
# versions of an object anew at each write, and takes hours to make 100,000.
ENTRIES  ?= 100,10000
LINTER   := .bin/golangci-lint
# Pinned: a newer linter finds new things, and that should be a commit's doing.
LINTER_VERSION := v2.15.0

# Nothing may leave itself out: a test that would skip for want of a server fails.
STRICT := IMMUKV_NO_SKIP=1 IMMUKV_LONG=1

.PHONY: demo test full lint cover race sweep soak matrix bench servers azurite chromium screenshots

## demo: a guided tour on local files
demo:
	$(GO) run ./immukv/cmd/immukv demo

## test: everything, real servers and a real browser included
test: lint servers chromium
	$(STRICT) $(GO) test -timeout 30m ./...
	IMMUKV_NO_SKIP=1 $(GO) test -race -timeout 20m ./immukv/ ./backend/memstore/ ./backend/blobstore/ ./sim/

## full: the tests of which make test runs a part, at their full size
full: servers
	$(STRICT) IMMUKV_FULL=1 $(GO) test -count=1 -timeout 0 -v -run '^Test(CopyThereAndBack|SixteenShells|KilledCopyToServers)$$' ./backend/s3store/ ./immukv/cli/

## lint: formatting, vet, staticcheck, and the arrows between packages
lint: $(LINTER)
	$(LINTER) run --allow-parallel-runners ./...

$(LINTER): Makefile
	GOBIN=$(CURDIR)/.bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINTER_VERSION)
	@touch $@

## servers: the servers that tests run on, at pinned versions, in .servers
servers:
	$(GO) run ./backend/s3store/s3test/install

## chromium: the browser that pages are tested in, unless there is one; it needs root and apt-get
chromium:
	$(GO) run ./immukv/cli/internal/serve/chromium/install

## screenshots: the pictures of docs/serve.md, anew
screenshots: chromium
	$(GO) run ./immukv/cli/internal/serve/screenshots

## azurite: Azure's emulator, at a pinned version, in .servers; it needs npm
azurite:
	$(GO) run ./backend/s3store/s3test/install -azurite

## cover: what share of the statements of immukv and backend the tests reach, and which functions they do not
COVERED := ./immukv,./backend,./backend/memstore,./backend/blobstore,./backend/s3store
cover: servers chromium
	$(STRICT) $(GO) test -timeout 30m -coverprofile=cover.out -coverpkg=$(COVERED) ./... >/dev/null
	$(GO) tool cover -func=cover.out | grep -v '100.0%'

## race: the tests that need no server, under the race detector
race:
	$(GO) test -race -timeout 20m ./...

## sweep: the simulator's exhaustive part, with what it covered; WORLDS=deep visits more
sweep:
	IMMUKV_SWEEP=$(WORLDS) $(GO) test -count=1 -timeout 60m -run '^TestSweep$$' -v ./sim/

## soak: random histories until the time is up: make soak DURATION=10m
soak:
	IMMUKV_SOAK=$(DURATION) $(GO) test -count=1 -timeout 0 -run '^TestSoak$$' -v ./sim/

## matrix: the conformance suite on every store at hand, into docs/conformance.md; it needs npm, for Azurite; STORES=MinIO,mutants does those alone
matrix: servers azurite
	IMMUKV_NO_SKIP=1 $(GO) test -count=1 -timeout 120m -run '^TestMatrix$$' -v ./conformance/cmd/immukv-conformance -update -only '$(STORES)'

## bench: the counts and ratios of docs/performance.md, in its order
bench: servers
	IMMUKV_LONG=1 $(GO) test -count=1 -v -run '^Test(RoundTrips|WideReads|ContendingProcesses|ContendingBatches|WriteRates|BatchedWriteRate|Memory.*)$$' ./immukv/
	$(GO) test -run '^$$' -bench '^BenchmarkVerify' -benchtime 3s ./immukv/
	$(GO) test -run '^$$' -bench '^BenchmarkReader$$' ./immukv/internal/readahead/
	$(GO) test -run '^$$' -bench '^Benchmark(Set|Get)$$' -benchmem -benchtime 20000x ./immukv/
	$(GO) test -run '^$$' -bench '^BenchmarkGrowth$$' -benchtime 300x ./immukv/
	$(GO) test -run '^$$' -bench '^BenchmarkOverhead$$' -benchtime 20000x ./backend/observe/
	$(GO) test -run '^$$' -bench '^BenchmarkClient$$' -benchtime 300x -timeout 30m ./backend/blobstore/
	IMMUKV_NO_SKIP=1 IMMUKV_BENCH_ENTRIES=$(ENTRIES) $(GO) test -run '^$$' -bench '^BenchmarkClient$$' -benchtime 50x -timeout 0 ./backend/s3store/
	IMMUKV_NO_SKIP=1 $(GO) test -run '^$$' -bench '^BenchmarkBatching$$' -benchtime 5x -timeout 30m ./backend/s3store/
	IMMUKV_NO_SKIP=1 $(GO) test -run '^$$' -bench '^BenchmarkBatchedGrowth$$' -benchtime 1x -timeout 30m ./backend/s3store/
