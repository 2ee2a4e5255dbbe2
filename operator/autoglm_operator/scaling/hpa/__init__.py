"""The HorizontalPodAutoscaler of Kubernetes as a pure function: every metric kind, and one whole reconcile.

Our own pools use only a part of it (`signals`, `behavior`); the rest is the yardstick that simulations and tests
compare with. Facts: kubernetes v1.36 pkg/controller/podautoscaler.
"""
