# Thin: every target is one command that can be typed as well. `make help` lists them.
ARGS ?=
TIME ?= 600
SUITES ?=
JOBS ?= 2
QUICK ?=
WORKLOADS ?=
export JOBS

.DEFAULT_GOAL := help
.PHONY: help run build test fuzz bench format lint deb clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build library and server, optimised, in build/release
	@scripts/setup.sh build
	@scripts/build.sh release

run: build ## start wsbeat-server on loopback with its page; ARGS="--port 8080" passes flags
	exec build/release/bin/wsbeat-server $(ARGS)

test: ## run every check and test; SUITES="capi faults" runs only those
	@scripts/setup.sh build test
	@scripts/test.sh $(SUITES)

fuzz: ## fuzz every target for TIME seconds (600)
	@scripts/setup.sh build test
	@scripts/fuzz.sh $(TIME)

bench: ## measure beside other servers and write docs/performance.md; QUICK=1 only looks, WORKLOADS="echo-16k" chooses
	@scripts/setup.sh build bench
	@scripts/build.sh bench
	/usr/bin/python3 bench/run.py $(if $(QUICK),--quick --results build/bench/quick.json) $(WORKLOADS)
	/usr/bin/python3 bench/report.py $(if $(QUICK),--print --results build/bench/quick.json)
	$(if $(WORKLOADS),,/usr/bin/python3 bench/crossing.py --build build/bench)

format: ## format all C and C++ files in place
	@scripts/sources.sh | xargs clang-format -i

lint: ## clang-format and clang-tidy, without changing anything
	@scripts/lint.sh

deb: ## make the Debian packages in build/deb/packages
	@scripts/setup.sh build deb
	@scripts/build.sh deb
	cd build/deb && cpack

clean: ## remove everything that was built
	rm -rf build
