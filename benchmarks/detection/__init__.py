"""The detector's corpus, its measurement, and the rules it is measured beside."""
