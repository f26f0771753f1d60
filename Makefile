# What a person runs. Everything installs what it needs with apt-get, except the Rust
# toolchain (1.85 or newer).

CARGO ?= cargo
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

BUILD_NEEDS = gcc libc6-dev
TEST_NEEDS = $(BUILD_NEEDS) gnupg mandoc mount perl-base util-linux \
  dnf rpm createrepo-c
BENCH_NEEDS = $(TEST_NEEDS) monitoring-plugins-basic time

# Installs the packages that are not there yet; a machine that has them all needs no network.
need = missing=; for name in $(1); do \
	  dpkg-query -W -f='$${db:Status-Status}' $$name 2>/dev/null | grep -qx installed || missing="$$missing $$name"; \
	done; [ -z "$$missing" ] || { $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing; }

.PHONY: build run test faults bench completions install

build:
	@$(call need,$(BUILD_NEEDS))
	$(CARGO) build --release --locked

# The main job on this machine: refreshes its package index, says how fresh it is, and shows
# what an apply would install. Nothing is installed. The exit code of each is shown, not acted on.
run: build
	@for args in refresh status "apply --dry-run"; do \
	  echo "\$$ linux-patch $$args"; \
	  $(SUDO) target/release/linux-patch $$args; echo "exit code $$?"; \
	done

# All tests. The real package managers run in throw-away roots, which takes root.
test:
	@$(call need,$(TEST_NEEDS))
	@$(CARGO) fmt --version >/dev/null && $(CARGO) clippy --version >/dev/null || { \
	  echo "rustfmt and clippy are needed: rustup component add rustfmt clippy, or Debian's rustfmt and rust-clippy"; \
	  exit 1; }
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(if $(SUDO),$(SUDO) -E env "PATH=$$PATH") $(CARGO) test --locked

# Every attack of tests/faults whole, of which `make test` runs a quick share; says how much was tried.
faults:
	@$(call need,$(TEST_NEEDS))
	$(if $(SUDO),$(SUDO) -E env "PATH=$$PATH") env LINUX_PATCH_FAULTS=full $(CARGO) test --locked --test faults -- --show-output

# status beside check_apt, refresh beside apt-get update, and the size of the program.
bench:
	@$(call need,$(BENCH_NEEDS))
	$(if $(SUDO),$(SUDO) -E env "PATH=$$PATH") $(CARGO) bench --locked --bench side_by_side

# Shell completions, from the same definition as the parser.
completions:
	UPDATE_COMPLETIONS=1 $(CARGO) test --locked --test completions

install: build
	install -D -m 755 target/release/linux-patch $(DESTDIR)$(or $(PREFIX),/usr/local)/bin/linux-patch
	install -D -m 644 man/linux-patch.8 $(DESTDIR)$(or $(PREFIX),/usr/local)/share/man/man8/linux-patch.8
