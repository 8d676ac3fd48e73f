"""The signalling core: messages, transactions, dialogs and usages, without I/O or a clock."""
