# One Makefile, no recursion.  `make` builds the release binary, `make test` is what CI runs.
# `make help` lists the targets.

FLAVOR  ?= release
CC      ?= cc
PREFIX  ?= /usr/local
WERROR  ?= -Werror
BUILD   := build/$(FLAVOR)
PG_BIN  ?= /usr/lib/postgresql/15/bin
T       ?=

SRC     := $(sort $(wildcard src/*/*.c))
LIBSRC  := $(filter-out src/app/main.c,$(SRC))
OBJ     := $(SRC:%.c=$(BUILD)/%.o)
LIBOBJ  := $(LIBSRC:%.c=$(BUILD)/%.o)
HARNESS := $(sort $(wildcard tests/harness/*.c))
HOBJ    := $(HARNESS:%.c=$(BUILD)/%.o)
SUITES  := unit integration cli
suite_objects = $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/$(1)/*.c)))
TESTOBJ := $(foreach s,$(SUITES),$(call suite_objects,$(s)))
FAULT   := $(BUILD)/fault/preload.so $(BUILD)/fault/archive_steps
STRESS  := $(patsubst tests/stress/%.c,$(BUILD)/stress/%,$(sort $(wildcard tests/stress/*.c)))
BCOMMON := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard bench/common_*.c)))
BENCH   := $(patsubst bench/%.c,$(BUILD)/bench/%,\
           $(filter-out bench/common_%.c,$(sort $(wildcard bench/*.c))))
FUZZLIB := $(filter $(BUILD)/src/base/% $(BUILD)/src/core/%,$(LIBOBJ))
EXTRAOBJ := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/stress/*.c tests/fuzz/*.c tests/fault/*.c \
            bench/*.c)))

WARN    := -std=c17 -Wall -Wextra -Wpedantic $(WERROR) -Wshadow -Wconversion -Wsign-conversion \
           -Wcast-qual -Wcast-align -Wpointer-arith -Wwrite-strings -Wstrict-prototypes \
           -Wmissing-prototypes -Wold-style-definition -Wredundant-decls -Wformat=2 -Wundef -Wvla \
           -Wnull-dereference -Wdouble-promotion -Wfloat-equal -Wswitch-enum -Wimplicit-fallthrough
WARN.gcc := -Wduplicated-cond -Wduplicated-branches -Wlogical-op -Wjump-misses-init \
           -Wformat-signedness
ifeq ($(shell $(CC) --version 2>/dev/null | grep -c clang),0)
WARN    += $(WARN.gcc)
endif
CFLAGS.release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
CFLAGS.asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all \
                  -fno-omit-frame-pointer
CFLAGS.tsan    := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
CFLAGS.fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined \
                  -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS.release := -pie -Wl,-z,relro,-z,now
LDFLAGS.asan   := -fsanitize=address,undefined
LDFLAGS.fuzz   := -fsanitize=address,undefined
LDFLAGS.tsan   := -fsanitize=thread
CPPFLAGS += -D_GNU_SOURCE -Iinclude -I/usr/include/postgresql -MMD -MP
ALL_CFLAGS = $(WARN) $(CFLAGS.$(FLAVOR)) $(CFLAGS)
ALL_LDFLAGS = $(LDFLAGS.$(FLAVOR)) $(LDFLAGS)
LIBS    := -lpq -lyaml -ljansson -lxxhash -lzstd -lm -lpthread

# Criterion's macros trip exactly these two (shared style notes, fact 4).
$(TESTOBJ): WARN += -Wno-conversion -Wno-write-strings
$(TESTOBJ) $(HOBJ) $(EXTRAOBJ): CPPFLAGS += -Itests

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BUILD)/pghaul ## build the release binary, build/release/pghaul

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC $<"
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c $< -o $@

$(BUILD)/pghaul: $(OBJ)
	@echo "  LD $@"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $^ $(LIBS) -o $@

define suite_rule
$(BUILD)/test-$(1): $(call suite_objects,$(1)) $(HOBJ) $(LIBOBJ)
	@echo "  LD $$@"
	@$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) $$^ $$(LIBS) -lcriterion -o $$@
endef
$(foreach s,$(SUITES),$(eval $(call suite_rule,$(s))))

$(BUILD)/stress/%: $(BUILD)/tests/stress/%.o $(HOBJ) $(LIBOBJ)
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $^ $(LIBS) -o $@

$(BUILD)/fault/%.so: tests/fault/%.c Makefile
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) $(CPPFLAGS) $(WARN) -O2 -g -fPIC -shared $< -ldl -o $@

$(BUILD)/fault/%: $(BUILD)/tests/fault/%.o $(LIBOBJ)
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $^ $(LIBS) -o $@

$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.o $(FUZZLIB)
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -fsanitize=fuzzer $^ $(LIBS) -o $@

$(BUILD)/bench/%: $(BUILD)/bench/%.o $(BCOMMON) $(HOBJ) $(LIBOBJ)
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $^ $(LIBS) -o $@

build-tests: $(foreach s,$(SUITES),$(BUILD)/test-$(s)) $(STRESS) $(FAULT) $(BUILD)/pghaul ## build every suite

test: ## everything that CI runs (scripts/test)
	scripts/test

unit: $(BUILD)/test-unit ## unit tests; T=name filters
	scripts/run-suite unit $(BUILD) '$(T)'

integration: $(BUILD)/test-integration $(FAULT) $(BUILD)/pghaul ## tests against a real primary and standby
	scripts/run-suite integration $(BUILD) '$(T)'

cli: $(BUILD)/test-cli $(FAULT) $(BUILD)/pghaul ## tests of the real binary
	scripts/run-suite cli $(BUILD) '$(T)'

stress: ## thread tests under the thread sanitizer
	$(MAKE) --no-print-directory FLAVOR=tsan run-stress

stress-programs: $(STRESS) $(BUILD)/pghaul

run-stress: stress-programs
	scripts/run-stress $(BUILD)

asan: ## unit and cli suites under the address and undefined-behaviour sanitizers
	$(MAKE) --no-print-directory FLAVOR=asan unit cli

sanitized-cli: $(BUILD)/pghaul # tests of the release build drive the binary of this one
	TEST_PROGRAM=build/release/test-cli scripts/run-suite cli $(BUILD) '$(T)'

tsan: stress ## same as stress

soak: $(BUILD)/test-integration $(BUILD)/test-cli $(FAULT) $(BUILD)/pghaul ## the full fault counts; takes long
	scripts/soak $(BUILD)

fuzz: ## libFuzzer over job files and archive files, FUZZ_SECONDS (60) each
	$(MAKE) --no-print-directory FLAVOR=fuzz CC=clang-14 WERROR= run-fuzz

run-fuzz: $(BUILD)/fuzz/fuzz_jobfile $(BUILD)/fuzz/fuzz_archive
	scripts/run-fuzz $(BUILD) $(FUZZ_SECONDS)

lint: format-check $(BUILD)/pghaul ## format, clang-tidy, layers, documents, bans, shellcheck
	BUILD=$(BUILD) scripts/lint

format: ## reformat all C files
	@clang-format-14 -i $(FORMATTED)

format-check:
	@clang-format-14 --dry-run -Werror $(FORMATTED)

FORMATTED = $(wildcard src/*/*.c include/*/*.h tests/*/*.c tests/*/*.h bench/*.c bench/*.h)

bench: $(BENCH) $(BUILD)/pghaul ## measure against the alternatives; ARGS='--quick', see bench/README.md
	scripts/run-bench $(BUILD) $(ARGS)

$(BUILD)/pghaul.1: $(BUILD)/pghaul
	@$< help man >$@

$(BUILD)/pghaul.bash: $(BUILD)/pghaul
	@$< help completion >$@

install: $(BUILD)/pghaul $(BUILD)/pghaul.1 $(BUILD)/pghaul.bash ## install under PREFIX (/usr/local)
	install -D -m 755 $(BUILD)/pghaul $(DESTDIR)$(PREFIX)/bin/pghaul
	install -D -m 644 $(BUILD)/pghaul.1 $(DESTDIR)$(PREFIX)/share/man/man1/pghaul.1
	install -D -m 644 $(BUILD)/pghaul.bash \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions/pghaul

clean: ## remove build/
	rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: all build-tests test unit integration cli sanitized-cli stress stress-programs run-stress \
        asan tsan fuzz run-fuzz soak lint format format-check bench install clean help

-include $(OBJ:.o=.d) $(TESTOBJ:.o=.d) $(HOBJ:.o=.d) $(EXTRAOBJ:.o=.d)
