"""R2GenCMN from its equations, in the two ways that are compared.

`released` does what the released code does: memory keys and values projected per sample and per
call, values gathered from a [B, H, L, M, d] expansion, the whole prefix decoded again at every step.
`tuned` is what a careful PyTorch user would write: keys and values of the memory once, gathered row
by row, and caches in decoding.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import resnet101

WIDTH, HEADS, LAYERS, ROWS, KEPT = 512, 8, 3, 2048, 32
D_HEAD = WIDTH // HEADS
ATTENTION_DROPOUT = 0.1


def split_heads(x):
    """[B, L, D] -> [B, H, L, D/H]."""
    return x.unflatten(-1, (HEADS, D_HEAD)).transpose(1, 2)


def join_heads(x):
    """[B, H, L, D/H] -> [B, L, D]."""
    return x.transpose(1, 2).flatten(2)


class DeviationNorm(nn.Module):
    """a (x - mean) / (std + 1e-6) + b with the unbiased deviation."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(WIDTH))
        self.shift = nn.Parameter(torch.zeros(WIDTH))

    def forward(self, x):
        mean, std = x.mean(-1, keepdim=True), x.std(-1, keepdim=True)
        return self.scale * (x - mean) / (std + 1e-6) + self.shift


class Projections(nn.Module):
    """Query, key, value and output of an attention."""

    def __init__(self):
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.dropout = nn.Dropout(ATTENTION_DROPOUT)


class Attention(Projections):
    def keys_values(self, x):
        return split_heads(self.key(x)), split_heads(self.value(x))

    def forward(self, queries, keys_values, hidden=None):
        keys, values = keys_values
        scores = split_heads(self.query(queries)) @ keys.transpose(-1, -2) / math.sqrt(D_HEAD)
        if hidden is not None:
            scores = scores.masked_fill(hidden, -1e9)
        weights = self.dropout(F.softmax(scores, -1))
        return self.output(join_heads(weights @ values))


class Memory(Projections):
    """Attention to the KEPT best of ROWS learned rows, head by head."""

    def __init__(self, tuned):
        super().__init__()
        self.tuned = tuned
        self.matrix = nn.Parameter(torch.randn(ROWS, WIDTH) / WIDTH)

    def bank(self):
        """Keys and values of all rows, [1, H, M, d]; the release has none to keep."""
        if not self.tuned:
            return None
        rows = self.matrix.unsqueeze(0)
        return split_heads(self.key(rows)), split_heads(self.value(rows))

    def forward(self, x, bank):
        return self.shared(x, bank) if self.tuned else self.per_sample(x)

    def per_sample(self, x):
        rows = self.matrix.unsqueeze(0).expand(x.size(0), -1, -1)
        queries, keys, values = map(split_heads, (self.query(x), self.key(rows), self.value(rows)))
        scores, kept = (queries @ keys.transpose(-1, -2) / math.sqrt(D_HEAD)).topk(KEPT)
        length = x.size(1)
        every = values.unsqueeze(2).expand(-1, -1, length, -1, -1)  # [B, H, L, M, d]
        chosen = every.gather(3, kept.unsqueeze(-1).expand(-1, -1, -1, -1, D_HEAD))
        weights = self.dropout(F.softmax(scores, -1))
        return self.output(join_heads((weights.unsqueeze(3) @ chosen).squeeze(3)))

    def shared(self, x, bank):
        keys, values = bank
        queries = self.query(x).reshape(-1, HEADS, D_HEAD).transpose(0, 1)  # [H, B·L, d]
        scores, kept = (queries @ keys[0].transpose(-1, -2) / math.sqrt(D_HEAD)).topk(KEPT)
        weights = self.dropout(F.softmax(scores, -1))
        offsets = torch.arange(HEADS).view(-1, 1, 1) * ROWS
        chosen = F.embedding(kept + offsets, values[0].flatten(0, 1))  # [H, B·L, K, d]
        response = (weights.unsqueeze(2) @ chosen).squeeze(2)
        return self.output(response.transpose(0, 1).reshape(x.shape))


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x):
        return self.outer(self.dropout(F.relu(self.inner(x))))


class EncoderLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.feed_forward = Attention(), FeedForward()
        self.norms = nn.ModuleList(DeviationNorm() for _ in range(2))
        self.dropout = nn.Dropout(0.1)

    def forward(self, x):
        normed = self.norms[0](x)
        x = x + self.dropout(self.attention(normed, self.attention.keys_values(normed)))
        return x + self.dropout(self.feed_forward(self.norms[1](x)))


class DecoderLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.own, self.cross, self.feed_forward = Attention(), Attention(), FeedForward()
        self.norms = nn.ModuleList(DeviationNorm() for _ in range(3))
        self.dropout = nn.Dropout(0.1)

    def forward(self, x, words, patches, hidden):
        """`words` are the keys and values of earlier positions; returns them with the new ones."""
        normed = self.norms[0](x)
        newest = self.own.keys_values(normed)
        if words is not None:
            newest = tuple(torch.cat(pair, 2) for pair in zip(words, newest))
        x = x + self.dropout(self.own(normed, newest, hidden))
        x = x + self.dropout(self.cross(self.norms[1](x), patches))
        return x + self.dropout(self.feed_forward(self.norms[2](x))), newest


def sinusoids(length):
    position = torch.arange(length).unsqueeze(1)
    frequency = torch.exp(torch.arange(0, WIDTH, 2) * (-math.log(10000.0) / WIDTH))
    table = torch.zeros(length, WIDTH)
    table[:, 0::2], table[:, 1::2] = torch.sin(position * frequency), torch.cos(position * frequency)
    return table


