"""Settings of every test run."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# `make test` must say the same about the same code each time: examples come from the test itself. `make test-long`
# draws new ones.
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("searching", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("CORDBOARD_TEST_PROFILE", "repeatable"))
