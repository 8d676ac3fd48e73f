"""The asyncio shell around the signalling core: sockets, DNS, timers."""
