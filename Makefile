# The commands of README.md. Each sets up what it needs: see scripts/setup.

REVISION := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
BUILD := swift build -c release --static-swift-stdlib -Xlinker -s -Xcc -DTTA_BUILD_REVISION='"$(REVISION)"'
BINARY := .build/release/tta

.PHONY: demo test build install setup lint format builtin-model example fuzz bench clean

demo: build
	$(BINARY) demo

build: setup
	$(BUILD) --product tta

test: setup
	swift build -c release --build-tests
	swift test -c release --skip-build $(if $(FILTER),--filter $(FILTER))

setup:
	@scripts/setup

install: build
	install -D -m 755 $(BINARY) $(or $(PREFIX),/usr/local)/bin/tta

lint:
	swift format lint --strict -r Package.swift Sources Tests Examples Benchmarks Fuzz/Package.swift Fuzz/Sources
	scripts/size

format:
	swift format -i -r Package.swift Sources Tests Examples Benchmarks Fuzz/Package.swift Fuzz/Sources

# Trains the built-in classifier again and puts it into the sources; the next build embeds it.
builtin-model: build
	$(BINARY) train --dataset shapes --architecture cifar-resnet14 --seed 0 --float16 --output shapes-new.safetensors
	mv shapes-new.safetensors Sources/CBuiltinModel/shapes.safetensors

example: setup
	swift build --package-path Examples/CustomStrategy -c release
	Examples/CustomStrategy/.build/release/mytta demo --strategies source,tent,confident-tent --images 200

fuzz: setup
	scripts/fuzz $(or $(SECONDS),60)

bench: build
	$(BINARY) bench --kernels

clean:
	rm -rf .build .build-* Examples/CustomStrategy/.build Benchmarks/.build Fuzz/.build