def released_backbone():
    """ResNet-101 without pooling and head; batch norm as torchvision initialises it."""
    return nn.Sequential(*list(resnet101(weights=None).children())[:-2])


class Generator(nn.Module):
    """Image to report: backbone, memory, Transformer."""

    def __init__(self, vocabulary, tuned):
        super().__init__()
        self.tuned = tuned
        self.backbone = released_backbone()
        self.visual = nn.Sequential(nn.Linear(2048, WIDTH), nn.ReLU(), nn.Dropout(0.5))
        self.memory = Memory(tuned)
        self.encoder = nn.ModuleList(EncoderLayer() for _ in range(LAYERS))
        self.decoder = nn.ModuleList(DecoderLayer() for _ in range(LAYERS))
        self.norms = nn.ModuleList(DeviationNorm() for _ in range(2))
        self.embedding = nn.Embedding(vocabulary, WIDTH)
        self.logits = nn.Linear(WIDTH, vocabulary)
        self.dropout = nn.Dropout(0.1)
        self.register_buffer("positions", sinusoids(512), persistent=False)

    def encode(self, images):
        """-> (encoder output [B, N, D], pooled [B, C], bank)."""
        patches = self.backbone(images).flatten(2).transpose(1, 2)
        pooled = patches.mean(1)
        bank = self.memory.bank()
        x = self.visual(patches)
        x = x + self.memory(x, bank)
        x = self.dropout(x + self.positions[: x.size(1)])
        for layer in self.encoder:
            x = layer(x)
        return self.norms[0](x), pooled, bank

    def embed(self, tokens, first, bank):
        y = self.embedding(tokens) * math.sqrt(WIDTH)
        y = self.dropout(y + self.positions[first : first + tokens.size(1)])
        return y + self.memory(y, bank)

    def hidden_states(self, encoded, bank, tokens):
        """Teacher forcing: [B, T] -> [B, T, D]."""
        length = tokens.size(1)
        padding = (tokens == 0) & (torch.arange(length) > 0)
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        hidden = (padding.unsqueeze(1) | future).unsqueeze(1)
        x = self.embed(tokens, 0, bank)
        for layer in self.decoder:
            x, _ = layer(x, None, layer.cross.keys_values(encoded), hidden)
        return self.norms[1](x)

    def log_probs(self, hidden):
        return F.log_softmax(self.logits(hidden), -1)


class Prefixes:
    """The release's decoding state: the words so far, decoded anew at every step."""

    def __init__(self, model, encoded, _bank, beam):
        self.model = model
        self.encoded = encoded.repeat_interleave(beam, 0)
        self.tokens = torch.zeros(self.encoded.size(0), 0, dtype=torch.long)

    def step(self, tokens):
        self.tokens = torch.cat([self.tokens, tokens.unsqueeze(1)], 1)
        length = self.tokens.size(1)
        hidden = torch.ones(length, length, dtype=torch.bool).triu(1)
        x = self.model.embed(self.tokens, 0, None)
        for layer in self.model.decoder:
            x, _ = layer(x, None, layer.cross.keys_values(self.encoded), hidden)
        return self.model.log_probs(self.model.norms[1](x)[:, -1])

    def reorder(self, rows):
        self.tokens = self.tokens[rows]


class Caches:
    """Keys and values of earlier positions, of the patches and of the memory."""

    def __init__(self, model, encoded, bank, beam):
        self.model, self.bank, self.length = model, bank, 0
        keys_values = (layer.cross.keys_values(encoded) for layer in model.decoder)
        self.patches = [tuple(x.repeat_interleave(beam, 0) for x in pair) for pair in keys_values]
        self.words = [None] * LAYERS

    def step(self, tokens):
        x = self.model.embed(tokens.unsqueeze(1), self.length, self.bank)
        for index, layer in enumerate(self.model.decoder):
            x, self.words[index] = layer(x, self.words[index], self.patches[index], None)
        self.length += 1
        return self.model.log_probs(self.model.norms[1](x)[:, 0])

    def reorder(self, rows):
        # Beams never leave their study, so the patches stay where they are.
        self.words = [tuple(x[rows] for x in pair) for pair in self.words]


@torch.no_grad()
def beam_search(model, images, beam, steps):
    """Best report by the sum of log-probabilities; none ends early. [B, 3, H, W] -> [B, steps]."""
    encoded, _, bank = model.encode(images)
    studies = images.size(0)
    state = (Caches if model.tuned else Prefixes)(model, encoded, bank, beam)
    sums = torch.full((studies, beam), float("-inf"))
    sums[:, 0] = 0.0
    tokens = torch.zeros(studies * beam, dtype=torch.long)
    written = torch.zeros(studies, beam, 0, dtype=torch.long)
    first = torch.arange(studies).unsqueeze(1) * beam
    for _ in range(steps):
        log_probs = state.step(tokens).view(studies, beam, -1)
        candidates = (sums.unsqueeze(2) + log_probs).flatten(1)
        sums, best = candidates.topk(beam, 1)
        parent, word = best // log_probs.size(2), best % log_probs.size(2)
        state.reorder((first + parent).flatten())
        written = torch.cat([written.gather(1, parent.unsqueeze(2).expand_as(written)),
                             word.unsqueeze(2)], 2)
        tokens = word.flatten()
    return written[:, 0]
