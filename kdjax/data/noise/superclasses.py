"""The twenty superclasses of CIFAR-100, five classes each.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, section 3.1;
names and order are those of the archive's own lists.
"""

import numpy as np

# A class's number is its position among all hundred names in alphabetical order.
SUPERCLASSES = {
    "aquatic_mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food_containers": "bottle bowl can cup plate",
    "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
    "household_electrical_devices": "clock keyboard lamp telephone television",
    "household_furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large_carnivores": "bear leopard lion tiger wolf",
    "large_man-made_outdoor_things": "bridge castle house road skyscraper",
    "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
    "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium_mammals": "fox porcupine possum raccoon skunk",
    "non-insect_invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small_mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles_1": "bicycle bus motorcycle pickup_truck train",
    "vehicles_2": "lawn_mower rocket streetcar tank tractor",
}


def class_names() -> tuple[str, ...]:
    """The hundred classes in the order of their numbers.

    >>> class_names()[:3]
    ('apple', 'aquarium_fish', 'baby')
    """
    return tuple(sorted(" ".join(SUPERCLASSES.values()).split()))


def superclass_of_class() -> np.ndarray:
    """Number of the superclass of every class, int32 [100].

    >>> int(superclass_of_class()[class_names().index("apple")])  # fruit_and_vegetables
    4
    """
    groups = enumerate(SUPERCLASSES.values())
    number = {name: i for i, group in groups for name in group.split()}
    return np.array([number[name] for name in class_names()], np.int32)


def next_in_superclass() -> np.ndarray:
    """The next class of the same superclass, cyclic, by number; int32 [100].

    >>> names = class_names()
    >>> names[next_in_superclass()[names.index("woman")]]
    'baby'
    """
    superclass = superclass_of_class()
    following = np.empty_like(superclass)
    for number in range(len(SUPERCLASSES)):
        members = np.flatnonzero(superclass == number)
        following[members] = np.roll(members, -1)
    return following
