"""The one HTTP client for everything that leaves on a user's word."""
