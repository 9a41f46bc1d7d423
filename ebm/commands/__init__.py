"""The subcommands of `ebm`, one file each: what they read, and how they say what they found."""
