# Isthmus. `make help` lists the goals; `make run` and `make test` need nothing prepared.
SHELL := /bin/bash
.DEFAULT_GOAL := help
GO_SOURCES := $(shell git ls-files -co --exclude-standard '*.go' '*.sql' 'openapi/*.yaml' go.mod go.sum)
WEB_SOURCES := $(shell git ls-files -co --exclude-standard web openapi/openapi.yaml)
# The same settings for all goals, so that packages are compiled once; only the race detector needs C.
export CGO_ENABLED := 0
DATA ?= data
ADDR ?= 127.0.0.1:8080

.PHONY: help
help: ## list the goals
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

.PHONY: build
build: bin/isthmus bin/isthmusctl ## build the server with the web front end inside, and the command line

bin/isthmusctl: $(GO_SOURCES)
	@mkdir -p bin
	go build -o $@ ./cmd/isthmusctl

bin/isthmus: $(GO_SOURCES) web/dist/index.html
	@mkdir -p bin
	go build -o $@ ./cmd/isthmus

.PHONY: web
web: web/dist/index.html ## build the web front end

web/node_modules/.installed: web/package-lock.json
	@echo "Installing the front end's packages with npm"
	cd web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

web/dist/index.html: $(WEB_SOURCES) web/node_modules/.installed
	cd web && npm run --silent build
	@touch $@

.PHONY: run
run: ## install what is missing, build, and start the demo on http://localhost:8080
	@scripts/setup run
	@$(MAKE) --no-print-directory build
	bin/isthmus serve --demo --data $(DATA) --addr $(ADDR)

.PHONY: generate
generate: web/node_modules/.installed ## write the generated code anew
	go generate ./...
	cd web && npm run --silent generate

.PHONY: lint
lint: web/node_modules/.installed ## format, vet, staticcheck, errcheck; no break of the API; the front end's types, lint, unit tests and size
	@unformatted=$$(go tool gofumpt -l $$(git ls-files -co --exclude-standard '*.go' | grep -v '\.gen\.go$$')); \
		[ -z "$$unformatted" ] || { echo "Not formatted (go tool gofumpt -w):"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	go tool errcheck -ignoretests -exclude scripts/errcheck.txt ./...
	scripts/api-changes
	cd web && npm run --silent check

.PHONY: check
check: ## generate and lint; fails when anything generated was out of date
	@scripts/setup test
	go build ./...
	@# Whether it builds there is all that is asked, which takes less time without optimizing.
	GOOS=darwin go build -gcflags='all=-N -l' -o /dev/null ./cmd/isthmusctl
	GOOS=windows go build -gcflags='all=-N -l' -o /dev/null ./cmd/isthmusctl
	go mod verify
	@$(MAKE) --no-print-directory web generate lint
	git diff --exit-code

.PHONY: test
test: ## install what tests need, then test everything on both databases: packages with -race, whole servers, the browser
	@scripts/setup test
	@$(MAKE) --no-print-directory web
	@mkdir -p bin/reports # kept: go test does not repeat what passed already
	status=0; $(go_test) packages || status=$$?; \
		$(MAKE) --no-print-directory -k servers e2e || status=$$?; exit $$status

go_test := ISTHMUS_REPORTS=$(CURDIR)/bin/reports ISTHMUS_REQUIRE_POSTGRES=1 scripts/with-postgres scripts/test-go

.PHONY: servers
servers: web/dist/index.html ## test whole servers (faults, kills, bad input), recorded platforms, media
	@mkdir -p bin/reports
	$(go_test) servers
	@for report in bin/reports/*.txt; do echo; cat "$$report"; done

.PHONY: e2e
e2e: build ## drive every page in Chromium on SQLite, the whole outcome on Postgres
	cd web && ../scripts/with-postgres npm run --silent e2e

.PHONY: bench
bench: ## measure: last byte to playable, ladder, browse, lists, sessions, relay, a sick neighbour, memory, drop folders
	scripts/bench

.PHONY: bench-transfer
bench-transfer: ## measure the fast path on emulated links beside other programs (LINKS=C,F SIZE=1GiB PEERS=isthmus,curl-bbr; needs root)
	scripts/bench-transfer

.PHONY: clean
clean: ## remove what was built (not the data)
	rm -rf bin web/dist web/node_modules web/test-results web/playwright-report
