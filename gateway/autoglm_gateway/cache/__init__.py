"""The answer cache: exact, per tenant, per pool revision. What it promises is in docs/how-to/cache-answers.md."""
