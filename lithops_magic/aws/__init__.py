"""Everything about AWS: sessions, deployment, invocation, roles, layers, prices. Uses boto3 and awscrt; no notebook."""
