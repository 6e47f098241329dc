"""What is asked of AWS: sessions, deploying, invoking, roles, layers, prices. boto3 and awscrt; no notebook needed."""
