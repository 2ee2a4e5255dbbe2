"""Pure reconciliation: the world as observed in, objects and actions and status out."""
