"""The hot path: Invoke requests on awscrt's event loop."""
