"""What the media engine costs, beside the bare forwarder, an asyncio relay and rtpengine: ``python -m benchmarks.media``."""
