"""What happened: calls, attempts, events and SIP traces, stored."""
