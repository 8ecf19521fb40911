"""A data set for tests: bars that are left, right or below; two or three classes that nothing confuses."""

import torch

from lanterna.data import PictureArray


def bars(each: int = 40, classes: int = 3, side: int = 28) -> PictureArray:
    """`each` pictures of each class, in turn."""
    generator = torch.Generator().manual_seed(5)
    array = torch.zeros(each * classes, 1, side, side, dtype=torch.uint8)
    labels = []
    for place in range(len(array)):
        label = place % classes
        offset = int(torch.randint(0, 4, (1,), generator=generator))
        bright = int(torch.randint(170, 256, (1,), generator=generator))
        if label < 2:
            start = (3 if label == 0 else side - 9) + offset
            array[place, 0, 4 : side - 4, start : start + 4] = bright
        else:
            array[place, 0, side - 9 + offset : side - 6 + offset, 3 : side - 3] = bright
        labels.append(label)
    return PictureArray("bars", array, labels, ["left", "right", "below"][:classes])
