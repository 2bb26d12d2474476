"""Provider worker pools, the provider adapters and the simulator that stands in for them."""
