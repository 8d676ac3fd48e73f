"""Who answered: a person, a machine, or nobody."""
