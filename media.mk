# The media engine as a plain program: under the sanitizers, as fuzz targets, and its benchmarks.
# `make asan`, `make tsan`, `make fuzz` (FUZZ_SECONDS for each target), `make bench-media`.
ENGINE := src/cordboard/media/engine
ENGINE_TESTS := tests/media_native/c
ENGINE_BUILD := build/media
ENGINE_SOURCES := $(wildcard $(ENGINE)/*.c)
ENGINE_HEADERS := $(wildcard $(ENGINE)/*.h) $(wildcard $(ENGINE_TESTS)/*.h)
ENGINE_FLAGS := -std=c11 -D_GNU_SOURCE -g -O1 -fno-omit-frame-pointer -Wall -Wextra -Wno-unused-parameter -I$(ENGINE) -I$(ENGINE_TESTS)
ENGINE_LIBRARIES := -lm -ldl -lpthread
FUZZ_TARGETS := rtp rtcp srtp dtmf jitter
FUZZ_SECONDS ?= 10
CLANG ?= clang

.PHONY: asan tsan fuzz fuzz-build bench-media

asan: $(ENGINE_BUILD)/unit-asan $(ENGINE_BUILD)/switching-asan
	$(ENGINE_BUILD)/unit-asan
	$(ENGINE_BUILD)/switching-asan

tsan: $(ENGINE_BUILD)/switching-tsan
	$(ENGINE_BUILD)/switching-tsan

$(ENGINE_BUILD)/%-asan: $(ENGINE_TESTS)/%.c $(ENGINE_SOURCES) $(ENGINE_HEADERS)
	@mkdir -p $(ENGINE_BUILD)
	gcc $(ENGINE_FLAGS) -fsanitize=address,undefined -fno-sanitize-recover=all -o $@ $< $(ENGINE_SOURCES) $(ENGINE_LIBRARIES)

$(ENGINE_BUILD)/%-tsan: $(ENGINE_TESTS)/%.c $(ENGINE_SOURCES) $(ENGINE_HEADERS)
	@mkdir -p $(ENGINE_BUILD)
	gcc $(ENGINE_FLAGS) -fsanitize=thread -o $@ $< $(ENGINE_SOURCES) $(ENGINE_LIBRARIES)

$(ENGINE_BUILD)/fuzz-%: $(ENGINE_TESTS)/fuzz_%.c $(ENGINE_SOURCES) $(ENGINE_HEADERS)
	@mkdir -p $(ENGINE_BUILD)
	$(CLANG) $(ENGINE_FLAGS) -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -o $@ $< $(wildcard $(ENGINE)/$*.c) $(ENGINE_LIBRARIES)

fuzz-build: $(FUZZ_TARGETS:%=$(ENGINE_BUILD)/fuzz-%)

fuzz: fuzz-build
	@for target in $(FUZZ_TARGETS); do \
	  mkdir -p $(ENGINE_BUILD)/corpus-$$target; \
	  $(ENGINE_BUILD)/fuzz-$$target -max_total_time=$(FUZZ_SECONDS) -max_len=2048 -print_final_stats=0 -verbosity=0 \
	    -artifact_prefix=$(ENGINE_BUILD)/ $(ENGINE_BUILD)/corpus-$$target || exit 1; \
	done

bench-media: $(VENV)/.development
	@mkdir -p var
	$(BIN)/python -m benchmarks.media
