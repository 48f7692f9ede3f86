"""Pictures of educational programs: GCompris' photographs and drawings, and pysiogame's cartoons."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from training.images.sprite import WHOLE_PHOTO, Sprite

PHOTOS = (
    "erase/resource",
    "explore_farm_animals/resource/animals",
    "explore_world_animals/resource/animals",
    "categorization/resource/images/*",
    "explore_monuments/resource/*",
)
DRAWINGS = ("instruments/resource", "babymatch/resource/images", "babyshapes/resource/food")
CARTOONS = ("animals", "clothes_n_accessories", "construction", "food", "fruit_n_veg")
MORE_CARTOONS = ("jobs", "nature", "people", "transport")
NOT_THINGS = re.compile(
    r"^(alphabets|numbers|monument|cutting tool|le musee|question|background|farm animals|fusee|rape|postpoint|"
    r"sound|light|dragon|cabrillo|navajo|geothermal|tux.*|windflag|feast|slice|spread|sprinkle|meal|lunch|store|step|"
    r"twin.*|.*-world|eggpot|raquette|son|dad|mom|mother|husband|wife|lad|madam|male|female|mates|friends|brothers|sisters|"
    r"couple|tribe|magic|office|police|land|coast|shore|kernel|patch|heel|pedal|mast|man|woman|child|peak)$"
)
CALLED = {  # what a name alone doesn't tell a stranger
    "arles amphitheater": "roman amphitheater",
    "aula palatina": "church",
    "bayterek": "tower",
    "bent pyramid": "pyramid",
    "red pyramid": "pyramid",
    "meidum pyramid": "pyramid",
    "great pyramid": "pyramid",
    "great pyramid of giza": "pyramid",
    "berlin cathedral": "cathedral",
    "worms cathedral": "cathedral",
    "reims cathedral": "cathedral",
    "blackslate": "slate",
    "buffetset": "tea cup",
    "bulb": "light bulb",
    "burj": "skyscraper",
    "canyonde chelly": "canyon",
    "castillode san marcos": "fortress",
    "castle clinton": "fortress",
    "fort sumter": "fortress",
    "chamaeleon": "chameleon",
    "chateaude chambord": "castle",
    "chateaude chenonceau": "castle",
    "neuschwanstein castle": "castle",
    "schwerin palace": "palace",
    "mysore palace": "palace",
    "zimni palace": "palace",
    "palaisdes papes": "palace",
    "charminar": "mosque",
    "citede carcassonne": "medieval city",
    "empire state": "skyscraper",
    "erasers": "eraser",
    "fishingboat": "fishing boat",
    "gatewayof india": "stone gate",
    "india gate": "stone gate",
    "george washington birthplace": "brick house",
    "golden temple": "temple",
    "great stupa": "stupa",
    "great wallof china": "great wall of china",
    "great wall": "great wall of china",
    "hawa mahal": "palace",
    "juche tower": "tower",
    "konark sun temple": "temple",
    "kutub minar": "minaret",
    "qutub minar": "minaret",
    "leaning tower of pisa": "leaning tower of pisa",
    "lincoln memorial": "white temple with columns",
    "long nosed monkey": "proboscis monkey",
    "mont st michel": "abbey on an island",
    "opera house": "sydney opera house",
    "plier": "pliers",
    "pontdu gard": "roman aqueduct",
    "rang ghar": "pavilion",
    "rocamadour": "village on a cliff",
    "sailingboat": "sailing boat",
    "side cutter": "pliers",
    "solar": "solar panel",
    "spray": "spray bottle",
    "statueof liberty": "statue of liberty",
    "trier imperial baths": "ruin",
    "tweezer": "tweezers",
    "us capitol": "capitol",
    "victoria memorial": "palace",
    "weighing machine": "scale",
    "ajanta cave": "cave",
    "ballet": "ballet dancer",
    "jewel": "gem",
    "vet": "veterinarian",
    "jay": "jay bird",
    "flute traversiere": "flute",
    "lama": "llama",
}


def gcompris(folder: Path) -> Iterator[Sprite]:
    """GCompris' photographs of animals, tools and monuments, and its drawings of instruments, toys and food."""
    root = folder / "gcompris" / "src" / "activities"
    for pattern in PHOTOS:
        for path in sorted(root.glob(f"{pattern}/*.webp")):
            name = name_of(path.stem)
            if name is not None:
                yield Sprite(
                    "gcompris-qt-data", WHOLE_PHOTO, name, (), "CC-BY-SA, CC-BY, CC0", str(path), True
                )
    for pattern in DRAWINGS:
        for path in sorted(root.glob(f"{pattern}/*.svg")):
            name = name_of(path.stem)
            if name is not None:
                yield Sprite("gcompris-qt-data", "cartoon", name, (), "CC-BY-SA, GPL-3", str(path), True)


def cartoons(package: Path) -> Iterator[Sprite]:
    """Art4Apps' cartoons in pysiogame, on white; parts of the body are left out, as arrows point at them."""
    root = package / "usr" / "share" / "games" / "pysiogame" / "res" / "images" / "art4apps"
    for folder in (*CARTOONS, *MORE_CARTOONS):
        for path in sorted((root / folder).glob("*.jpg")):
            name = name_of(path.stem)
            if name is not None:
                yield Sprite("pysiogame", "cartoon", name, (), "CC-BY-SA-3.0", str(path), True)


def name_of(stem: str) -> str | None:
    """`measuringTape4` → `measuring tape`; None for what is no thing."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem).replace("_", " ").lower()
    name = re.sub(r"\d+", "", words).strip()
    name = CALLED.get(name, name)
    return None if len(name) < 3 or NOT_THINGS.match(name) else name
