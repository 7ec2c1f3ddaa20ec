"""Whether an adapter belongs to a base, told from settings and shapes alone."""

from typing import Any

import pytest

from chassis.errors import CandorError, Reason
from services.inference.domain.adapters import check_config, check_fit, rank, shaping, targets

CONFIG: dict[str, Any] = {"peft_type": "LORA", "r": 4, "bias": "none", "target_modules": ["q_proj", "up_proj"]}
BASE = {
    "model.embed_tokens.weight": (100, 32),
    "model.layers.0.self_attn.q_proj.weight": (32, 32),
    "model.layers.1.self_attn.q_proj.weight": (32, 32),
    "model.layers.0.mlp.up_proj.weight": (64, 32),
    "model.norm.weight": (32,),
}


def lora(module: str, out: int, into: int, rank: int = 4) -> dict[str, tuple[int, ...]]:
    prefix = f"base_model.model.{module}"
    return {f"{prefix}.lora_A.weight": (rank, into), f"{prefix}.lora_B.weight": (out, rank)}


def reason(config: dict[str, Any], tensors: dict[str, tuple[int, ...]]) -> tuple[Reason, str]:
    def check() -> None:
        check_config(config)
        check_fit(config, tensors, BASE)

    with pytest.raises(CandorError) as caught:
        check()
    assert caught.value.message.startswith("model.checkpoint.adapter: ")
    return caught.value.reason, caught.value.message


FITTING = lora("model.layers.0.self_attn.q_proj", 32, 32) | lora("model.layers.0.mlp.up_proj", 64, 32)


def test_an_adapter_of_this_base_fits() -> None:
    check_config(CONFIG)
    check_fit(CONFIG, FITTING, BASE)


def test_the_outer_prefix_and_a_transposed_matrix_make_no_difference() -> None:
    check_fit(CONFIG, lora("language_model.model.layers.1.self_attn.q_proj", 32, 32), BASE)
    check_fit({"target_modules": ["c_attn"]}, lora("h.0.c_attn", 96, 32), {"h.0.c_attn.weight": (32, 96)})


@pytest.mark.parametrize(
    ("tensors", "word"),
    [
        (lora("model.layers.0.self_attn.q_proj", 64, 32), "[32, 32]"),
        (FITTING | lora("model.layers.7.self_attn.q_proj", 32, 32), "layers.7"),
        (FITTING | lora("model.layers.0.mlp.w1", 64, 32), "w1"),
    ],
)
def test_what_does_not_fit_is_named(tensors: dict[str, tuple[int, ...]], word: str) -> None:
    found, message = reason(CONFIG, tensors)
    assert found is Reason.ADAPTER_MISMATCH
    assert word in message
    assert "path" in message  # the mend


def test_an_adapter_for_another_architecture_is_a_mismatch() -> None:
    config = CONFIG | {"target_modules": ["c_attn"]}
    found, message = reason(config, lora("transformer.h.0.attn.c_attn", 96, 32))
    assert found is Reason.ADAPTER_MISMATCH
    assert "c_attn" in message


def test_misnamed_tensors_of_which_nothing_applies_are_left_to_the_canary() -> None:
    check_fit(CONFIG, lora("model.layers.0.self_attn.q_projection", 32, 32), BASE)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"peft_type": "IA3"}, "IA3"),
        ({"peft_type": None}, "peft_type"),
        ({"bias": "all"}, "bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"megatron_config": {"a": 1}}, "megatron_config"),
        ({"init_lora_weights": "pissa_niter_4"}, "pissa"),
        ({"r": 0}, "r is not"),
        ({"target_modules": []}, "target_modules"),
    ],
)
def test_settings_that_change_the_base_or_are_no_lora_are_refused(change: dict[str, Any], word: str) -> None:
    found, message = reason(CONFIG | change, FITTING)
    assert found is Reason.BAD_CHECKPOINT
    assert word in message


@pytest.mark.parametrize(
    ("tensors", "word"),
    [
        (FITTING | {"base_model.model.lm_head.weight": (100, 32)}, "lm_head"),
        (dict([next(iter(FITTING.items()))]), "do not belong together"),
        ({}, "no weights"),
    ],
)
def test_tensors_that_are_no_lora_pairs_are_refused(tensors: dict[str, tuple[int, ...]], word: str) -> None:
    found, message = reason(CONFIG, tensors)
    assert found is Reason.BAD_CHECKPOINT
    assert word in message


def test_only_what_shapes_replies_is_in_the_identity() -> None:
    same = CONFIG | {"target_modules": ["up_proj", "q_proj"], "peft_version": "9", "base_model_name_or_path": "x"}
    assert shaping(same) == shaping(CONFIG)
    assert shaping(CONFIG | {"lora_alpha": 8}) != shaping(CONFIG)
    assert shaping(CONFIG | {"use_rslora": True}) != shaping(CONFIG)


def test_the_largest_rank_counts() -> None:
    assert rank(CONFIG) == 4
    assert rank(CONFIG | {"rank_pattern": {"q_proj": 16}}) == 16


def test_what_an_adapter_changes_is_named_by_its_settings_or_where_they_are_a_pattern_by_its_tensors() -> None:
    tensors = {f"layers.0.mlp.router.lora_{part}.weight": shape for part, shape in (("A", (4, 8)), ("B", (8, 4)))}
    assert targets({"target_modules": ["q_proj", "mlp.up_proj"]}, tensors) == {"q_proj", "up_proj"}
    assert targets({"target_modules": r".*\.(router|q_proj)"}, tensors) == {"router"}
