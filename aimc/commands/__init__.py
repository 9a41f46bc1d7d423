"""The subcommands of `aimc`, one a file: what can be said (a dataclass) and what is then done (`run`)."""
