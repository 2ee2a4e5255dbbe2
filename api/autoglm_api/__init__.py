"""The contract between the processes: names, the resource's models, conditions, the CRD writer."""
