"""One training step of ITHN around the generator, from its equations."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from generator import WIDTH, Generator

TEMPERATURE = math.log(1 / 0.07)
LAMBDA = math.exp(-0.01)


class Ithn(nn.Module):
    def __init__(self, vocabulary, tuned):
        super().__init__()
        self.generator = Generator(vocabulary, tuned)
        self.image_head = nn.Linear(2048, WIDTH, bias=False)
        self.text_head = nn.Linear(WIDTH, WIDTH, bias=False)
        self.pairs = nn.Parameter(torch.tensor(TEMPERATURE))
        self.hardened = nn.Parameter(torch.tensor(TEMPERATURE))
        self.tuned = tuned

    def align(self, images, tokens, with_logits):
        encoded, pooled, bank = self.generator.encode(images)
        hidden = self.generator.hidden_states(encoded, bank, tokens[:, :-1])
        log_probs = self.generator.log_probs(hidden) if with_logits else None
        z = F.normalize(self.image_head(pooled), dim=-1)
        u = F.normalize(self.text_head(hidden.mean(1)), dim=-1)
        return z, u, log_probs

    def loss(self, images, tokens, negative_images, negative_tokens):
        z, u, log_probs = self.align(images, tokens, True)
        # The release also takes the negatives' log-probabilities, and drops them.
        z_neg, u_neg, _ = self.align(negative_images, negative_tokens, not self.tuned)
        targets = tokens[:, 1:]
        mask = torch.cat([torch.ones_like(targets[:, :1]), (targets > 0)[:, :-1]], 1).float()
        picked = log_probs.gather(2, targets.unsqueeze(2)).squeeze(2)
        language = -(picked * mask).sum() / mask.sum()

        d, v = u - u_neg, z - u_neg
        weights = v @ d.T / d.norm(dim=-1)
        hard = LAMBDA * u_neg + (1 - LAMBDA) * (u_neg + weights @ d)
        scores = self.pairs.exp() * (z @ u.T + z_neg @ u_neg.T)
        scores = (scores - torch.diag(self.hardened.exp() * (z * hard).sum(-1))) / 3
        diagonal = torch.arange(z.size(0))
        contrastive = (F.cross_entropy(scores, diagonal) + F.cross_entropy(scores.T, diagonal)) / 2
        separation = F.cosine_similarity(z, z_neg).abs().mean()
        return 0.7 * language + 0.1 * contrastive + 0.2 * separation


def optimizer(model, tuned):
    """Adam with AMSGrad and L2; the release takes PyTorch's default loop, tuned the fused step."""
    visual = list(model.generator.backbone.parameters())
    seen = {id(weight) for weight in visual}
    rest = [weight for weight in model.parameters() if id(weight) not in seen]
    groups = [{"params": visual, "lr": 1e-4}, {"params": rest, "lr": 5e-4}]
    return torch.optim.Adam(groups, betas=(0.9, 0.98), eps=1e-9, weight_decay=5e-5, amsgrad=True,
                            fused=True if tuned else None)
