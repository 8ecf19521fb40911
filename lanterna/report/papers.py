"""The papers behind the chapters."""

from dataclasses import dataclass

__all__ = [
    "ADEBAYO",
    "ERHAN",
    "GATYS",
    "GATYS_TEXTURE",
    "GOODFELLOW",
    "HE",
    "HINTON",
    "MADRY",
    "MAHENDRAN",
    "MORDVINTSEV",
    "NALISNICK",
    "NGUYEN",
    "OLAH",
    "SCHOTT",
    "SIMONYAN",
    "SPRINGENBERG",
    "SZEGEDY",
    "ZEILER",
    "Paper",
]  # fmt: skip


@dataclass(frozen=True)
class Paper:
    """Authors and year, title, and where it can be read."""

    by: str
    title: str
    url: str


_ARXIV = "https://arxiv.org/abs/"

ERHAN = Paper(
    "Erhan, Bengio, Courville, Vincent 2009",
    "Visualizing Higher-Layer Features of a Deep Network",
    "https://www.researchgate.net/publication/265022827",
)
SIMONYAN = Paper("Simonyan, Vedaldi, Zisserman 2014", "Deep Inside Convolutional Networks", _ARXIV + "1312.6034")
OLAH = Paper("Olah, Mordvintsev, Schubert 2017", "Feature Visualization", "https://distill.pub/2017/feature-visualization/")
ZEILER = Paper("Zeiler, Fergus 2014", "Visualizing and Understanding Convolutional Networks", _ARXIV + "1311.2901")
SPRINGENBERG = Paper("Springenberg et al. 2015", "Striving for Simplicity: The All Convolutional Net", _ARXIV + "1412.6806")
ADEBAYO = Paper("Adebayo et al. 2018", "Sanity Checks for Saliency Maps", _ARXIV + "1810.03292")
MAHENDRAN = Paper(
    "Mahendran, Vedaldi 2015", "Understanding Deep Image Representations by Inverting Them", _ARXIV + "1412.0035"
)
HE = Paper("He, Wang, Hopcroft 2016", "A Powerful Generative Model Using Random Weights for the Deep Image Representation",
           _ARXIV + "1606.04801")  # fmt: skip
MORDVINTSEV = Paper(
    "Mordvintsev, Olah, Tyka 2015",
    "Inceptionism: Going Deeper into Neural Networks",
    "https://research.google/blog/inceptionism-going-deeper-into-neural-networks/",
)
GATYS = Paper("Gatys, Ecker, Bethge 2016", "A Neural Algorithm of Artistic Style", _ARXIV + "1508.06576")
GATYS_TEXTURE = Paper(
    "Gatys, Ecker, Bethge 2015", "Texture Synthesis Using Convolutional Neural Networks", _ARXIV + "1505.07376"
)
SZEGEDY = Paper("Szegedy et al. 2014", "Intriguing Properties of Neural Networks", _ARXIV + "1312.6199")
GOODFELLOW = Paper("Goodfellow, Shlens, Szegedy 2015", "Explaining and Harnessing Adversarial Examples", _ARXIV + "1412.6572")
MADRY = Paper("Madry et al. 2018", "Towards Deep Learning Models Resistant to Adversarial Attacks", _ARXIV + "1706.06083")
NGUYEN = Paper("Nguyen, Yosinski, Clune 2015", "Deep Neural Networks Are Easily Fooled", _ARXIV + "1412.1897")
SCHOTT = Paper(
    "Schott et al. 2019", "Towards the First Adversarially Robust Neural Network Model on MNIST", _ARXIV + "1805.09190"
)
NALISNICK = Paper("Nalisnick et al. 2019", "Do Deep Generative Models Know What They Don't Know?", _ARXIV + "1810.09136")
HINTON = Paper(
    "Hinton, Salakhutdinov 2006",
    "Reducing the Dimensionality of Data with Neural Networks",
    "https://doi.org/10.1126/science.1127647",
)
