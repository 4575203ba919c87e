"""The network: what is left out of its last layer is what nobody reads."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pamela.models.transformer.network import PreferenceTransformer, Shape, Size, first_token

SIZE = Size(5, 3, 7, (2, 4), (1, 3))


def encoder_of(layers: int, heads: int) -> nn.TransformerEncoder:
    torch.manual_seed(layers + heads)
    network = PreferenceTransformer(SIZE, Shape(8, layers, heads, 0.0))
    for weight in network.encoder.parameters():  # a new layer's biases are all zero
        nn.init.normal_(weight, std=0.5)
    return network.encoder.double().train()


@pytest.mark.parametrize(("layers", "heads"), [(1, 1), (1, 2), (2, 4)])
def test_the_first_token_and_its_gradients_are_those_of_the_whole_layer(layers, heads) -> None:
    encoder = encoder_of(layers, heads)
    tokens = torch.randn(6, 4, 8, dtype=torch.float64, requires_grad=True)
    found = []
    for first in (lambda layer, x: layer(x)[:, 0], first_token):
        *before, last = encoder.layers
        x = tokens
        for layer in before:
            x = layer(x)
        out = first(last, x)
        gradients = torch.autograd.grad(out.square().sum(), [tokens, *last.parameters()])
        found.append([out, *gradients])
    for whole, short in zip(*found, strict=True):
        torch.testing.assert_close(short, whole)


def test_a_rating_is_read_from_the_whole_encoder() -> None:
    network = PreferenceTransformer(SIZE, Shape(8, 2, 2, 0.3)).eval()
    nn.init.normal_(network.readout)
    nn.init.normal_(network.head.weight)
    read: list[torch.Tensor] = []
    network.head.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    tokens: list[torch.Tensor] = []
    network.encoder.layers[0].register_forward_pre_hook(lambda _, given: tokens.append(given[0]))
    n = 5
    codes = torch.ones(n, 2, dtype=torch.int64)
    with torch.no_grad():
        network(torch.randn(n, 5), torch.randn(n, 3), codes, torch.arange(n), codes)
        torch.testing.assert_close(read[0], network.encoder(tokens[0])[:, 0], rtol=1e-5, atol=1e-6)
