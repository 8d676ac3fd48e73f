"""The board of jacks: RTP in, RTP out, and who hears whom."""
