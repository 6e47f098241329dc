"""Lambda's control plane: functions, versions, aliases, layers, policies, and the Invoke operation."""
