"""The training loop of the mini VQGAN: first a plain autoencoder, then its codebook, then a critic for crispness.

Letters in shapes: n pictures of h w pixels, y x latent cells, d latent channels, k codes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors.torch import load_file
from torch import Tensor, nn

from training import work
from training.codes.codebook import Codebook, Critic
from training.images.dataset import Dataset
from training.scenes.compose import Composer
from training.towers.lite import Likeness, pretrained_tower
from vqclip.models.vqgan import VQGAN, Architecture

MINI = Architecture(
    ch=32,
    ch_mult=(1, 2, 2, 4),
    num_res_blocks=1,
    attn_resolutions=(),
    z_channels=64,
    embed_dim=64,
    n_embed=1024,
    norm_groups=8,
)
TINY = Architecture(
    ch=8,
    ch_mult=(1, 2),
    num_res_blocks=1,
    attn_resolutions=(),
    z_channels=8,
    embed_dim=8,
    n_embed=16,
    norm_groups=4,
)


@dataclass(frozen=True)
class Recipe:
    """What decides the result beside the data."""

    architecture: Architecture = MINI
    minutes: float = 60.0
    rate: float = 1e-3
    critic_rate: float = 4e-4
    likeness: float = 0.25  # the plain sum of five stages is ten times the L1 distance
    adversarial: float = (
        0.06  # of the other gradients' strength at the picture; 0.35 lost all colours at once
    )
    noise: float = 0.1  # on z while there is no codebook
    commitment: float = 0.25
    codes_from: float = 0.30  # shares of the time, as are the next two
    critic_from: float = 0.62
    critic_heard: tuple[float, float] = (0.70, 0.85)
    crops: tuple[tuple[int, int, float], ...] = (
        (16, 64, 0.75),
        (4, 128, 0.25),
    )  # how many, how wide, how often

    def going_on(self) -> Recipe:
        """The same for weights that already have a codebook: gentler, with a new critic that is soon heard."""
        return replace(
            self, rate=0.4 * self.rate, codes_from=0.0, critic_from=0.05, critic_heard=(0.15, 0.35)
        )


class Trainer:
    """Everything that a step needs, and that a snapshot keeps."""

    def __init__(
        self,
        recipe: Recipe,
        data: Dataset,
        folder: Path,
        weights: Path | None = None,
        stand_in: bool = False,
    ):
        torch.manual_seed(0)
        self.recipe, self.folder, self.data = recipe, folder, data
        self.model, self.critic = VQGAN(recipe.architecture), Critic()
        if weights:
            self.model.load_state_dict(load_file(weights))
        self.model.codebook.requires_grad_(False)
        self.likeness = Likeness(pretrained_tower(stand_in=stand_in))
        self.codebook = Codebook(self.model, ready=weights is not None)
        self.average = work.Average(self.model)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, recipe.rate, betas=(0.8, 0.98), weight_decay=1e-4)
        self.critic_optimizer = torch.optim.AdamW(
            self.critic.parameters(), recipe.critic_rate, betas=(0.5, 0.95)
        )
        self.step, spent = self._resume()
        self.clock = work.Clock(recipe.minutes, spent)
        train = data.rows("train")
        self.composer = Composer(data, train, data.wallpaper_rows("train"), seed=1000 + self.step)

    def run(self, save_seconds: float = 120.0) -> None:
        """Train until the time is over."""
        save, tell = work.Every(save_seconds), work.Every(30)
        threads = work.Threads()
        while self.clock.progress < 1:
            threads.adapt()
            losses = self.one_step()
            if tell.due():
                work.log(self.folder / "log.jsonl", step=self.step, minutes=self.clock.spent / 60, **losses)
            if save.due():
                self.save()
        self.save()

    def one_step(self) -> dict[str, float]:
        """One batch; returns the losses by name."""
        progress = self.clock.progress
        work.set_rate(self.optimizer, self.recipe.rate * work.falling(progress, self.step))
        if progress >= self.recipe.codes_from and not self.codebook.ready:
            self._begin_codes()
        images = self._batch()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            h = self.model.encode(images).float()
            z, commitment, used = self._through_codes(h)
            made = self.model.decode(z).float()
        losses = self._backward(images, made, commitment, with_critic=progress >= self.recipe.critic_from)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.average.update(self.model)
        self.step += 1
        return losses | {"used": used, "deviation": float(h.detach().std())}

    def save(self) -> None:
        state = {name: getattr(self, name).state_dict() for name in self._kept}
        work.save_snapshot(
            state | {"step": self.step, "spent": self.clock.spent}, self.folder / "snapshot.pt"
        )

    _kept = ("model", "critic", "codebook", "average", "optimizer", "critic_optimizer")

    def _resume(self) -> tuple[int, float]:
        state = work.load_snapshot(self.folder / "snapshot.pt")
        if state is None:
            return 0, 0.0
        for name in self._kept:
            getattr(self, name).load_state_dict(state[name])
        return state["step"], state["spent"]

    def _batch(self) -> Tensor:
        weights = [often for _, _, often in self.recipe.crops]
        count, side, _ = self.recipe.crops[self.composer.random.choice(len(weights), p=weights)]
        # a 64 px crop shows a part of a picture of 128 to 256 px: objects larger than the crop
        return self.composer.batch(count, side, smallest=0.45, largest=2.4 * 64 / side)

    def _through_codes(self, h: Tensor) -> tuple[Tensor, Tensor, float]:
        """h → what the decoder gets, the commitment loss, the share of codes used."""
        if not self.codebook.ready:
            noisy = h + torch.randn_like(h) * self.recipe.noise * h.detach().std()
            return noisy, 1e-3 * h.square().mean(), 0.0
        codes = self.model.codes(h.detach())
        self.codebook.update(h.detach(), codes, restart=self.step % 50 == 0)
        q = self.model.lookup(codes)
        used = float((self.codebook.counts > 0.1).float().mean())
        return h + (q - h).detach(), self.recipe.commitment * F.mse_loss(h, q.detach()), used

    def _backward(
        self, images: Tensor, made: Tensor, commitment: Tensor, with_critic: bool
    ) -> dict[str, float]:
        """Each loss's gradient is taken at the picture, where strengths compare; then once through the model."""
        leaf = made.detach().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            likeness = self.likeness(leaf, images)
        distance = F.l1_loss(leaf, images)
        # normalised features hardly see hues: without this term green came back as orange for the first 1200 steps
        broad = F.avg_pool2d(leaf - images, 4)
        colour = broad.abs().mean() + 4 * broad.square().mean()
        (gradient,) = torch.autograd.grad(distance + colour + self.recipe.likeness * likeness, leaf)
        losses = {
            "l1": float(distance.detach()),
            "likeness": float(likeness.detach()),
            "colour": float(colour.detach()),
        }
        if with_critic:
            push, losses["critic"] = self._critic_step(images, made.detach())
            # An untrained critic pushes all pictures one way, and the autoencoder collapses after it (seen at a
            # strength of 0.35 from its first step on): it learns in silence, then is heard gradually.
            begin, full = self.recipe.critic_heard
            heard = min(1.0, max(0.0, (self.clock.progress - begin) / (full - begin)))
            strength = heard * self.recipe.adversarial * gradient.norm() / push.norm().clamp_min(1e-12)
            gradient = gradient + strength * push
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward([made, commitment], [gradient, torch.ones(())])
        return losses

    def _critic_step(self, images: Tensor, made: Tensor) -> tuple[Tensor, float]:
        """Improve the critic (hinge loss); its wish for the made pictures is the returned gradient."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            real, fake = self.critic(torch.cat([images, made])).float().chunk(2)
        loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        self.critic_optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.critic_optimizer.step()
        leaf = made.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            wish = -self.critic(leaf).float().mean()
        (push,) = torch.autograd.grad(wish, leaf)
        return push, float(loss.detach())

    @torch.no_grad()
    def _begin_codes(self) -> None:
        wanted = 24 * len(self.codebook.counts)
        cells: list[Tensor] = []
        while sum(len(part) for part in cells) < wanted:
            cells.append(rearrange(self.model.encode(self._batch()), "n d y x -> (n y x) d"))
        self.codebook.begin(torch.cat(cells))
        self.average.module.codebook.copy_(self.model.codebook)
