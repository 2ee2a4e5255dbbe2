"""How the tokens of a reply are chosen; what clients say and the engine does. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sampling:
    """Temperature 0 takes the likeliest token; otherwise draws depend on `seed` and on nothing else that is running.

    A draw is among the `top_k` likeliest tokens (0: all), the fewest that have `top_p` of the probability together
    and those with at least `min_p` times the probability of the likeliest. Penalties lower the scores of tokens that
    the reply has already, once (presence) and for each time (frequency); negative ones raise them.
    """

    temperature: float = 0.0
    seed: int = 0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0

    @property
    def penalises(self) -> bool:
        """Whether scores depend on the reply so far."""
        return bool(self.presence_penalty or self.frequency_penalty)


GREEDY = Sampling()
