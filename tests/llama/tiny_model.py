"""A Llama of 37,000 random weights and 259 tokens, one for each byte: what it says is noise."""

from pathlib import Path
from typing import Final

import gguf
import numpy as np

CONTEXT: Final = 512
"""Tokens that a prompt and its answer may have together."""
WIDTH: Final = 32
_HEADS, _LAYERS, _INNER = 2, 2, 64
_BYTES: Final = 256


def write_tiny_model(path: Path, seed: int = 7) -> Path:
    """Write it in llama.cpp's format, 157 kB; the same seed makes the same model."""
    chance = np.random.default_rng(seed)
    kinds = gguf.TokenType
    names = [b"<unk>", b"<s>", b"</s>", *(f"<0x{byte:02X}>".encode() for byte in range(_BYTES))]
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_INNER)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // _HEADS)
    writer.add_vocab_size(len(names))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(names)
    writer.add_token_scores([0.0] * len(names))
    writer.add_token_types([kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, *[kinds.BYTE] * _BYTES])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)

    def random(name: str, *shape: int) -> None:
        weights = chance.standard_normal(shape) / np.sqrt(shape[-1])
        writer.add_tensor(f"{name}.weight", weights.astype(np.float32))

    def ones(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))

    random("token_embd", len(names), WIDTH)
    random("output", len(names), WIDTH)
    ones("output_norm")
    for layer in range(_LAYERS):
        block = f"blk.{layer}."
        ones(f"{block}attn_norm")
        ones(f"{block}ffn_norm")
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            random(block + name, WIDTH, WIDTH)
        random(f"{block}ffn_gate", _INNER, WIDTH)
        random(f"{block}ffn_up", _INNER, WIDTH)
        random(f"{block}ffn_down", WIDTH, _INNER)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
