"""Augmentation of a batch on its device: geometry through kornia, radiometry by plain arithmetic.

Absent bands stay absent: reflectance is NaN there before and after.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from geomask.training.chips import IGNORE
from geomask.training.clouds import OPTICS
from geomask.training.tables import COLOURS, AugmentTable, BandSet

HAZE_SPECTRUM = {"coastal": 1.15, "blue": 1.0, "green": 0.8, "red": 0.65, "nir": 0.45}
"""Path reflectance of haze relative to blue, about (wavelength / 490 nm)^-1.4, between molecules
(-4) and coarse dust (0); bands that are not listed get `HAZE_ELSEWHERE`."""

HAZE_ELSEWHERE = 0.15

VISIBLE = ("blue", "green", "red")

DARK = 0.01
"""Share of pixels darker than what is taken for black: path reflectance is no more than theirs."""


class Augment:
    """Varies a batch: (image, labels) larger than a patch in, (image, labels) of a patch out.

    image: float32 (N, bands, H, W), reflectance, NaN where absent. labels: int64 (N, H, W), 255
    ignored. The same generator state gives the same result on the same device.
    """

    def __init__(
        self,
        table: AugmentTable,
        bands: Sequence[str],
        band_sets: Sequence[BandSet],
        patch: int,
        clip: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        """clip: reflectance that colours are told apart between, (black, white)."""
        self.table = table
        self.patch = patch
        self.clip = clip
        self.colours = [bands.index(name) for name in COLOURS if name in bands]
        self.haze = torch.tensor([HAZE_SPECTRUM.get(band, HAZE_ELSEWHERE) for band in bands])
        self.path = torch.tensor([OPTICS[b].path if b in OPTICS else 0.0 for b in bands])
        self.visible = torch.tensor([band in VISIBLE for band in bands])
        sets = band_sets or [BandSet(bands=tuple(bands))]
        self.kept = torch.tensor([[band in choice.bands for band in bands] for choice in sets])
        self.weights = torch.tensor([choice.weight for choice in sets])

    def __call__(
        self, image: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """generator: a CPU generator; numbers are drawn on the CPU, but noise."""
        image, labels = self.warp(image, labels, generator)
        if self.table.surface_share:
            image = self.clear_air(image, generator)
        image = self.vary(image, generator)
        if self.table.colour_jitter_share:
            image = self.jitter(image, generator)
        return self.drop_bands(image, generator), labels

    def warp(
        self, image: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Flips, quarter turns, any turn, rescaling and the crop to a patch, in one resampling.

        Bilinear for reflectance, nearest for labels. Outside the crop reflectance is mirrored, as
        scenes are at their edges when a model is run, and labels are 255.
        """
        from kornia.geometry.transform import warp_affine

        matrix = self._matrices(image.shape, generator).to(image.device)
        size = (self.patch, self.patch)
        absent = image.isnan()
        missing_band = absent.flatten(2).all(dim=2)[:, :, None, None]
        measured = ~(absent & ~missing_band).any(dim=1, keepdim=True)
        values = torch.cat([image.nan_to_num(0.0), measured.float()], dim=1)
        warped = warp_affine(values, matrix, size, mode="bilinear", padding_mode="reflection")
        known = torch.stack([labels.float(), torch.ones_like(labels, dtype=torch.float32)], dim=1)
        turned = warp_affine(known, matrix, size, mode="nearest")
        # A pixel blended with one that was not measured is darker than either side of the edge.
        unmeasured = warped[:, -1:] < 0.999
        result = warped[:, :-1].masked_fill(unmeasured | missing_band, math.nan)
        unknown = unmeasured[:, 0] | (turned[:, 1] < 0.5)
        return result, turned[:, 0].round().long().masked_fill(unknown, IGNORE)

    def _matrices(self, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
        """float32 (N, 2, 3): crop pixel (x, y) to patch pixel, about the centres of both."""
        count = shape[0]
        table = self.table

        def draw(low: float = 0.0, high: float = 1.0) -> torch.Tensor:
            return low + (high - low) * torch.rand(count, generator=generator)

        turn = (draw() * 4).floor() * (math.pi / 2) * float(table.flips)
        turn = turn + draw(-math.pi / 4, math.pi / 4) * (draw() < table.rotate_share)
        flip = torch.where((draw() < 0.5) & table.flips, -1.0, 1.0)
        scale = draw(*(math.log(limit) for limit in table.rescale)).exp()
        scale = torch.where(draw() < table.rescale_share, scale, 1.0)
        cos, sin = torch.cos(turn) * scale, torch.sin(turn) * scale
        linear = torch.stack([cos * flip, -sin, sin * flip, cos], dim=1).reshape(count, 2, 2)
        # Whole pixels between the centres: quarter turns then copy pixels instead of blending.
        room = [(size - self.patch) // 2 for size in (shape[3], shape[2])]
        middle = (self.patch - 1) / 2
        centre = torch.tensor([room[0] + middle, room[1] + middle]).reshape(1, 2, 1)
        return torch.cat([linear, middle - linear @ centre], dim=2)

    def vary(self, image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Gain, offset, haze, noise and 8-bit saturation, each drawn per image."""
        table = self.table
        count, bands = image.shape[:2]

        def draw(*size: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
            values = low + (high - low) * torch.rand(*size, generator=generator)
            return values.reshape(*size, *[1] * (4 - len(size))).to(image.device)

        gain = draw(count, low=math.log(table.gain[0]), high=math.log(table.gain[1])).exp()
        gain = gain * (1 + table.band_gain * draw(count, bands, low=-1.0))
        offset = table.offset * draw(count, low=-1.0)
        haze = table.haze * draw(count) * (draw(count) < table.haze_share)
        haze = haze * self.haze.to(image.device)[None, :, None, None]
        image = image * (gain * (1 - 2 * haze)) + (offset + haze)
        local = torch.Generator(image.device)
        local.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        noise = torch.randn(image.shape, generator=local, device=image.device)
        image = image + table.noise * draw(count) * noise
        level = draw(count, low=table.saturate[0], high=table.saturate[1])
        coarse = (image.clamp(min=0).minimum(level) * (255 / level)).round() * (level / 255)
        chosen = (draw(count) < table.saturate_share) & self.visible.to(image.device)[
            None, :, None, None
        ]
        return torch.where(chosen, coarse, image)

    def clear_air(self, image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Images as if of surface reflectance: less path reflectance, and no light lost on the way.

        Dark-object subtraction (Chavez 1988, Remote Sensing of Environment 24), of half to all of
        what clear air reflects, in `surface_share` of images.
        """
        count = image.shape[0]
        chosen = torch.rand(count, generator=generator) < self.table.surface_share
        part = chosen * (0.5 + 0.5 * torch.rand(count, generator=generator))
        path = part.to(image.device)[:, None] * self.path.to(image.device)
        darkest = image[..., ::4, ::4].flatten(2).nanquantile(DARK, dim=2)
        path = path.minimum(darkest.nan_to_num(0.0).clamp(min=0.0))[:, :, None, None]
        return (image - path) / (1 - 2 * path)

    def jitter(self, image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Brightness, contrast, saturation and hue of red, green and blue, each drawn per image.

        Those are clipped to what a picture between black and white can show; others stay.
        """
        from kornia import enhance

        count = image.shape[0]
        black, white = self.clip
        strays = torch.tensor(self.table.colour_jitter) * (
            2 * torch.rand(count, 4, generator=generator) - 1
        )
        bright, contrast, saturation, hue = strays.to(image.device).unbind(dim=1)
        chosen = torch.rand(count, generator=generator) < self.table.colour_jitter_share
        colours = image[:, self.colours]
        picture = ((colours - black) / (white - black)).clamp(0, 1).nan_to_num(0.0)
        picture = enhance.adjust_brightness_accumulative(picture, 1 + bright)
        picture = enhance.adjust_contrast_with_mean_subtraction(picture, 1 + contrast)
        picture = enhance.adjust_saturation(picture, 1 + saturation)
        picture = enhance.adjust_hue(picture, hue * (2 * math.pi))
        changed = black + (white - black) * picture
        changed = changed.masked_fill(colours.isnan(), math.nan)
        result = image.clone()
        result[:, self.colours] = torch.where(
            chosen.to(image.device)[:, None, None, None], changed, colours
        )
        return result

    def drop_bands(self, image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """One of the band sets per image; the other bands become NaN."""
        choice = torch.multinomial(
            self.weights, image.shape[0], replacement=True, generator=generator
        )
        kept = self.kept[choice].to(image.device)
        # An image that has none of the chosen set's bands keeps what it has.
        seen = (kept & ~image.flatten(2).isnan().all(dim=2)).any(dim=1, keepdim=True)
        return image.masked_fill(~(kept | ~seen)[:, :, None, None], math.nan)
