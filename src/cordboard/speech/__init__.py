"""Text to speech, speech to text and voice activity."""
