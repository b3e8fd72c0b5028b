# The README's two commands are make demo and make test; each needs Go and make,
# and does all of its own set-up.

GO       ?= go
DURATION ?= 10m
WORLDS   ?= all
LINTER   := .bin/golangci-lint
# Pinned: a newer linter finds new things, and that should be a commit's doing.
LINTER_VERSION := v2.15.0

# Nothing may leave itself out: a test that would skip for want of a server fails.
STRICT := IMMUKV_NO_SKIP=1 IMMUKV_LONG=1

.PHONY: demo test lint race sweep soak bench servers

## demo: a guided tour on local files
demo:
	$(GO) run ./immukv/cmd/immukv demo

## test: everything, real servers included
test: lint servers
	$(STRICT) $(GO) test -timeout 30m ./...
	$(GO) test -race -timeout 20m ./immukv/ ./backend/memstore/ ./backend/blobstore/ ./sim/

## lint: formatting, vet, staticcheck, and the arrows between packages
lint: $(LINTER)
	$(LINTER) run --allow-parallel-runners ./...

$(LINTER): Makefile
	GOBIN=$(CURDIR)/.bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINTER_VERSION)
	@touch $@

## servers: the S3 servers that tests run on, at pinned versions, in .servers
servers:
	$(GO) run ./backend/s3store/s3test/install

## race: the tests that need no server, under the race detector
race:
	$(GO) test -race -timeout 20m ./...

## sweep: the simulator's exhaustive part, with what it covered; WORLDS=deep visits more
sweep:
	IMMUKV_SWEEP=$(WORLDS) $(GO) test -count=1 -timeout 60m -run '^TestSweep$$' -v ./sim/

## soak: random histories until the time is up: make soak DURATION=10m
soak:
	IMMUKV_SOAK=$(DURATION) $(GO) test -count=1 -timeout 0 -run '^TestSoak$$' -v ./sim/

## bench: the benchmarks, with the ratios that they report
bench:
	$(GO) test -run '^$$' -bench . -benchmem -timeout 60m ./immukv/ ./backend/blobstore/
