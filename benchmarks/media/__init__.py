"""What the media engine costs, beside a bare forwarder, asyncio and rtpengine: ``python -m benchmarks.media``."""
