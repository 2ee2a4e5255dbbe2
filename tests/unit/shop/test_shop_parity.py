"""Our GLM against transformers' GlmForCausalLM, with the same random weights."""

import pytest

torch = pytest.importorskip("torch", reason="the `optimize` extra (torch) is not installed")
transformers = pytest.importorskip("transformers", reason="the `optimize` extra (transformers) is not installed")

from autoglm_shop.glm import Glm, tree_mask  # noqa: E402 - needs torch
from support.slot_models import TINY, VOCABULARY, reference_scores, tiny_weights  # noqa: E402

pytestmark = pytest.mark.optimize


def test_the_training_model_is_a_huggingface_glm() -> None:
    weights = {name: torch.tensor(value) for name, value in tiny_weights(2).items()}
    ours = Glm(TINY)
    ours.load_state_dict(weights)
    theirs = transformers.GlmForCausalLM(transformers.GlmConfig(**TINY.config(64, [0], 0))).eval()
    missing = theirs.load_state_dict(weights, strict=False).missing_keys
    assert missing in ([], ["lm_head.weight"])
    ids = torch.randint(0, VOCABULARY, (2, 40), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = theirs(ids).logits
        positions = torch.arange(40).expand(2, -1)
        got = ours.logits(ours.hidden(ids, positions, tree_mask(torch.zeros_like(ids))))
    assert (got - expected).abs().max() < 1e-4


def test_the_numpy_reference_is_a_huggingface_glm() -> None:
    weights = tiny_weights(2)
    theirs = transformers.GlmForCausalLM(transformers.GlmConfig(**TINY.config(64, [0], 0))).eval()
    theirs.load_state_dict({name: torch.tensor(value) for name, value in weights.items()}, strict=False)
    ids = list(range(VOCABULARY))
    with torch.no_grad():
        expected = theirs(torch.tensor([ids])).logits[0, -1].numpy()
    assert reference_scores(weights, ids) == pytest.approx(expected, abs=1e-4)
