"""The transfer: its plan, its machine, its driver and its outcome."""
