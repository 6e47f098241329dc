"""The `lithops-magic` command: one module per group of subcommands."""
