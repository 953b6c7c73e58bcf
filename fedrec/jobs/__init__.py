"""Work that takes many processes: sweeps, comparisons of methods and claims, all driven by one loop."""
